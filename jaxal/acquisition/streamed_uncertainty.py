"""Uncertainty sampling from a pool on the disk: one pass, after which two numbers are known of each row."""

import functools

import jax
import numpy as np

from jaxal.acquisition.completion import head_logits
from jaxal.acquisition.streamed_rows import StreamedQuery, Winners, faults_of
from jaxal.acquisition.streamed_scores import score_rows
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
    pool = query.pool
    keys, values = score_rows(query, ("keys", "values"), lambda block: _measured(block, pool.head, measure, inverted))
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
