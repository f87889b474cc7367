"""Passes over the pool in blocks of rows, so that memory is set by a byte budget and not by N."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import TypeVar

import jax
import jax.numpy as jnp

from jaxal.typing import Array

__all__ = ["DEFAULT_BLOCK_BYTES", "block_budget", "map_row_blocks", "rows_per_block"]

T = TypeVar("T")

DEFAULT_BLOCK_BYTES = 64 * 2**20
_block_bytes = contextvars.ContextVar("block_bytes", default=DEFAULT_BLOCK_BYTES)


@contextlib.contextmanager
def block_budget(num_bytes: int | None) -> Iterator[None]:
    """Set the byte budget of the blocks of every pass that is traced inside; None keeps what is set.

    A budget is read while tracing only: a jitted function must also take it as a static argument, or it would go on
    with the blocks of its first call. It never changes a value, only the memory that temporaries take.
    """
    token = _block_bytes.set(_block_bytes.get() if num_bytes is None else num_bytes)
    try:
        yield
    finally:
        _block_bytes.reset(token)


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
        block_size: B; a last block that overhangs is filled with copies of row 0 and cut off again.

    Cost: one scan of ceil(N/B) steps; temporaries of one block only.
    """
    num_rows = arrays[0].shape[0]
    num_blocks = -(-num_rows // block_size)
    overhang = num_blocks * block_size - num_rows

    def blocked(array: Array) -> Array:
        padded = jnp.concatenate([array, jnp.broadcast_to(array[:1], (overhang, *array.shape[1:]))])
        return padded.reshape(num_blocks, block_size, *array.shape[1:])

    results = jax.lax.map(lambda block: block_fn(*block), tuple(blocked(array) for array in arrays))
    return jax.tree.map(lambda result: result.reshape(-1, *result.shape[2:])[:num_rows], results)
