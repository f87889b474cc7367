"""Strategies that rank rows one by one, on a pool that stays on the disk: each block competes with the best so far.

Whether a row is among the best Q does not depend on rows that are not: so the strategy itself, as it is, chooses Q from
the labeled samples, the Q best of the blocks before and the rows of one block, and after the last block has the picks
of the whole pool. The same holds where several such rules take turns, each from what the others left.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.acquisition.completion import head_logits
from jaxal.acquisition.streamed_rows import (
    StreamedPool,
    due,
    faults_of,
    refuse_faults,
    row_blocks,
    rows_of_bytes,
)
from jaxal.acquisition.streamed_state import Kept, StateFolder, save_state
from jaxal.kernels.progress import Listener
from jaxal.pool import EXCLUDED, new_pool
from jaxal.strategies.strategy import AcquisitionInputs, Strategy
from jaxal.typing import Array, LinearHead, PRNGKey

__all__ = ["Winners", "streamed_tournament"]


class Winners(NamedTuple):
    """The picks of a strategy, and what is told of each."""

    rows: np.ndarray  # int64 [Q], in the order chosen
    scores: np.ndarray  # float32 [Q]
    reasons: np.ndarray  # int32 [Q]
    num_fallback: int


def streamed_tournament(
    strategy: Strategy,
    pool: StreamedPool,
    key: PRNGKey,
    num_picks: int,
    state: StateFolder,
    block_bytes: int,
    *,
    uses_labels: bool,
    uses_noise: bool,
    by_logits: bool,
    tell: Listener,
    read_bytes: int,
) -> Winners:
    """Choose by a strategy that ranks rows one by one: the picks it makes of the pool in memory.

    Scores are computed block by block; where the products of a block differ in their last bits from those of the whole
    pool, two rows whose scores are as close as that may change places.

    Args:
        strategy: it ranks rows by what is known of each alone, and of the labeled samples.
        pool: at least num_picks rows of it are unlabeled.
        key: of the selection.
        num_picks: Q.
        state: where to go on, and to keep how far it has come.
        block_bytes: that temporaries may take, as in `select`.
        uses_labels: whether the strategy looks at labeled samples; they are then held in memory.
        uses_noise: whether it draws noise by ids.
        by_logits: whether it looks at the head's logits alone; these are then held of the best rows, not embeddings.
        tell: is told how far it has come.
        read_bytes: of rows that are read at a time, more where as many are picked or labeled; changes time only.

    Raises:
        InputError: rows in use hold what cannot be ranked.
        DataError: the embeddings were changed meanwhile.

    Cost: one pass over the disk, and the strategy on (L + Q + B) rows for each B read; B is at least L and Q.
    """
    num_rows = pool.rows.num_images
    labeled = np.flatnonzero(pool.labels >= 0) if uses_labels else np.zeros(0, np.int64)
    block_rows = min(max(rows_of_bytes(read_bytes, pool), num_picks, len(labeled)), num_rows)
    ids = pool.sample_ids() if uses_noise else np.arange(num_rows, dtype=np.int32)
    if state.kept is None:
        best, faults, first_row = np.zeros(0, np.int64), np.zeros(num_rows, np.int8), 0
    else:
        best, faults = (np.array(state.kept.arrays[name]) for name in ("best", "faults"))
        first_row = state.kept.numbers["first_row"]

    # Padding: rows that may never be asked.
    best_rows = np.zeros((num_picks, *pool.rows.image_shape), np.float32)
    best_rows[: len(best)] = pool.rows.read(best)
    known_of_best, _ = _known(jnp.asarray(best_rows), pool.head, by_logits)
    known_of_labeled, _ = _known(jnp.asarray(pool.rows.read(labeled)), pool.head, by_logits)
    del best_rows
    is_due, result = due(), None
    # Where every row has had its turn, the best compete once more, beside a block with nothing new.
    for start, block in row_blocks(pool, min(first_row, num_rows - 1), block_rows, tell, "rows"):
        seats = np.concatenate(
            [labeled, best, np.zeros(num_picks - len(best), np.int64), start + np.arange(block_rows)]
        )
        labels = pool.labels[seats]
        labels[len(labeled) + len(best) : len(labeled) + num_picks] = EXCLUDED
        is_seen = start + np.arange(block_rows) < first_row
        in_block = slice(len(labeled) + num_picks, None)
        labels[in_block] = np.where(is_seen | (labels[in_block] >= 0), EXCLUDED, labels[in_block])
        known, faults[start : start + block_rows] = _known(block, pool.head, by_logits)
        parts = (known_of_labeled, known_of_best, known)
        places, known_of_best, scores, reasons, num_fallback = _choose(
            strategy, key, parts, labels, ids[seats], pool.head, num_picks, by_logits, block_bytes
        )
        places = np.asarray(places)
        is_pick = places < len(seats)
        chosen = seats[places[is_pick]]
        result = Winners(chosen, np.asarray(scores)[is_pick], np.asarray(reasons)[is_pick], int(num_fallback))
        best = np.sort(chosen)
        first_row = start + block_rows
        if is_due() or first_row == num_rows:
            save_state(state, Kept({"first_row": first_row}, {"best": best, "faults": faults}))
    refuse_faults(faults, pool.labels)
    assert result is not None
    return result


@functools.partial(jax.jit, static_argnums=2)
def _known(block: Array, head: LinearHead | None, by_logits: bool) -> tuple[Array, Array]:
    """Make of some rows what is held of them (embeddings or logits), and mark their faults."""
    if head is None:
        return block, faults_of(block)
    logits = head_logits(block, head)
    return logits if by_logits else block, faults_of(block, logits)


@functools.partial(jax.jit, static_argnums=(0, 6, 7, 8))
def _choose(
    strategy: Strategy,
    key: PRNGKey,
    parts: tuple[Array, ...],
    labels: Array,
    ids: Array,
    head: LinearHead | None,
    query_size: int,
    by_logits: bool,
    block_bytes: int,
) -> tuple[Array, ...]:
    """Choose among the rows of the parts; returns the places chosen in order, what is known of those in the order of
    the rows, and what is told of each."""
    known = jnp.concatenate(parts)
    if by_logits:
        logits, head = known, None
    else:
        logits = None if head is None else head_logits(known, head)
    inputs = AcquisitionInputs(
        pool=new_pool(labels),
        embeddings=known,
        sample_ids=ids,
        labels_left=jnp.asarray(query_size, jnp.int32),
        logits=logits,
        head=head,
    )
    query, _, info = strategy.acquire(key, strategy.init(inputs), inputs, query_size)
    best = known.at[jnp.sort(query.indices)].get(mode="fill", fill_value=0)
    return query.indices, best, info.score, info.reason, info.num_fallback
