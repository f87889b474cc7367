"""Core-set selection from a pool on the disk: the picks of the textbook for a few passes over the disk.

What is known of all rows (their distance to the nearest center) stays in memory, 4 bytes a row. The rows that are
farthest are read, as many as fill a block, and greedy k-center goes on among them alone until some row outside might
come next; then one pass over the disk folds all its picks in at once.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.acquisition.streamed_rows import (
    StreamedPool,
    StreamedQuery,
    Winners,
    faults_of,
    padded_rows,
    read_rows,
    refuse_faults,
    row_blocks,
    rows_of_bytes,
)
from jaxal.acquisition.streamed_state import Kept, save_state
from jaxal.kernels.distances import embedding_geometry, embedding_points
from jaxal.kernels.farthest_first import CANDIDATES, Outside, farthest_first, nothing_outside
from jaxal.kernels.k_center import fold_all_centers, k_center_block_size
from jaxal.kernels.masking import first_argmax, top_values
from jaxal.kernels.nearest_center import take
from jaxal.pool import EXCLUDED, UNLABELED
from jaxal.strategies.core_set import opening_priority
from jaxal.typing import Array, PRNGKey

__all__ = ["streamed_core_set"]

# Centers that are held and folded in at a time, and rows whose mean is taken for a middle.
CENTER_BYTES = 2**28
MIDDLE_ROWS = 256


def streamed_core_set(query: StreamedQuery, *, center_bytes: int = CENTER_BYTES) -> Winners:
    """Choose by greedy k-center, the labeled samples as centers, ties to the lowest row: the picks of `core_set`.

    Args:
        query: as many of the farthest rows are searched as are read at a time. With nothing labeled, its key draws the
            sample that opens.
        center_bytes: of centers that are folded in by one pass; changes time only.

    Returns:
        The picks with their distances to the nearest center when each was picked, inf for one that opens.

    Raises:
        InputError: rows in use hold what cannot be measured.
        DataError: a file of the embeddings is not the one that was written.

    Cost: passes over the disk, one for the labeled samples and one for each time that the rows searched are used up;
    6 bytes a row, and a few blocks. Arithmetic as that of `k_center`.
    """
    pool, num_picks, kept = query.pool, query.num_picks, query.state.kept
    num_rows, width = pool.rows.num_images, pool.rows.image_shape[0]
    labeled = np.flatnonzero(pool.labels >= 0)
    middle = _middle(query)
    most_centers = max(center_bytes // (4 * width), 1)
    if kept is None:
        picks, distances = np.zeros(0, np.int64), np.zeros(0, np.float32)
        if len(labeled) == 0:
            picks, distances = _opening(pool, query.key), np.array([np.inf], np.float32)
        nearest, faults = np.full(num_rows, np.inf, np.float32), np.zeros(num_rows, np.int8)
        num_passes = num_folded = first_row = 0
    else:
        # Copies, since what was read is written to.
        picks, distances, nearest, faults = (
            np.array(kept.arrays[name]) for name in ("picks", "distances", "nearest", "faults")
        )
        num_passes, num_folded, first_row = (kept.numbers[name] for name in ("num_passes", "num_folded", "first_row"))

    def save(first_row: int) -> None:
        numbers = {"num_passes": num_passes, "num_folded": num_folded, "first_row": first_row}
        arrays = {"picks": picks, "distances": distances, "nearest": nearest, "faults": faults}
        save_state(query.state, Kept(numbers, arrays))

    while num_passes == 0 or len(picks) < num_picks:
        centers = np.concatenate([labeled, picks])
        if num_folded == len(centers):
            query.tell("picks", len(picks), num_picks)
            found = _search(query, nearest, picks, middle)
            picks, distances = np.append(picks, found[0]), np.append(distances, found[1])
            if len(picks) == num_picks:
                save(0)
                break
            centers = np.concatenate([labeled, picks])
        new = centers[num_folded : num_folded + most_centers]
        points = embedding_points(padded_rows(query, new, "centers"), middle)
        for part, block in row_blocks(query, first_row, f"rows of pass {num_passes + 1}", save):
            found = _fold_block(block, nearest[part], middle, points, len(new), query.block_bytes)
            nearest[part] = found[0]
            if num_passes == 0:
                faults[part] = found[1]
        if num_passes == 0:
            refuse_faults(faults, pool.labels)
        num_passes, num_folded, first_row = num_passes + 1, num_folded + len(new), 0
        save(first_row)
    query.tell("picks", len(picks), num_picks)
    return Winners(picks, distances, np.zeros(len(picks), np.int32), 0)


def _middle(query: StreamedQuery) -> Array:
    """Average some rows in use, spread over the pool: any point serves, one in their midst best."""
    used = np.flatnonzero(query.pool.labels != EXCLUDED)
    places = np.linspace(0, len(used) - 1, min(MIDDLE_ROWS, len(used))).astype(np.int64)
    rows = query.pool.rows.read(used[places])
    with np.errstate(over="ignore", invalid="ignore"):
        middle = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    return jnp.asarray(np.where(np.isfinite(middle), middle, 0))  # what is not finite is refused later, and counted


def _opening(pool: StreamedPool, key: PRNGKey) -> np.ndarray:
    priority = opening_priority(key, jnp.asarray(pool.sample_ids()))
    opening = first_argmax(jnp.where(jnp.asarray(pool.labels == UNLABELED), priority, -jnp.inf))
    return np.array([int(opening)])


@functools.partial(jax.jit, static_argnums=5)
def _fold_block(
    block: Array, nearest: Array, middle: Array, centers: tuple[Array, ...], num_centers: Array | int, block_bytes: int
) -> tuple[Array, Array]:
    """Lower a block's distances by the new centers, and look for rows that cannot be measured."""
    found = fold_all_centers(
        embedding_geometry(middle),
        embedding_points(block, middle),
        nearest,
        lambda numbers: take(centers, numbers),
        jnp.asarray(num_centers, jnp.int32),
        k_center_block_size(*block.shape),
    )
    return found, faults_of(block)


