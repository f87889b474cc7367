"""Where images lie while a model works on them: on the device whole, or off it and streamed there in batches."""

import functools
import math
from collections import deque
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxal import processes
from jaxal.data.host_memory import free_on_host
from jaxal.data.loading import Images, choose_images, load_batches
from jaxal.typing import Array, Shaped

__all__ = [
    "batch_sharding",
    "batch_starts",
    "default_image_bytes",
    "place_images",
    "read_onto_device",
    "shapes_of",
    "spread_size",
    "stream_batches",
    "take_images",
]

# The rest is for the model: its activations are many times the images of a batch.
DEVICE_SHARE, HOST_SHARE = 3, 4
UNKNOWN = 2**30
BLOCK_BYTES = 2**26


def default_image_bytes() -> int:
    """Count the bytes of images that may lie on the device whole where nobody says.

    A third of the memory of a device that has its own, whatever is in use: the same device, the same decision, since
    there a pass over streamed images may differ from one over images in place in the last bits. A quarter of what the
    host has free where that is the device; 1 GiB where it does not say.
    """
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] // DEVICE_SHARE
    free = free_on_host()
    return UNKNOWN if free is None else free // HOST_SHARE


def place_images(parts: Mapping[str, Images], max_bytes: int | None) -> dict[str, Shaped[Array, "n ..."] | Images]:
    """Put whole parts on the device, the smallest first, as long as they fit; leave the others to be streamed.

    Args:
        parts: images by name.
        max_bytes: of all that is put there; `default_image_bytes` where absent, of several processes the least.
    """
    left = max_bytes
    if left is None:
        left = min(processes.from_each("memory for images", default_image_bytes()))
    placed: dict[str, Array | Images] = dict(parts)
    for name in sorted(parts, key=lambda name: _num_bytes(parts[name])):
        left -= _num_bytes(parts[name])
        if left < 0:
            break
        placed[name] = read_onto_device(parts[name])
    return placed


def _num_bytes(images: Images) -> int:
    return images.num_images * _image_bytes(images)


def _image_bytes(images: Images) -> int:
    return math.prod(images.image_shape) * np.dtype(images.dtype).itemsize


def read_onto_device(images: Images) -> Array:
    """Read all images onto the device, block by block: the host never holds them whole unless it is the device."""
    size = max(1, BLOCK_BYTES // _image_bytes(images))
    if images.num_images <= size:
        return jnp.asarray(images.read(np.arange(images.num_images)))
    starts = batch_starts(images.num_images, size)
    whole = jnp.zeros((images.num_images, *images.image_shape), images.dtype)
    with closing(stream_batches(images, (np.arange(start, start + size) for start in starts))) as blocks:
        for start, block in zip(starts, blocks, strict=True):
            whole = jax.block_until_ready(_write_block(whole, block, start))
    return whole


@functools.partial(jax.jit, donate_argnames="whole")
def _write_block(whole: Array, block: Array, start: int | Array) -> Array:
    return jax.lax.dynamic_update_slice_in_dim(whole, block, start, axis=0)


def batch_starts(num_images: int, size: int) -> list[int]:
    """Lay out batches of one size over images: the last one overlaps the one before it, so no made-up rows are needed.

    Args:
        num_images: at least as many as `size`.
        size: of every batch, from 1.

    Returns:
        The first row of each batch.
    """
    return [*range(0, num_images - size, size), num_images - size]


@functools.cache
def batch_sharding(*, of_all_processes: bool = False) -> NamedSharding | None:
    """Spread the rows of a batch over all devices of this process, or of all; None where there is but one."""
    if of_all_processes and processes.num_processes() > 1:
        return NamedSharding(processes.all_devices("batch"), PartitionSpec("batch"))
    devices = jax.local_devices()
    if len(devices) == 1:
        return None
    mesh = jax.make_mesh((len(devices),), ("batch",), axis_types=(AxisType.Auto,), devices=devices)
    return NamedSharding(mesh, PartitionSpec("batch"))


def spread_size(num_images: int, batch_size: int) -> int:
    """Make a batch size one that spreads evenly: rounded up to a multiple of the devices, at most what there is.

    Args:
        num_images: that there are; fewer than there are devices make a batch of their own, which is not spread.
        batch_size: asked for.
    """
    sharding = batch_sharding()
    num_devices = 1 if sharding is None else len(sharding.device_set)
    return min(-(-batch_size // num_devices) * num_devices, num_images - num_images % num_devices or num_images)


def stream_batches(
    images: Images, batches: Iterable[np.ndarray], sharding: NamedSharding | None = None
) -> Generator[Shaped[Array, "B ..."], None, None]:
    """Read batches of rows and give them on the device, the next one on its way there while one is worked on.

    Launches are not waited for by jax, and each that waits keeps its batch alive: block on each batch's result before
    the next batch is asked for. Close the iterator, as that of `load_batches`.

    Args:
        images: to read.
        batches: of rows, in the order wanted.
        sharding: of a batch over several devices; on the default one where absent. Where they are those of several
            processes, each process reads the rows of its own.
    """
    own = batches if sharding is None else (batch[_own_places(sharding, len(batch))] for batch in batches)
    with closing(load_batches(images.read, own)) as loaded:
        moved = (jax.device_put(batch) if sharding is None else _spread(sharding, batch) for batch in loaded)
        ahead = deque(islice(moved, 1))
        while ahead:
            ahead.extend(islice(moved, 1))
            yield ahead.popleft()


def _own_places(sharding: NamedSharding, size: int) -> np.ndarray:
    """Return the places of a batch that lie on this process's devices, device by device."""
    parts = sharding.addressable_devices_indices_map((size,)).values()
    return np.concatenate([np.arange(size)[part] for part in parts if part is not None])


def _spread(sharding: NamedSharding, own: np.ndarray) -> Array:
    """Put what `_own_places` of a batch hold on the devices."""
    pieces = np.split(own, len(sharding.addressable_devices))
    shape = (len(pieces[0]) * len(sharding.device_set), *own.shape[1:])
    devices = sharding.addressable_devices_indices_map(shape)
    placed = [jax.device_put(piece, device) for piece, device in zip(pieces, devices, strict=True)]
    return jax.make_array_from_single_device_arrays(shape, sharding, placed)


def shapes_of(images: Array | Images) -> jax.ShapeDtypeStruct:
    """Describe all images as one array, wherever they lie."""
    if isinstance(images, Images):
        return jax.ShapeDtypeStruct((images.num_images, *images.image_shape), images.dtype)
    return jax.ShapeDtypeStruct(images.shape, images.dtype)


def take_images(images: Array | Images, rows: np.ndarray) -> Array | Images:
    """Choose images by their rows, where they lie."""
    return choose_images(images, rows) if isinstance(images, Images) else images[rows]
