"""Arrays that every process has alike, and global ones that lie on the devices of all."""

import functools
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxal.processes.talking import from_each, from_first, is_first, num_processes
from jaxal.typing import Array

__all__ = ["all_devices", "from_first_arrays", "meet", "on_this_host", "spread_everywhere", "whole_on_host"]

T = TypeVar("T")


def all_devices(axis: str) -> Mesh:
    """Lay the devices of all processes along one axis, those of a process side by side."""
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    return Mesh(np.array(devices), (axis,), axis_types=(AxisType.Auto,))


def meet() -> None:
    """Have the devices of all processes connected.

    gloo gives up where one comes half a minute after another, but only the first time; later it waits for hours.
    """
    from_each("all are here", None)
    _from_first_bytes(np.zeros(1, np.uint8))


def from_first_arrays(tree: T) -> T:
    """Give all processes the arrays of process 0, bit for bit; in one process they are what they are.

    Args:
        tree: of arrays of this process, of the same shapes in all processes; in those but the first their values do not
            matter.

    Cost: one sum over the devices of as many bytes as there are, twice on the host.
    """
    if num_processes() == 1:
        return tree
    leaves, structure = jax.tree.flatten(tree)
    arrays = [np.asarray(leaf) for leaf in leaves]
    # As bytes: in floats a sum would turn -0 into 0.
    whole = b"".join(array.tobytes() for array in arrays)
    from_first("arrays are given out", lambda: None)  # what process 0 does alone may take long, and is waited for here
    given = _from_first_bytes(np.frombuffer(whole, np.uint8)).tobytes()
    found, start = [], 0
    for array in arrays:
        values = np.frombuffer(given[start : start + array.nbytes], array.dtype).reshape(array.shape)
        found.append(jnp.array(values))  # a copy: a donated argument must not share its memory with NumPy
        start += array.nbytes
    return structure.unflatten(found)


def spread_everywhere(tree: T, sharding: NamedSharding) -> T:
    """Put arrays that all processes have alike on every device of a sharding's mesh."""
    everywhere = NamedSharding(sharding.mesh, PartitionSpec())

    def place(array: Array) -> Array:
        copies = [jax.device_put(array, device) for device in everywhere.addressable_devices]
        return jax.make_array_from_single_device_arrays(np.shape(array), everywhere, copies)

    return jax.tree.map(place, tree)


def _from_first_bytes(given: np.ndarray) -> np.ndarray:
    mesh = all_devices("devices")
    alone = [is_first() and number == 0 for number in range(len(mesh.local_devices))]
    pieces = [
        jax.device_put((given if is_source else np.zeros_like(given))[None], device)
        for is_source, device in zip(alone, mesh.local_devices, strict=True)
    ]
    by_device = NamedSharding(mesh, PartitionSpec("devices"))
    each = jax.make_array_from_single_device_arrays((mesh.size, len(given)), by_device, pieces)
    return np.asarray(_sum_everywhere(mesh)(each))


@functools.cache
def _sum_everywhere(mesh: Mesh) -> Callable[[Array], Array]:
    everywhere = NamedSharding(mesh, PartitionSpec())
    return jax.jit(lambda each: jnp.sum(each, axis=0, dtype=each.dtype), out_shardings=everywhere)


def whole_on_host(array: Array | np.ndarray) -> np.ndarray:
    """Return all of an array, wherever it lies; where devices of other processes hold some of it, all must ask."""
    if isinstance(array, jax.Array) and not (array.is_fully_addressable or array.is_fully_replicated):
        return np.asarray(multihost_utils.process_allgather(array, tiled=True))
    return np.asarray(array)


def on_this_host(tree: T) -> T:
    """Copy arrays that all devices have alike to this process's default device, free to be used with any others."""
    return jax.tree.map(lambda array: jnp.array(np.asarray(array)), tree)
