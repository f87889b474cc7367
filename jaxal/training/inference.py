"""Reading images with a fitted model, in batches of one fixed shape."""

import functools
from collections.abc import Callable
from contextlib import closing

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.data.loading import Images
from jaxal.models.linear import as_given
from jaxal.models.model import Model, Variables
from jaxal.training.placement import batch_starts, shapes_of, stream_batches
from jaxal.typing import Array, Float, Shaped

__all__ = ["apply_images", "embed_images", "head_logits"]

OnImages = Callable[[int, int], None]


def embed_images(
    model: Model,
    variables: Variables,
    images: Shaped[Array, "N ..."] | Images,
    batch_size: int,
    on_images: OnImages = lambda done, total: None,
) -> Float[Array, "N D"]:
    """Embed every image, in evaluation mode; no batch shape but one is ever compiled.

    Images that are not on the device are streamed there in the same batches. Embeddings that a model takes in place of
    images are what they are, and are not copied.

    Args:
        model: the network.
        variables: of it.
        images: wherever they lie.
        batch_size: images at a time.
        on_images: told how many streamed images of how many are done; nothing is told of images on the device.
    """
    if model.embed is as_given and not isinstance(images, Images):
        return images
    return _in_batches(model.embed, variables, images, batch_size, on_images)


def apply_images(
    model: Model, variables: Variables, images: Shaped[Array, "N ..."] | Images, batch_size: int
) -> Float[Array, "N C"]:
    """Compute the logits of every image, in evaluation mode; as `embed_images`."""
    return _in_batches(model.apply, variables, images, batch_size)


@functools.partial(jax.jit, static_argnames="model")
def head_logits(model: Model, variables: Variables, embeddings: Float[Array, "N D"]) -> Float[Array, "N C"]:
    """Compute the logits of embeddings."""
    return model.head(variables, embeddings)


def _in_batches(
    forward: Callable,
    variables: Variables,
    images: Array | Images,
    batch_size: int,
    on_images: OnImages = lambda done, total: None,
) -> Array:
    num_images = shapes_of(images).shape[0]
    size = min(batch_size, num_images)
    starts = batch_starts(num_images, size)
    if isinstance(images, Images):
        outputs = _stream(forward, variables, images, [np.arange(start, start + size) for start in starts], on_images)
    else:
        outputs = [_forward_batch(forward, size, variables, images, start) for start in starts]
    overlap = starts[-2] + size - starts[-1] if len(starts) > 1 else 0
    return jnp.concatenate([*outputs[:-1], outputs[-1][overlap:]])


def _stream(
    forward: Callable, variables: Variables, images: Images, batches: list[np.ndarray], on_images: OnImages
) -> list[Array]:
    outputs = []
    with closing(stream_batches(images, batches)) as loaded:
        for rows, batch in zip(batches, loaded, strict=True):
            outputs.append(jax.block_until_ready(_forward(forward, variables, batch)))
            on_images(int(rows[-1]) + 1, images.num_images)
    return outputs


@functools.partial(jax.jit, static_argnames=("forward", "size"))
def _forward_batch(forward: Callable, size: int, variables: Variables, images: Array, start: int | Array) -> Array:
    return forward(variables, jax.lax.dynamic_slice_in_dim(images, start, size))


@functools.partial(jax.jit, static_argnames="forward")
def _forward(forward: Callable, variables: Variables, images: Array) -> Array:
    return forward(variables, images)
