"""A pool whose rows lie on several devices: each works on its own rows, and only small results travel.

Arrays are global throughout: a kernel sees N rows, wherever they lie. What passes over embeddings or logits runs on
each device with the rows that lie there (`on_own_rows`), and never reads those of another. What is a few numbers a row
is left to the compiler, which adds the collectives itself.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxal.kernels.progress import progress_to
from jaxal.kernels.tracing import set_while
from jaxal.typing import Array, Int32

__all__ = [
    "BY_ROWS",
    "EVERYWHERE",
    "POOL_AXIS",
    "current_mesh",
    "everywhere",
    "exchange_rows",
    "first_own_row",
    "fold_over_devices",
    "gathered",
    "on_each_device",
    "on_own_rows",
    "pool_mesh",
    "take",
    "take_rows",
]

POOL_AXIS = "pool"
BY_ROWS, EVERYWHERE = PartitionSpec(POOL_AXIS), PartitionSpec()

T = TypeVar("T")

_mesh: ContextVar[Mesh | None] = ContextVar("pool_mesh", default=None)


def pool_mesh(mesh: Mesh | None) -> AbstractContextManager[None]:
    """Have every computation that is traced inside take the pool's rows as spread over a mesh; None for one device.

    A mesh is read while tracing only (`set_while`). It changes where work is done; sums over rows may differ by
    rounding. It may span several processes, which must then run the same program.

    Args:
        mesh: with one axis, POOL_AXIS, of type Auto. N must be a multiple of its devices: fill a pool up with EXCLUDED
            rows (`strategies.spread_pool`).
    """
    return set_while(_mesh, mesh)


def current_mesh() -> Mesh | None:
    """Return the mesh that is set, None where the pool lies on one device."""
    return _mesh.get()


def on_each_device(mesh: Mesh, device_fn: Callable[..., Any], in_specs: Any, out_specs: Any) -> Callable[..., Any]:
    """Run a function on each device of a mesh, on the part of its arguments that lies there.

    Inside no mesh is set, and nobody is told of progress: it would be told once a device. What the function closes over
    every device has whole: it must never be an array of the pool's rows. Rows of such an array are to be read by
    `take`; jax refuses other ways.

    Args:
        mesh: of the pool.
        device_fn: may use collectives over POOL_AXIS.
        in_specs: of its arguments, BY_ROWS or EVERYWHERE, one for each or for all.
        out_specs: likewise of its results; the devices must agree on one that is EVERYWHERE.
    """

    def on_this(*arguments: Any) -> Any:
        with pool_mesh(None), progress_to(None):
            return device_fn(*arguments)

    return jax.shard_map(on_this, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)


def on_own_rows(rows_fn: Callable[..., T], *arrays: Any) -> T:
    """Apply a function whose results depend row by row on its arguments, on each device to the rows that lie there.

    Args:
        rows_fn: arrays of some rows -> arrays of the same rows.
        arrays: of the pool's rows, or trees of them; all that the function reads of rows must be among them.
    """
    mesh = current_mesh()
    return rows_fn(*arrays) if mesh is None else on_each_device(mesh, rows_fn, BY_ROWS, BY_ROWS)(*arrays)


def gathered(mesh: Mesh, device_fn: Callable[..., T], *arrays: Any) -> T:
    """Run a function on each device's own rows, and give all devices what each found, in the order of the devices.

    Args:
        mesh: of the pool.
        device_fn: the device's rows of each array -> arrays, or a tree of them, that share their first axis.
        arrays: of the pool's rows, or trees of them.
    """

    def find_and_share(*arrays: Any) -> T:
        return jax.lax.all_gather(device_fn(*arrays), POOL_AXIS, tiled=True)

    return on_each_device(mesh, find_and_share, BY_ROWS, EVERYWHERE)(*arrays)


def first_own_row(num_own: int) -> Int32[Array, ""]:
    """Inside `on_each_device`: the number in the pool of this device's first row, where each device has num_own."""
    return jax.lax.axis_index(POOL_AXIS).astype(jnp.int32) * num_own


def fold_over_devices(fold: Callable[[T], T], total: T) -> T:
    """Inside `on_each_device`: let each device add to a total, and give all of them the sum.

    The first device starts from the total, the others from zero.
    """
    is_first = jax.lax.axis_index(POOL_AXIS) == 0
    start = jax.tree.map(lambda each: jnp.where(is_first, each, jnp.zeros_like(each)), total)
    return jax.lax.psum(fold(start), POOL_AXIS)


def everywhere(values: T) -> T:
    """Give every device all of an array that has little of each row, so that what follows needs no collective."""
    mesh = current_mesh()
    return values if mesh is None else jax.lax.with_sharding_constraint(values, NamedSharding(mesh, EVERYWHERE))


def take(points: T, rows: Array, axis: int = 0) -> T:
    """Read some rows of arrays that lie here whole, or of this device's part; rows beyond the last read the last."""
    return jax.tree.map(lambda array: jnp.take(array, rows, axis=axis, mode="clip"), points)


def exchange_rows(own: Array, rows: Array) -> Array:
    """Inside `on_each_device`: read rows of the pool, each device those that it asks for; all must ask at once.

    Args:
        own: this device's rows [n, …].
        rows: int32, each device's own, of one shape; what lies beyond the last row reads 0.

    Cost: a sum of what all devices ask for, of which each device gets its part.
    """
    place = jax.lax.all_gather(rows, POOL_AXIS) - first_own_row(own.shape[0])
    is_own = (place >= 0) & (place < own.shape[0])
    is_own = is_own.reshape(is_own.shape + (1,) * (own.ndim - 1))
    return jax.lax.psum_scatter(jnp.where(is_own, take(own, place), 0), POOL_AXIS)


def take_rows(points: T, rows: Array, axis: int = 0) -> T:
    """Read some rows of the pool's arrays, for every device; rows beyond the last read the last.

    Cost over devices: one sum of as many rows as are read. Only the device that has a row adds anything to it.

    Args:
        points: arrays [N, …], or a tree of them.
        rows: int32 [B], 0 or more, known to every device.
        axis: of the rows in the arrays.
    """
    mesh = current_mesh()
    if mesh is None:
        return take(points, rows, axis)

    def take_own(points: T, rows: Array) -> T:
        def read(array: Array) -> Array:
            num_own = array.shape[axis]
            last = num_own * mesh.size - 1
            place = jnp.minimum(rows, last) - first_own_row(num_own)
            is_own = (place >= 0) & (place < num_own)
            is_own = is_own.reshape(is_own.shape + (1,) * (array.ndim - 1 - axis))
            values = jnp.where(is_own, take(array, place, axis), jnp.zeros((), array.dtype))
            return values.astype(jnp.int32) if array.dtype == bool else values

        summed = jax.lax.psum(jax.tree.map(read, points), POOL_AXIS)
        return jax.tree.map(lambda values, array: values.astype(array.dtype), summed, points)

    by_rows = PartitionSpec(*(None,) * axis, POOL_AXIS)
    return on_each_device(mesh, take_own, (by_rows, EVERYWHERE), EVERYWHERE)(points, rows)
