"""Passes over the pool in blocks of rows, so that memory is set by a byte budget and not by N."""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from jaxal.kernels.marked_rows import marked_rows
from jaxal.kernels.pool_mesh import (
    BY_ROWS,
    EVERYWHERE,
    current_mesh,
    fold_over_devices,
    on_each_device,
    on_own_rows,
)
from jaxal.kernels.progress import tell
from jaxal.kernels.tracing import set_while
from jaxal.typing import Array

__all__ = [
    "DEFAULT_BLOCK_BYTES",
    "block_budget",
    "fold_listed_rows",
    "map_row_blocks",
    "renew_listed_rows",
    "rows_per_block",
    "scan_row_blocks",
]

S = TypeVar("S")
T = TypeVar("T")

DEFAULT_BLOCK_BYTES = 64 * 2**20
_block_bytes = ContextVar("block_bytes", default=DEFAULT_BLOCK_BYTES)


def block_budget(num_bytes: int | None) -> AbstractContextManager[None]:
    """Set the byte budget of the blocks of every pass that is traced inside; None keeps what is set.

    A budget is read while tracing only (`set_while`). It never changes a value, only the memory that temporaries take.
    """
    return set_while(_block_bytes, _block_bytes.get() if num_bytes is None else num_bytes)


def rows_per_block(bytes_per_row: int, num_rows: int, budget: int | None = None) -> int:
    """Derive how many rows a block may hold: at least 1, at most N, a power of two where it is less than N.

    Args:
        bytes_per_row: what one row needs while its block is worked on, all temporaries counted.
        num_rows: N.
        budget: bytes that one block may take; None = that of `block_budget`, else DEFAULT_BLOCK_BYTES.
    """
    fitting = max((_block_bytes.get() if budget is None else budget) // max(bytes_per_row, 1), 1)
    if fitting >= num_rows:
        return max(num_rows, 1)
    return 1 << (fitting.bit_length() - 1)


def map_row_blocks(block_fn: Callable[..., T], arrays: tuple[Array, ...], block_size: int) -> T:
    """Apply a row-wise function to blocks of rows and join what it returns along the rows.

    Args:
        block_fn: takes one block [B, …] of each array and returns arrays (or a tuple of them) [B, …] that depend
            row by row on its input, so that the block size cannot change a value.
        arrays: arrays that share their first axis N.
        block_size: B.

    Cost: that of `scan_row_blocks`.
    """

    def pass_over(*arrays: Array) -> T:
        return _scan(lambda total, is_new, *blocks: (total, block_fn(*blocks)), (), arrays, block_size)[1]

    return on_own_rows(pass_over, *arrays)


def scan_row_blocks(
    block_fn: Callable[..., tuple[S, T]], total: S, arrays: tuple[Array, ...], block_size: int
) -> tuple[S, T]:
    """Pass over blocks of rows, carrying a total from block to block and joining what is returned for the rows.

    Args:
        block_fn: (total, is_new [B], one block [B, …] of each array) -> (total, row-wise results [B, …]). Rows that are
            not new have been in the block before: they must not enter the total again.
        total: to start from. Blocks must add to it: where the rows lie on several devices, each device's totals are
            added up once, after the pass.
        arrays: arrays that share their first axis N.
        block_size: B; a last block that would overhang begins earlier and repeats rows.

    Cost: one loop of ceil(N/B) steps; temporaries of one block only, no copy of the arrays.
    """
    mesh = current_mesh()
    if mesh is None:
        return _scan(block_fn, total, arrays, block_size)

    def pass_over(total: S, *arrays: Array) -> tuple[S, T]:
        results = []

        def fold(total: S) -> S:
            total, parts = _scan(block_fn, total, arrays, block_size)
            results.append(parts)
            return total

        return fold_over_devices(fold, total), results[0]

    in_specs = (EVERYWHERE, *(BY_ROWS for _ in arrays))
    return on_each_device(mesh, pass_over, in_specs, (EVERYWHERE, BY_ROWS))(total, *arrays)


def _scan(block_fn: Callable[..., tuple[S, T]], total: S, arrays: tuple[Array, ...], block_size: int) -> tuple[S, T]:
    """Pass over the rows of one device."""
    num_rows = arrays[0].shape[0]
    if block_size >= num_rows:
        return block_fn(total, jnp.ones(num_rows, bool), *arrays)
    num_blocks = -(-num_rows // block_size)
    positions = jnp.arange(block_size, dtype=jnp.int32)
    _, shapes = jax.eval_shape(block_fn, total, positions >= 0, *(array[:block_size] for array in arrays))
    results = jax.tree.map(lambda shape: jnp.zeros((num_rows, *shape.shape[1:]), shape.dtype), shapes)

    def add_block(number: Array, carry: tuple[S, T]) -> tuple[S, T]:
        total, results = carry
        tell("blocks of a pass", number, num_blocks)
        first = jnp.minimum(number * block_size, num_rows - block_size)
        blocks = (_rows_from(array, first, block_size) for array in arrays)
        total, parts = block_fn(total, first + positions >= number * block_size, *blocks)
        write = functools.partial(
            jax.lax.dynamic_update_slice_in_dim, start_index=first, axis=0, allow_negative_indices=False
        )
        return total, jax.tree.map(write, results, parts)

    return jax.lax.fori_loop(0, num_blocks, add_block, (total, results))


def _rows_from(array: Array, first: Array, num_rows: int) -> Array:
    """Read a block of rows; a place counted from the end, which jax would look out for, costs a tenth of a pass."""
    return jax.lax.dynamic_slice_in_dim(array, first, num_rows, allow_negative_indices=False)


def fold_listed_rows(
    block_fn: Callable[..., S], total: S, is_listed: Array, arrays: tuple[Any, ...], block_size: int
) -> S:
    """Add to a total by blocks of the rows that are marked, in their order: what is not marked costs nothing.

    Args:
        block_fn: (total, rows [B], *arrays) -> total; rows are int32 and number those of the arrays that it is given,
            with their length on padding: to be read with mode="clip" or "fill". It must add to the total: where the
            rows lie on several devices, what each has is added up once, after the pass.
        total: to start from.
        is_listed: bool [N].
        arrays: that share their first axis N, or trees of such: all that block_fn reads of rows.
        block_size: B.

    Cost: a loop of ceil(marked / B) steps, known only when it runs.
    """
    mesh = current_mesh()
    if mesh is None:
        return _fold_listed(block_fn, total, is_listed, arrays, block_size)

    def fold(total: S, is_listed: Array, *arrays: Any) -> S:
        return fold_over_devices(lambda start: _fold_listed(block_fn, start, is_listed, arrays, block_size), total)

    in_specs = (EVERYWHERE, BY_ROWS, *(BY_ROWS for _ in arrays))
    return on_each_device(mesh, fold, in_specs, EVERYWHERE)(total, is_listed, *arrays)


def renew_listed_rows(
    block_fn: Callable[..., S], values: S, is_listed: Array, arrays: tuple[Any, ...], block_size: int
) -> S:
    """Write anew what is kept of the rows that are marked, by blocks of them: what is not marked costs nothing.

    Args:
        block_fn: (values, rows [B], *arrays) -> values, as `fold_listed_rows` has it; it reads and writes the values of
            these rows alone, with mode="drop".
        values: arrays that share their first axis N, or a tree of them.
        is_listed: bool [N].
        arrays: likewise, only read.
        block_size: B.

    Cost: that of `fold_listed_rows`; no word between devices.
    """

    def renew(values: S, is_listed: Array, *arrays: Any) -> S:
        return _fold_listed(block_fn, values, is_listed, arrays, block_size)

    return on_own_rows(renew, values, is_listed, *arrays)


def _fold_listed(block_fn: Callable[..., S], total: S, is_listed: Array, arrays: tuple[Any, ...], block_size: int) -> S:
    """Carry a total over the marked rows of one device."""
    num_rows = is_listed.shape[0]
    block_size = min(block_size, max(num_rows, 1))
    rows = marked_rows(is_listed, -(-num_rows // block_size) * block_size)
    num_blocks = -(-jnp.sum(is_listed, dtype=jnp.int32) // block_size)

    def fold_block(number: Array, total: S) -> S:
        tell("blocks of a pass", number, num_blocks)
        block = _rows_from(rows, number * block_size, block_size)
        return block_fn(total, block, *arrays)

    return jax.lax.fori_loop(0, num_blocks, fold_block, total)
