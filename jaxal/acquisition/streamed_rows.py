"""A pool whose embeddings stay on the disk, and its rows block by block."""

import time
from collections.abc import Callable, Generator
from contextlib import closing
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxal.data.loading import Images
from jaxal.kernels.progress import Listener
from jaxal.pool import EXCLUDED
from jaxal.strategies.inputs import NOT_FINITE, TOO_LONG, refuse_rows
from jaxal.training.placement import batch_starts, stream_batches
from jaxal.typing import Array, Float, LinearHead

__all__ = ["BLOCK_BYTES", "StreamedPool", "due", "faults_of", "refuse_faults", "row_blocks", "rows_of_bytes"]

# Of the rows that are read at a time; a few blocks are on their way at once.
BLOCK_BYTES = 2**26
# What is lost at most when a process is killed, and what saving may cost beside that.
SECONDS_BETWEEN_SAVES = 30.0
NOT_FINITE_LOGITS = "give logits that are not finite in float32 (embeddings @ weight + bias)"
FAULTS = ((1, "embeddings", NOT_FINITE), (2, "embeddings", TOO_LONG), (3, "head", NOT_FINITE_LOGITS))


class StreamedPool(NamedTuple):
    """What `select_streamed` chooses from."""

    rows: Images  # float32 [N, D], read from the disk where they are wanted
    labels: np.ndarray  # int32 [N]: a class, UNLABELED or EXCLUDED
    sample_ids: Callable[[], np.ndarray]  # makes int32 [N], for strategies that draw noise
    num_classes: int
    head: LinearHead | None
    digest: str  # of the embeddings and their ids


def rows_of_bytes(num_bytes: int, pool: StreamedPool) -> int:
    """Count the rows that fill so many bytes, at least 1 and at most N."""
    return min(max(num_bytes // (4 * pool.rows.image_shape[0]), 1), pool.rows.num_images)


def row_blocks(
    pool: StreamedPool, first_row: int, block_rows: int, tell: Listener, what: str
) -> Generator[tuple[int, Float[Array, "B D"]], None, None]:
    """Read the pool from some row on, the next block while one is worked on.

    Args:
        pool: to read.
        first_row: rows before it are done.
        block_rows: B; the last block overlaps the one before, so that all are as long.
        tell: is told after each block.
        what: is counted.

    Yields:
        (number of the block's first row, the block).
    """
    num_rows = pool.rows.num_images
    starts = [start for start in batch_starts(num_rows, block_rows) if start + block_rows > first_row]
    batches = (np.arange(start, start + block_rows) for start in starts)
    with closing(stream_batches(pool.rows, batches)) as blocks:
        for start, block in zip(starts, blocks, strict=True):
            yield start, block
            tell(what, start + block_rows, num_rows)


def due() -> Callable[[], bool]:
    """Make a clock that says every now and then that it is time to save."""
    last = time.monotonic()

    def is_due() -> bool:
        nonlocal last
        now = time.monotonic()
        if now - last < SECONDS_BETWEEN_SAVES:
            return False
        last = now
        return True

    return is_due


def faults_of(block: Float[Array, "B D"], *logits: Float[Array, "B C"]) -> Array:
    """Mark what is wrong with each row of a block, int8 [B]: 0 nothing, else as in FAULTS."""
    is_finite = jnp.all(jnp.isfinite(block), axis=1)
    is_long = ~jnp.isfinite(jnp.sum(jnp.square(2 * block), axis=1))
    is_bad = jnp.zeros_like(is_long)
    for each in logits:
        is_bad |= ~jnp.all(jnp.isfinite(each), axis=1)
    return jnp.where(~is_finite, 1, jnp.where(is_long, 2, jnp.where(is_bad, 3, 0))).astype(jnp.int8)


def refuse_faults(faults: np.ndarray, labels: np.ndarray) -> None:
    """Refuse a pool that has rows with faults among those in use.

    Raises:
        InputError: says how many, which, and what is wrong.
    """
    for fault, name, what in FAULTS:
        refuse_rows(name, (faults == fault) & (labels != EXCLUDED), what)