def _search(
    query: StreamedQuery, nearest: np.ndarray, picks: np.ndarray, middle: Array
) -> tuple[np.ndarray, np.ndarray]:
    """Go on among the farthest rows while the next pick is sure to be among them."""
    num_rows, num_picks = len(nearest), query.num_picks
    is_free = query.pool.labels == UNLABELED
    is_free[picks] = False
    num_searched = min(max(rows_of_bytes(query), min(CANDIDATES, num_rows)), int(is_free.sum()))
    values, order = jax.device_get(_farthest(nearest, is_free, min(num_searched + 1, num_rows)))
    rows = np.sort(order[:num_searched]).astype(np.int64)
    outside = nothing_outside(num_searched)
    if num_searched < num_rows:
        outside = Outside(jnp.asarray(values[-1]), jnp.asarray(np.searchsorted(rows, order[-1]), jnp.int32))
    points, num_left = jnp.asarray(read_rows(query, rows, "farthest rows")), np.int32(num_picks - len(picks))
    # Room for all picks, though some are made already: the shapes of every search are the same.
    found = _pick(points, nearest[rows], middle, outside, num_left, min(num_picks, num_searched), query.block_bytes)
    indices, distances, num_found = jax.device_get(found)
    return rows[indices[:num_found]], distances[:num_found]


@functools.partial(jax.jit, static_argnums=2)
def _farthest(nearest: Array, is_free: Array, num_values: int) -> tuple[Array, Array]:
    return top_values(jnp.where(is_free, nearest, -jnp.inf), num_values)


@functools.partial(jax.jit, static_argnums=(5, 6))
def _pick(
    embeddings: Array,
    nearest: Array,
    middle: Array,
    outside: Outside,
    num_left: Array,
    query_size: int,
    block_bytes: int,
) -> tuple[Array, Array, Array]:
    num_rows = embeddings.shape[0]
    return farthest_first(
        embedding_geometry(middle),
        embedding_points(embeddings, middle),
        nearest,
        jnp.ones(num_rows, bool),
        jnp.full(query_size, num_rows, jnp.int32),
        jnp.full(query_size, jnp.nan, embeddings.dtype),
        jnp.asarray(0, jnp.int32),
        jnp.minimum(num_left, query_size),
        outside,
        block_size=k_center_block_size(*embeddings.shape),
    )
