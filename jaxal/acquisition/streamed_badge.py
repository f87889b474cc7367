"""BADGE from a pool on the disk: many draws between two passes, and the picks of the pool in memory.

What is known of all rows (their distance to the nearest gradient drawn) stays in memory, 4 bytes a row. It only falls
while gradients are drawn, and with it falls how early a row may arrive in a block of draws (see
`kernels/distance_sampling.py`). So the rows that would arrive first by what is known are read, more of them than a
block looks at; what is known of these is renewed; and the block is that of the whole pool where all its arrivals come
before the first row that was not read. Where they do not, one pass over the disk renews what is known of all rows.
"""

import functools
from collections.abc import Generator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.acquisition.completion import head_logits
from jaxal.acquisition.streamed_rows import (
    StreamedQuery,
    Winners,
    due,
    faults_of,
    padded_rows,
    read_rows,
    refuse_faults,
    row_blocks,
    rows_of_bytes,
)
from jaxal.acquisition.streamed_state import Kept, save_state
from jaxal.kernels.distance_sampling import ARRIVALS, draw_block, first_arrivals, num_per_pass, row_gumbels
from jaxal.kernels.gradient_embeddings import (
    BLIND,
    DISTANT,
    LARGEST,
    gradient_block_size,
    gradient_geometry,
    member_residual,
)
from jaxal.kernels.k_center import fold_all_centers
from jaxal.kernels.masking import first_argmax, lowest
from jaxal.kernels.nearest_center import Geometry, Points, take
from jaxal.pool import UNLABELED
from jaxal.typing import Array, LinearHead, PRNGKey

__all__ = ["streamed_badge"]

# Rows that are read for each one that a block looks at.
ROWS_PER_ARRIVAL = 64


class _Progress(NamedTuple):
    """How far a selection has come."""

    nearest: np.ndarray  # float32 [N]: squared norms after pass 2, then squared distances to the picks folded in
    faults: np.ndarray  # int8 [N]
    scale: np.ndarray  # float32 [1], by which residuals are divided: their largest entry
    picks: np.ndarray  # int64
    scores: np.ndarray  # float32, in the units of `nearest`, not squared
    num_passes: int
    num_folded: int  # picks that `nearest` knows of
    num_draws: int  # blocks of draws


