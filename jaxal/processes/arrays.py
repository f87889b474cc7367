"""Arrays that every process has alike, and global ones that lie on the devices of all."""

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

from jaxal.processes.talking import from_first, num_processes
from jaxal.typing import Array

__all__ = ["from_first_arrays", "on_this_host", "spread_everywhere", "whole_on_host"]

T = TypeVar("T")


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
    given = np.asarray(multihost_utils.broadcast_one_to_all(np.frombuffer(whole, np.uint8))).tobytes()
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


def whole_on_host(array: Array | np.ndarray) -> np.ndarray:
    """Return all of an array, wherever it lies; where devices of other processes hold some of it, all must ask."""
    if isinstance(array, jax.Array) and not (array.is_fully_addressable or array.is_fully_replicated):
        return np.asarray(multihost_utils.process_allgather(array, tiled=True))
    return np.asarray(array)


def on_this_host(tree: T) -> T:
    """Copy arrays that all devices have alike to this process's default device, free to be used with any others."""
    return jax.tree.map(lambda array: jnp.array(np.asarray(array)), tree)
