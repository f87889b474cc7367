"""Lay a pool out over several devices, by rows."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxal.errors import InputError
from jaxal.kernels.pool_mesh import EVERYWHERE, POOL_AXIS
from jaxal.pool import EXCLUDED
from jaxal.strategies.strategy import AcquisitionInputs
from jaxal.typing import Array

__all__ = ["held_on_host", "local_mesh", "make_pool_mesh", "pad_inputs", "spread_inputs"]


def make_pool_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Make the mesh that `pool_mesh` takes, of these devices; None: of all there are, those of other processes too."""
    found = jax.devices() if devices is None else devices
    return jax.make_mesh((len(found),), (POOL_AXIS,), axis_types=(AxisType.Auto,), devices=found)


def local_mesh(name: str, num_devices: int | None) -> Mesh | None:
    """Make a mesh of this process's devices; None where the pool is to lie on one.

    Args:
        name: of the setting, for the refusal.
        num_devices: how many; None: all there are, on CPUs one (all cores are at work on it).

    Raises:
        InputError: fewer are there.
    """
    found = jax.local_devices()
    number = (1 if found[0].platform == "cpu" else len(found)) if num_devices is None else num_devices
    if number > len(found):
        raise InputError(f"{name}: {number} asked for, but this process has {len(found)} ({found[0].platform})")
    return None if number == 1 else make_pool_mesh(found[:number])


def held_on_host(mesh: Mesh | None) -> AbstractContextManager[object]:
    """Keep on the host what is read of a pool that is to be spread: one device may have no room for all of it.

    Nothing changes where there is no mesh, or where jax has no host (JAX_PLATFORMS leaves it out).
    """
    try:
        return nullcontext() if mesh is None else jax.default_device(jax.local_devices(backend="cpu")[0])
    except RuntimeError:
        return nullcontext()


def pad_inputs(inputs: AcquisitionInputs, num_rows: int) -> AcquisitionInputs:
    """Fill a pool up to num_rows with EXCLUDED rows at its end, which change no pick."""

    def fill(array: Array, axis: int, value: int) -> Array:
        widths = [(0, num_rows - size if each == axis else 0) for each, size in enumerate(array.shape)]
        return jnp.pad(array, widths, constant_values=value)

    return inputs if inputs.sample_ids.shape[0] == num_rows else _with_rows(inputs, fill)


def spread_inputs(inputs: AcquisitionInputs, mesh: Mesh) -> AcquisitionInputs:
    """Lay a pool out over a mesh, for what is traced under `pool_mesh`: rows by device, the rest on every device.

    N is filled up to a multiple of the devices, so picks that are no picks hold a larger N than the pool's.
    """

    def place(array: Array, axis: int, _: int) -> Array:
        return jax.device_put(array, NamedSharding(mesh, PartitionSpec(*(None,) * axis, POOL_AXIS)))

    inputs = _with_rows(pad_inputs(inputs, -(-inputs.sample_ids.shape[0] // mesh.size) * mesh.size), place)
    whole = (inputs.pool.round, inputs.labels_left, inputs.head)
    number, labels_left, head = jax.device_put(whole, NamedSharding(mesh, EVERYWHERE))
    return inputs._replace(pool=inputs.pool._replace(round=number), labels_left=labels_left, head=head)


def _with_rows(inputs: AcquisitionInputs, change: Callable[[Array, int, int], Array]) -> AcquisitionInputs:
    """Change each array of rows, given the axis of the rows and what rows of no sample hold."""

    def change_given(array: Array | None, axis: int = 0) -> Array | None:
        return None if array is None else change(array, axis, 0)

    return inputs._replace(
        pool=inputs.pool._replace(
            labels=change(inputs.pool.labels, 0, EXCLUDED), queried_at=change(inputs.pool.queried_at, 0, -1)
        ),
        embeddings=change(inputs.embeddings, 0, 0),
        sample_ids=change(inputs.sample_ids, 0, 0),
        logits=change_given(inputs.logits),
        mc_logits=change_given(inputs.mc_logits, 1),
        source_logits=change_given(inputs.source_logits),
    )