def streamed_badge(query: StreamedQuery) -> Winners:
    """Choose by k-means++ over the gradients of the last layer: the picks of `badge` for the same seed.

    Args:
        query: its pool has a head.

    Raises:
        InputError: rows in use hold what cannot be measured.
        DataError: a file of the embeddings is not the one that was written.

    Cost: three passes over the disk, and one for each time that the rows read for a block of draws do not decide it;
    for each block 16,384 rows read here and there, and two hashes for each row of the pool. 30 bytes a row, and a few
    blocks.
    """
    pool, num_picks = query.pool, query.num_picks
    first_row, now = _start(query)

    def save(first_row: int) -> None:
        numbers = {name: value for name, value in now._asdict().items() if isinstance(value, int)}
        arrays = {name: value for name, value in now._asdict().items() if name not in numbers}
        save_state(query.state, Kept({**numbers, "first_row": first_row}, arrays))

    def blocks() -> Generator[tuple[slice, Array, np.ndarray], None, None]:
        nonlocal first_row
        for part, block in row_blocks(query, first_row, f"rows of pass {now.num_passes + 1}", save):
            yield part, block, pool.labels[part] == UNLABELED
        first_row = 0

    if now.num_passes == 0:
        for part, block, is_member in blocks():
            now.faults[part], largest = _inspect(block, is_member, pool.head)
            now.scale[0] = max(now.scale[0], float(largest))
        refuse_faults(now.faults, pool.labels)
        now.scale[0] = now.scale[0] or 1
        now = now._replace(num_passes=1)
    if now.num_passes == 1:
        for part, block, is_member in blocks():
            now.nearest[part] = _norms(block, is_member, pool.head, now.scale[0])
        largest = int(first_argmax(jnp.asarray(now.nearest)))
        if now.nearest[largest] > 0:
            now = now._replace(picks=np.array([largest]), scores=np.sqrt(now.nearest[[largest]]))
        now.nearest[:] = np.inf
        now = now._replace(num_passes=2)
        save(0)
    ids, (draw_key, blind_key), is_due = jnp.asarray(pool.sample_ids()), jax.random.split(query.key), due()
    while 0 < len(now.picks) < num_picks:
        query.tell("picks", len(now.picks), num_picks)
        if now.num_folded > 0 and first_row == 0:
            is_left = pool.labels == UNLABELED
            is_left[now.picks] = False
            found = _draw(query, jax.random.fold_in(draw_key, now.num_draws), ids, is_left, now)
            if found is not None:
                rows, distances, has_weight = found
                if not has_weight:
                    break  # what is left are zeros and duplicates
                now = now._replace(
                    picks=np.append(now.picks, rows),
                    scores=np.append(now.scores, distances),
                    num_draws=now.num_draws + 1,
                )
                if is_due():
                    save(0)
                continue
        centers, num_new = padded_rows(query, now.picks[now.num_folded :], "picks"), len(now.picks) - now.num_folded
        for part, block, is_member in blocks():
            now.nearest[part] = _fold_block(
                block, is_member, now.nearest[part], centers, num_new, pool.head, now.scale[0], query.block_bytes
            )
        now = now._replace(num_passes=now.num_passes + 1, num_folded=len(now.picks))
        save(0)
    save(0)
    how = np.full(len(now.picks), DISTANT)
    how[:1] = LARGEST
    blind = _blind(blind_key, ids, pool.labels == UNLABELED, now.picks, num_picks)
    return Winners(
        rows=np.append(now.picks, blind),
        scores=np.append(now.scores * now.scale[0], np.full(len(blind), np.nan)).astype(np.float32),
        reasons=np.append(how, np.full(len(blind), BLIND)).astype(np.int32),
        num_fallback=len(blind),
    )


def _start(query: StreamedQuery) -> tuple[int, _Progress]:
    num_rows, kept = query.pool.rows.num_images, query.state.kept
    if kept is not None:
        # Copies, since what was read is written to.
        values: dict[str, Any] = {name: np.array(each) for name, each in kept.arrays.items()} | kept.numbers
        return values.pop("first_row"), _Progress(**values)
    return 0, _Progress(
        nearest=np.zeros(num_rows, np.float32),
        faults=np.zeros(num_rows, np.int8),
        scale=np.zeros(1, np.float32),
        picks=np.zeros(0, np.int64),
        scores=np.zeros(0, np.float32),
        num_passes=0,
        num_folded=0,
        num_draws=0,
    )


def _draw(
    query: StreamedQuery, block_key: PRNGKey, ids: Array, is_left: np.ndarray, now: _Progress
) -> tuple[np.ndarray, np.ndarray, bool] | None:
    """Draw one block among the rows that may arrive first; None where others might come among them.

    Returns:
        (rows, distances, whether any row that is left has weight).
    """
    num_rows, num_picks = len(is_left), query.num_picks
    num_read = min(ROWS_PER_ARRIVAL * ARRIVALS, max(rows_of_bytes(query), ARRIVALS), num_rows)
    first, order = jax.device_get(_earliest(block_key, now.nearest, ids, is_left, min(num_read + 1, num_rows)))
    bound = first[-1] if num_read < num_rows else -np.inf
    rows = np.sort(order[:num_read]).astype(np.int64)
    new = now.picks[now.num_folded :]
    picked, squared, num_found, arrivals = jax.device_get(
        _draw_among(
            block_key,
            jnp.asarray(read_rows(query, rows, "rows that may be drawn")),
            ids[rows],
            is_left[rows],
            now.nearest[rows],
            padded_rows(query, new, "picks"),
            len(new),
            query.pool.head,
            now.scale[0],
            num_picks - len(now.picks),
            num_per_pass(num_picks - 1),
            query.block_bytes,
        )
    )
    if len(new) and arrivals[-1] <= bound and bound > -np.inf:
        return None
    return rows[picked[:num_found]], np.sqrt(squared[:num_found]), bool(arrivals[0] > -np.inf)


