"""Reading images with a fitted model, in batches of one fixed shape."""

import functools
from collections.abc import Callable
from contextlib import closing

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.data.loading import Images
from jaxal.models.model import Model, Variables
from jaxal.training.placement import batch_starts, stream_batches
from jaxal.typing import Array, Float, UInt8

__all__ = ["apply_images", "embed_images", "head_logits"]


def embed_images(
    model: Model, variables: Variables, images: UInt8[Array, "N H W ch"] | Images, batch_size: int
) -> Float[Array, "N D"]:
    """Embed every image, in evaluation mode; no batch shape but one is ever compiled.

    Images that are not on the device are streamed there in the same batches.
    """
    return _in_batches(model.embed, variables, images, batch_size)


def apply_images(
    model: Model, variables: Variables, images: UInt8[Array, "N H W ch"] | Images, batch_size: int
) -> Float[Array, "N C"]:
    """Compute the logits of every image, in evaluation mode; as `embed_images`."""
    return _in_batches(model.apply, variables, images, batch_size)


@functools.partial(jax.jit, static_argnames="model")
def head_logits(model: Model, variables: Variables, embeddings: Float[Array, "N D"]) -> Float[Array, "N C"]:
    """Compute the logits of embeddings."""
    return model.head(variables, embeddings)


def _in_batches(forward: Callable, variables: Variables, images: Array | Images, batch_size: int) -> Array:
    num_images = images.num_images if isinstance(images, Images) else images.shape[0]
    size = min(batch_size, num_images)
    starts = batch_starts(num_images, size)
    if isinstance(images, Images):
        outputs = _stream(forward, variables, images, [np.arange(start, start + size) for start in starts])
    else:
        outputs = [_forward_batch(forward, size, variables, images, start) for start in starts]
    overlap = starts[-2] + size - starts[-1] if len(starts) > 1 else 0
    return jnp.concatenate([*outputs[:-1], outputs[-1][overlap:]])


def _stream(forward: Callable, variables: Variables, images: Images, batches: list[np.ndarray]) -> list[Array]:
    outputs = []
    with closing(stream_batches(images, batches)) as loaded:
        for batch in loaded:
            outputs.append(jax.block_until_ready(_forward(forward, variables, batch)))
    return outputs


@functools.partial(jax.jit, static_argnames=("forward", "size"))
def _forward_batch(forward: Callable, size: int, variables: Variables, images: Array, start: int | Array) -> Array:
    return forward(variables, jax.lax.dynamic_slice_in_dim(images, start, size))


@functools.partial(jax.jit, static_argnames="forward")
def _forward(forward: Callable, variables: Variables, images: Array) -> Array:
    return forward(variables, images)
