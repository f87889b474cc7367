"""Reading images with a fitted model, in batches of one fixed shape."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxal.models.model import Model, Variables
from jaxal.typing import Array, Float, UInt8

__all__ = ["apply_images", "embed_images", "head_logits"]


def embed_images(
    model: Model, variables: Variables, images: UInt8[Array, "N H W ch"], batch_size: int
) -> Float[Array, "N D"]:
    """Embed every image, in evaluation mode; no batch shape but one is ever compiled."""
    return _in_batches(model.embed, variables, images, batch_size)


def apply_images(
    model: Model, variables: Variables, images: UInt8[Array, "N H W ch"], batch_size: int
) -> Float[Array, "N C"]:
    """Compute the logits of every image, in evaluation mode."""
    return _in_batches(model.apply, variables, images, batch_size)


@functools.partial(jax.jit, static_argnames="model")
def head_logits(model: Model, variables: Variables, embeddings: Float[Array, "N D"]) -> Float[Array, "N C"]:
    """Compute the logits of embeddings."""
    return model.head(variables, embeddings)


def _in_batches(forward: Callable, variables: Variables, images: Array, batch_size: int) -> Array:
    num_images = images.shape[0]
    size = min(batch_size, num_images)
    # The last batch overlaps the one before it: same shape, and no made-up rows.
    starts = [*range(0, num_images - size, size), num_images - size]
    outputs = [_forward_batch(forward, size, variables, images, start) for start in starts]
    overlap = starts[-2] + size - starts[-1] if len(starts) > 1 else 0
    return jnp.concatenate([*outputs[:-1], outputs[-1][overlap:]])


@functools.partial(jax.jit, static_argnames=("forward", "size"))
def _forward_batch(forward: Callable, size: int, variables: Variables, images: Array, start: int | Array) -> Array:
    return forward(variables, jax.lax.dynamic_slice_in_dim(images, start, size))
