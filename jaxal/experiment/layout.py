"""Where the rows of the pool lie while a strategy chooses: on one device, or shared out to those of all processes."""

from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxal import processes
from jaxal.kernels.pool_mesh import POOL_AXIS
from jaxal.pool import EXCLUDED, PoolState
from jaxal.strategies.spread_pool import local_mesh
from jaxal.strategies.strategy import AcquisitionInputs, Strategy
from jaxal.typing import Array

__all__ = [
    "PoolLayout",
    "lay_out_pool",
    "lay_rows",
    "new_kept",
    "off_mesh",
    "one_device",
    "own_share",
    "spread_own",
    "spread_pool",
    "spread_rows",
]

T = TypeVar("T")


class PoolLayout(NamedTuple):
    """How N rows lie; over several devices they are filled up, behind, to as many on each (rows never to be asked)."""

    num_rows: int  # N
    own: range  # the rows on this process's devices, without those that fill up
    mesh: Mesh | None = None  # of all devices, those of one process side by side; None: all rows lie on one


def one_device(num_rows: int) -> PoolLayout:
    """Lay all rows on one device."""
    return PoolLayout(num_rows, range(num_rows))


def lay_out_pool(num_rows: int) -> PoolLayout:
    """Share the rows out to the devices of all processes, in order; a single process on CPU keeps them on one."""
    is_alone = processes.num_processes() == 1
    mesh = local_mesh("devices", None) if is_alone else processes.all_devices(POOL_AXIS)
    if mesh is None:
        return one_device(num_rows)
    return PoolLayout(num_rows, own_share(num_rows, mesh.size, processes.own_number(), processes.num_processes()), mesh)


def own_share(num_rows: int, num_devices: int, number: int, count: int) -> range:
    """Return the rows of a process, where each device has as many and those of a process lie side by side.

    >>> [own_share(10, 4, number, 2) for number in range(2)]  # 3 rows on each of 4 devices, 2 of them filled up
    [range(0, 6), range(6, 10)]

    Args:
        num_rows: N.
        num_devices: of all processes.
        number: of the process.
        count: of the processes.
    """
    share = -(-num_rows // num_devices) * (num_devices // count)
    return range(min(number * share, num_rows), min((number + 1) * share, num_rows))


def spread_pool(layout: PoolLayout, pool: PoolState) -> PoolState:
    """Share out what every process knows of the pool."""
    labels, queried_at = spread_rows(layout, pool.labels, EXCLUDED), spread_rows(layout, pool.queried_at, -1)
    return pool._replace(labels=labels, queried_at=queried_at)


def spread_rows(layout: PoolLayout, whole: Array, filling: int = 0) -> Array:
    """Share out an array of N rows that every process has whole."""
    return whole if layout.mesh is None else spread_own(layout, whole[layout.own.start : layout.own.stop], filling)


def spread_own(layout: PoolLayout, own: Array, filling: int = 0) -> Array:
    """Make a global array of the rows that each process has of its own share.

    Args:
        layout: of the pool.
        own: [n, …], rows layout.own.
        filling: value of the rows that fill up.
    """
    if layout.mesh is None:
        return own
    size, devices = -(-layout.num_rows // layout.mesh.size), layout.mesh.local_devices
    missing = size * len(devices) - own.shape[0]
    own = jnp.pad(own, [(0, missing), *[(0, 0)] * (own.ndim - 1)], constant_values=filling)
    pieces = [jax.device_put(own[place * size : (place + 1) * size], each) for place, each in enumerate(devices)]
    sharding = NamedSharding(layout.mesh, PartitionSpec(POOL_AXIS))
    return jax.make_array_from_single_device_arrays((size * layout.mesh.size, *own.shape[1:]), sharding, pieces)


def lay_rows(layout: PoolLayout, rows: Array, axis: int = 0) -> Array:
    """Have what was computed from shared-out rows lie as they do."""
    if layout.mesh is None:
        return rows
    return jax.device_put(rows, NamedSharding(layout.mesh, PartitionSpec(*[None] * axis, POOL_AXIS)))


def new_kept(mesh: Mesh, strategy: Strategy, inputs: AcquisitionInputs) -> Any:
    """Start what a strategy keeps, lying as the pool does; what has no axis of its rows lies on every device."""
    num_rows = inputs.sample_ids.shape[0]

    def lying(each: jax.ShapeDtypeStruct) -> NamedSharding:
        return NamedSharding(mesh, PartitionSpec(*(POOL_AXIS if size == num_rows else None for size in each.shape)))

    shardings = jax.tree.map(lying, jax.eval_shape(strategy.init, inputs))
    return jax.jit(strategy.init, out_shardings=shardings)(inputs)


def off_mesh(layout: PoolLayout, tree: T) -> T:
    """Take results that all devices have alike to where a single process would have them."""
    return tree if layout.mesh is None else processes.on_this_host(tree)
