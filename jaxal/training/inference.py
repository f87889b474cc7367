"""Reading images with a fitted model, in batches of one fixed shape."""

import functools
from collections.abc import Callable, Generator, Iterable
from contextlib import closing

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jaxal.data.listeners import OnImages
from jaxal.data.loading import Images
from jaxal.models.linear import as_given
from jaxal.models.model import Model, Variables
from jaxal.training.placement import batch_sharding, batch_starts, shapes_of, spread_size, stream_batches, take_images
from jaxal.typing import Array, Float, Shaped

__all__ = ["apply_images", "embed_images", "forward_batches", "head_logits", "rows_through"]


def embed_images(
    model: Model,
    variables: Variables,
    images: Shaped[Array, "N ..."] | Images,
    batch_size: int,
    on_images: OnImages | None = None,
    rows: range | None = None,
) -> Float[Array, "n D"]:
    """Embed every image, or some of them, in evaluation mode; no batch shape but one is ever compiled.

    Images that are not on the device are streamed there in the same batches, each spread over all devices that there
    are. Embeddings that a model takes in place of images are what they are, and are not copied.

    Args:
        model: the network.
        variables: of it.
        images: wherever they lie.
        batch_size: images at a time; streamed ones in batches of `spread_size`.
        on_images: told how many images of how many are done. Where nobody is told, no batch of images that lie on the
            device is waited for.
        rows: of the images, one behind the other; all N where absent. They go through in the batches that they stand in
            where all do, and come out the same to the bit.
    """
    if model.embed is as_given and not isinstance(images, Images):
        return images if rows is None else images[rows.start : rows.stop]
    return _in_batches(model.embed, variables, images, batch_size, on_images, rows)


def apply_images(
    model: Model, variables: Variables, images: Shaped[Array, "N ..."] | Images, batch_size: int
) -> Float[Array, "N C"]:
    """Compute the logits of every image, in evaluation mode; as `embed_images`."""
    return _in_batches(model.apply, variables, images, batch_size, None)


def rows_through(
    through: Callable[..., Array],
    model: Model,
    variables: Variables,
    images: Shaped[Array, "N ..."] | Images,
    rows: np.ndarray,
    batch_size: int,
) -> Float[np.ndarray, "n K"]:
    """Embed some rows, or compute their logits; however many there are, in batches of one shape.

    Args:
        through: `embed_images` or `apply_images`.
        model: the network.
        variables: of it.
        images: all of them, wherever they lie.
        rows: of these, at least one.
        batch_size: images at a time.
    """
    size = min(batch_size, shapes_of(images).shape[0])
    results = []
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        batch = np.full(size, part[0], np.int32)
        batch[: len(part)] = part
        results.append(np.asarray(through(model, variables, take_images(images, batch), size))[: len(part)])
    return np.concatenate(results)


@functools.partial(jax.jit, static_argnames="model")
def head_logits(model: Model, variables: Variables, embeddings: Float[Array, "N D"]) -> Float[Array, "N C"]:
    """Compute the logits of embeddings."""
    return model.head(variables, embeddings)


def forward_batches(
    forward: Callable, variables: Variables, images: Images, batches: Iterable[np.ndarray], size: int
) -> Generator[Array, None, None]:
    """Stream batches of one size through a model, the next ones being read meanwhile; each result is waited for.

    Where the size is a multiple of several devices, each batch is spread over them and the variables are on all.

    Args:
        forward: of the variables and a batch; each row by itself.
        variables: of the model.
        images: to read.
        batches: of rows, in order, taken one by one. Close the iterator, as that of `stream_batches`.
        size: of each batch.
    """
    sharding = batch_sharding()
    if sharding is not None and size % len(sharding.device_set):
        sharding = None
    if sharding is not None:
        variables = jax.device_put(variables, NamedSharding(sharding.mesh, PartitionSpec()))
    with closing(stream_batches(images, batches, sharding)) as loaded:
        for batch in loaded:
            yield jax.block_until_ready(_forward(forward, variables, batch))


def _in_batches(
    forward: Callable,
    variables: Variables,
    images: Array | Images,
    batch_size: int,
    on_images: OnImages | None,
    rows: range | None = None,
) -> Array:
    num_images = shapes_of(images).shape[0]
    rows = range(num_images) if rows is None else rows
    is_streamed = isinstance(images, Images)
    size = spread_size(num_images, batch_size) if is_streamed else min(batch_size, num_images)
    starts = batch_starts(num_images, size)
    first = min(rows.start // size, len(starts) - 1)
    starts = starts[first : max(first, (rows.stop - 1) // size) + 1]
    if is_streamed:
        batches = [np.arange(start, start + size) for start in starts]
        results = forward_batches(forward, variables, images, batches, size)
    else:
        results = (_forward_batch(forward, size, variables, images, start) for start in starts)
    outputs = []
    with closing(results):
        for start, result in zip(starts, results, strict=True):
            # What was spread over several devices goes where all else is.
            is_spread = is_streamed and batch_sharding() is not None
            outputs.append(jax.device_put(result, jax.local_devices()[0]) if is_spread else result)
            if on_images is not None:
                jax.block_until_ready(outputs[-2:][0])  # the one before: the device is never without work
                on_images(min(start + size, rows.stop) - rows.start, len(rows))
    # The last batch of all overlaps the one before it, and the rows asked for may begin and end within a batch.
    begins = [max(rows.start, (first + number) * size) - start for number, start in enumerate(starts)]
    outputs[-1] = outputs[-1][: max(rows.stop - starts[-1], begins[-1])]
    return jnp.concatenate([each[begin:] if begin else each for begin, each in zip(begins, outputs, strict=True)])


@functools.partial(jax.jit, static_argnames=("forward", "size"))
def _forward_batch(forward: Callable, size: int, variables: Variables, images: Array, start: int | Array) -> Array:
    return forward(variables, jax.lax.dynamic_slice_in_dim(images, start, size))


@functools.partial(jax.jit, static_argnames="forward")
def _forward(forward: Callable, variables: Variables, images: Array) -> Array:
    return forward(variables, images)