def _points(block: Array, is_member: Array, head: LinearHead, scale: Array) -> tuple[Geometry, Points]:
    residual, _ = member_residual(head_logits(block, head), is_member)
    return gradient_geometry(residual / scale, block)


@jax.jit
def _inspect(block: Array, is_member: Array, head: LinearHead) -> tuple[Array, Array]:
    logits = head_logits(block, head)
    return faults_of(block, logits), member_residual(logits, is_member)[1]


@jax.jit
def _norms(block: Array, is_member: Array, head: LinearHead, scale: Array) -> Array:
    _, points = _points(block, is_member, head, scale)
    return jnp.where(is_member, points[-1], 0)


@functools.partial(jax.jit, static_argnums=7)
def _fold_block(
    block: Array,
    is_member: Array,
    nearest: Array,
    centers: Array,
    num_centers: Array | int,
    head: LinearHead,
    scale: Array,
    block_bytes: int,
) -> Array:
    """Lower a block's squared distances by new picks."""
    geometry, points = _points(block, is_member, head, scale)
    _, center_points = _points(centers, jnp.ones(centers.shape[0], bool), head, scale)
    return fold_all_centers(
        geometry,
        points,
        nearest,
        lambda numbers: take(center_points, numbers),
        jnp.asarray(num_centers, jnp.int32),
        gradient_block_size(*block.shape),
    )


@functools.partial(jax.jit, static_argnums=4)
def _earliest(block_key: PRNGKey, nearest: Array, ids: Array, is_left: Array, num_rows: int) -> tuple[Array, Array]:
    arrivals = first_arrivals(block_key, nearest, ids, is_left, num_rows)
    return arrivals.first, arrivals.rows


@functools.partial(jax.jit, static_argnums=(10, 11))
def _draw_among(
    block_key: PRNGKey,
    rows: Array,
    ids: Array,
    is_left: Array,
    nearest: Array,
    centers: Array,
    num_centers: Array | int,
    head: LinearHead,
    scale: Array,
    num_left: Array | int,
    per_pass: int,
    block_bytes: int,
) -> tuple[Array, ...]:
    """Draw one block among some rows; returns the places drawn, their squared distances, how many there are, and when
    the rows that were looked at arrive first."""
    is_member = jnp.ones(rows.shape[0], bool)
    nearest = _fold_block(rows, is_member, nearest, centers, num_centers, head, scale, block_bytes)
    geometry, points = _points(rows, is_member, head, scale)
    arrivals = first_arrivals(block_key, nearest, ids, is_left, min(ARRIVALS, rows.shape[0]))
    candidates = take((points, ids, nearest), arrivals.rows)
    block = draw_block(block_key, geometry, *candidates, arrivals, jnp.asarray(num_left, jnp.int32), per_pass)
    return arrivals.rows.at[block.picks].get(mode="clip"), block.distances, block.num_picks, arrivals.first


def _blind(key: PRNGKey, ids: Array, is_selectable: np.ndarray, picks: np.ndarray, num_picks: int) -> np.ndarray:
    """Draw what no gradient tells apart by chance."""
    num_left = num_picks - len(picks)
    if num_left == 0:
        return np.zeros(0, np.int64)
    is_selectable[picks] = False
    rows, _ = lowest((row_gumbels(key, ids),), jnp.asarray(is_selectable), jnp.asarray(num_left, jnp.int32), num_left)
    return np.asarray(rows).astype(np.int64)
