"""What a model is to the rest of jaxal: a spec and pure functions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxal.typing import Array, Float, LinearHead, PRNGKey, Shaped

__all__ = ["Model", "ModelSpec", "Variables", "normalize_images"]


class ModelSpec(NamedTuple):
    """What a model takes and gives; hashable."""

    image_shape: tuple[int, ...]  # height, width, channels; D alone where the model takes embeddings
    num_classes: int  # C
    embedding_width: int  # D
    mean: tuple[float, ...]  # per channel, of pixels scaled to [0, 1]
    std: tuple[float, ...]


class Variables(NamedTuple):
    """A model's arrays as plain nested dicts."""

    params: Any
    batch_stats: Any


class Model(NamedTuple):
    """A network. Law: apply(v, x) == head(v, embed(v, x)); embed is the input of the last affine layer.

    So in training: apply_train's logits are head(v, z) of embed_train's z.

    Images are uint8 [B, height, width, channels]; embed normalizes them by the spec. A model of embeddings takes
    [B, D] in their place. In evaluation (embed, apply) every row is independent of the rest of its batch.
    """

    spec: ModelSpec
    init: Callable[[PRNGKey], Variables]
    embed: Callable[[Variables, Array], Array]  # -> z [B, D]
    head: Callable[[Variables, Array], Array]  # z [B, D] -> logits [B, C]
    apply: Callable[[Variables, Array], Array]  # -> logits [B, C]
    embed_train: Callable[[Variables, PRNGKey, Array], tuple[Array, Any]]  # -> (z [B, D], batch_stats)
    apply_train: Callable[[Variables, PRNGKey, Array], tuple[Array, Any]]  # -> (logits [B, C], batch_stats)
    linear_head: Callable[[Variables], LinearHead | None]


def normalize_images(images: Shaped[Array, "B H W ch"], spec: ModelSpec) -> Float[Array, "B H W ch"]:
    """Scale pixels from 0 … 255 to [0, 1] and standardize each channel by the spec's mean and std."""
    mean = jnp.asarray(spec.mean, jnp.float32)[None, None, None]
    std = jnp.asarray(spec.std, jnp.float32)[None, None, None]
    return (images.astype(jnp.float32) / 255 - mean) / std
