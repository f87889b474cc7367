"""A pool whose embeddings stay on the disk, and its rows block by block."""

import math
import time
from collections.abc import Callable, Generator
from contextlib import closing
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxal.acquisition.streamed_state import StateFolder
from jaxal.data.loading import Images, load_batches
from jaxal.kernels.k_center import CENTERS_PER_PASS
from jaxal.kernels.progress import Listener
from jaxal.pool import EXCLUDED
from jaxal.strategies.inputs import NOT_FINITE, TOO_LONG, refuse_rows
from jaxal.training.placement import batch_starts, stream_batches
from jaxal.typing import Array, Float, LinearHead, PRNGKey

__all__ = [
    "BLOCK_BYTES",
    "StreamedPool",
    "StreamedQuery",
    "Winners",
    "due",
    "faults_of",
    "padded_rows",
    "read_rows",
    "refuse_faults",
    "row_blocks",
    "rows_of_bytes",
]

# Of the rows that are read at a time; a few blocks are on their way at once.
BLOCK_BYTES = 2**26
# That lie here and there, for each thread.
ROWS_AT_A_TIME = 256
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


class StreamedQuery(NamedTuple):
    """What one selection is of, and how it goes."""

    pool: StreamedPool
    key: PRNGKey
    num_picks: int  # Q; at least so many rows are unlabeled
    state: StateFolder  # where to go on, and to keep how far it has come
    block_bytes: int  # that temporaries may take, as in `select`
    read_bytes: int  # of rows that are read at a time; changes time only
    tell: Listener  # is told how far it has come
    waited: Callable[[float], None]  # is told for how many seconds a block was waited for


class Winners(NamedTuple):
    """The picks of a strategy, and what is told of each."""

    rows: np.ndarray  # int64 [Q], in the order chosen
    scores: np.ndarray  # float32 [Q]
    reasons: np.ndarray  # int32 [Q]
    num_fallback: int


def rows_of_bytes(query: StreamedQuery) -> int:
    """Count the rows that are read at a time, at least 1 and at most N."""
    rows = query.pool.rows
    return min(max(query.read_bytes // (4 * rows.image_shape[0]), 1), rows.num_images)


def read_rows(query: StreamedQuery, rows: np.ndarray, what: str) -> np.ndarray:
    """Read some rows, [R, D], by threads: they may lie in as many files, each of which is hashed the first time.

    Args:
        query: whose pool to read.
        rows: int64 [R], ascending where that matters for speed.
        what: is counted, for who is told.
    """
    images = query.pool.rows
    found, done = np.empty((len(rows), *images.image_shape), np.float32), 0
    parts = np.array_split(rows, -(-len(rows) // ROWS_AT_A_TIME)) if len(rows) else []
    began = time.monotonic()
    with closing(load_batches(images.read, parts)) as batches:
        for batch in batches:
            found[done : done + len(batch)] = batch
            done += len(batch)
            query.tell(what, done, len(rows))
    query.waited(time.monotonic() - began)
    return found


def padded_rows(query: StreamedQuery, rows: np.ndarray, what: str) -> Float[Array, "P D"]:
    """Read new centers, filled up with zeros so that few numbers of them are compiled for."""
    widest = CENTERS_PER_PASS[0]
    room = widest * 2 ** max(math.ceil(math.log2(max(len(rows), 1) / widest)), 0)
    centers = np.zeros((room, *query.pool.rows.image_shape), np.float32)
    centers[: len(rows)] = read_rows(query, rows, what)
    return jnp.asarray(centers)


def due() -> Callable[[], bool]:
    """Make a clock that says every now and then that it is time to save."""
    last = [time.monotonic()]

    def is_due() -> bool:
        if time.monotonic() - last[0] < SECONDS_BETWEEN_SAVES:
            return False
        last[0] = time.monotonic()
        return True

    return is_due


def row_blocks(
    query: StreamedQuery, first_row: int, what: str, save: Callable[[int], None], *, block_rows: int | None = None
) -> Generator[tuple[slice, Float[Array, "B D"]], None, None]:
    """Read the pool from some row on, the next block while one is worked on.

    Args:
        query: whose pool to read.
        first_row: rows before it are done.
        what: is counted, for who is told.
        save: called now and then after a block, with the number of the first row that is not done.
        block_rows: B; as many as are read at a time where absent. The last block overlaps the one before, so that all
            are as long.

    Yields:
        (where the block lies in the pool, the block).
    """
    rows = query.pool.rows
    size, is_due = block_rows or rows_of_bytes(query), due()
    starts = [start for start in batch_starts(rows.num_images, size) if start + size > first_row]
    with closing(stream_batches(rows, (np.arange(start, start + size) for start in starts))) as blocks:
        for start in starts:
            began = time.monotonic()
            block = next(blocks)
            query.waited(time.monotonic() - began)
            yield slice(start, start + size), block
            query.tell(what, start + size, rows.num_images)
            if is_due():
                save(start + size)


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
