"""Uncertainty sampling from a pool on the disk: one pass, after which two numbers are known of each row."""

import functools

import jax
import numpy as np

from jaxal.acquisition.completion import head_logits
from jaxal.acquisition.streamed_rows import StreamedQuery, Winners, faults_of, refuse_faults, row_blocks
from jaxal.acquisition.streamed_state import Kept, save_state
from jaxal.kernels.masking import lowest
from jaxal.pool import UNLABELED
from jaxal.strategies.uncertainty_sampling import uncertainty_order
from jaxal.typing import Array, LinearHead

__all__ = ["streamed_uncertainty"]


def streamed_uncertainty(query: StreamedQuery, measure: str, *, inverted: bool) -> Winners:
    """Choose by one measure of the head's predictions, ties to the lowest row: the picks of `uncertainty_sampling`.

    Args:
        query: its pool has a head.
        measure: "entropy", "margin" or "least_confidence".
        inverted: whether the most certain are chosen.

    Raises:
        InputError: rows in use hold what cannot be ranked.
        DataError: a file of the embeddings is not the one that was written.

    Cost: one pass over the disk, and a partial sort of N numbers; 9 bytes a row, and a few blocks.
    """
    pool, num_rows = query.pool, query.pool.rows.num_images
    if query.state.kept is None:
        keys, values, faults = (np.zeros(num_rows, dtype) for dtype in (np.float32, np.float32, np.int8))
        first_row = 0
    else:
        keys, values, faults = (np.array(query.state.kept.arrays[name]) for name in ("keys", "values", "faults"))
        first_row = query.state.kept.numbers["first_row"]

    def save(first_row: int) -> None:
        save_state(query.state, Kept({"first_row": first_row}, {"keys": keys, "values": values, "faults": faults}))

    if first_row < num_rows:
        for part, block in row_blocks(query, first_row, "rows", save):
            keys[part], values[part], faults[part] = _measured(block, pool.head, measure, inverted)
        refuse_faults(faults, pool.labels)
        save(num_rows)
    rows, _ = _lowest(keys, pool.labels == UNLABELED, np.int32(query.num_picks), query.num_picks)
    rows = np.asarray(rows).astype(np.int64)
    return Winners(rows, values[rows], np.zeros(len(rows), np.int32), 0)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _measured(block: Array, head: LinearHead, measure: str, inverted: bool) -> tuple[Array, ...]:
    logits = head_logits(block, head)
    return *uncertainty_order(logits, measure, inverted=inverted), faults_of(block, logits)


@functools.partial(jax.jit, static_argnums=3)
def _lowest(keys: Array, is_selectable: Array, num_wanted: Array, query_size: int) -> tuple[Array, Array]:
    return lowest((keys,), is_selectable, num_wanted, query_size)
