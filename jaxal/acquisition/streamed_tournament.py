"""Strategies that rank rows one by one, on a pool that stays on the disk: each block competes with the best so far.

Whether a row is among the best Q does not depend on rows that are not: so the strategy itself, as it is, chooses Q from
the labeled samples, the Q best of the blocks before and the rows of one block, and after the last block has the picks
of the whole pool. The same holds where several such rules take turns, each from what the others left.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.acquisition.completion import head_logits
from jaxal.acquisition.streamed_rows import (
    StreamedQuery,
    Winners,
    faults_of,
    read_rows,
    refuse_faults,
    row_blocks,
    rows_of_bytes,
)
from jaxal.acquisition.streamed_state import Kept, save_state
from jaxal.pool import EXCLUDED, new_pool
from jaxal.strategies.strategy import AcquisitionInputs, Strategy
from jaxal.typing import Array, LinearHead, PRNGKey

__all__ = ["choose_among", "inputs_of", "streamed_tournament"]


def streamed_tournament(strategy: Strategy, query: StreamedQuery, *, uses_labels: bool, uses_noise: bool) -> Winners:
    """Choose by a strategy that ranks rows one by one: the picks it makes of the pool in memory.

    Scores are computed block by block; where the products of a block differ in their last bits from those of the whole
    pool, two rows whose scores are as close as that may change places.

    Args:
        strategy: it ranks rows by what is known of each alone, and of the labeled samples.
        query: more rows are read at a time where as many are picked or labeled.
        uses_labels: whether the strategy looks at labeled samples; they are then held in memory.
        uses_noise: whether it draws noise by ids.

    Raises:
        InputError: rows in use hold what cannot be ranked.
        DataError: a file of the embeddings is not the one that was written.

    Cost: one pass over the disk, and the strategy on (L + Q + B) rows for each B read; B is at least L and Q.
    """
    pool, num_picks, kept = query.pool, query.num_picks, query.state.kept
    num_rows = pool.rows.num_images
    labeled = np.flatnonzero(pool.labels >= 0) if uses_labels else np.zeros(0, np.int64)
    block_rows = min(max(rows_of_bytes(query), num_picks, len(labeled)), num_rows)
    ids = pool.sample_ids() if uses_noise else np.arange(num_rows, dtype=np.int32)
    if kept is None:
        best, faults, first_row = np.zeros(0, np.int64), np.zeros(num_rows, np.int8), 0
    else:
        best, faults = (np.array(kept.arrays[name]) for name in ("best", "faults"))
        first_row = kept.numbers["first_row"]

    def save(first_row: int) -> None:
        save_state(query.state, Kept({"first_row": first_row}, {"best": best, "faults": faults}))

    # Padding: rows that may never be asked.
    best_rows = np.zeros((num_picks, *pool.rows.image_shape), np.float32)
    best_rows[: len(best)] = read_rows(query, best, "rows of the best")
    best_rows, labeled_rows = jnp.asarray(best_rows), jnp.asarray(read_rows(query, labeled, "labeled rows"))
    result = None
    # Where every row has had its turn, the best compete once more, beside a block with nothing new.
    for part, block in row_blocks(query, min(first_row, num_rows - 1), "rows", save, block_rows=block_rows):
        in_block = np.arange(part.start, part.stop)
        seats = np.concatenate([labeled, best, np.zeros(num_picks - len(best), np.int64), in_block])
        labels = pool.labels[seats]
        labels[len(labeled) + len(best) : len(labeled) + num_picks] = EXCLUDED
        is_seen = in_block < first_row
        block_labels = labels[len(labeled) + num_picks :]
        block_labels[is_seen | (block_labels >= 0)] = EXCLUDED
        faults[part] = _faults(block, pool.head)
        parts = (labeled_rows, best_rows, block)
        places, best_rows, scores, reasons, num_fallback = choose_among(
            strategy, query.key, parts, labels, ids[seats], pool.head, num_picks, query.block_bytes
        )
        places = np.asarray(places)
        is_pick = places < len(seats)
        chosen = seats[places[is_pick]]
        result = Winners(chosen, np.asarray(scores)[is_pick], np.asarray(reasons)[is_pick], int(num_fallback))
        best, first_row = np.sort(chosen), part.stop
    refuse_faults(faults, pool.labels)
    save(num_rows)
    assert result is not None
    return result


@jax.jit
def _faults(block: Array, head: LinearHead | None) -> Array:
    return faults_of(block) if head is None else faults_of(block, head_logits(block, head))


@functools.partial(jax.jit, static_argnums=(0, 6, 7))
def choose_among(
    strategy: Strategy,
    key: PRNGKey,
    parts: tuple[Array, ...],
    labels: Array,
    ids: Array,
    head: LinearHead | None,
    query_size: int,
    block_bytes: int,
) -> tuple[Array, ...]:
    """Choose by a strategy among the rows of some parts of a pool.

    Returns:
        (places chosen, the rows chosen in the order of their places, score, reason, num_fallback).
    """
    inputs = inputs_of(parts, labels, ids, head, query_size)
    query, _, info = strategy.acquire(key, strategy.init(inputs), inputs, query_size)
    best = inputs.embeddings.at[jnp.sort(query.indices)].get(mode="fill", fill_value=0)
    return query.indices, best, info.score, info.reason, info.num_fallback


def inputs_of(
    parts: tuple[Array, ...], labels: Array, ids: Array, head: LinearHead | None, num_wanted: int
) -> AcquisitionInputs:
    """Make of the rows of some parts of a pool what a strategy looks at."""
    rows = jnp.concatenate(parts)
    return AcquisitionInputs(
        pool=new_pool(labels),
        embeddings=rows,
        sample_ids=ids,
        labels_left=jnp.asarray(num_wanted, jnp.int32),
        logits=None if head is None else head_logits(rows, head),
        head=head,
    )
