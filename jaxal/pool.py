"""The pool as arrays whose shapes never change: what is labeled, what is asked, what is revealed."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxal.typing import Array, Bool, Int32

__all__ = [
    "EXCLUDED",
    "UNLABELED",
    "PoolState",
    "Query",
    "class_counts",
    "enter_labels",
    "is_selectable",
    "new_pool",
    "reveal",
]

UNLABELED = -1
EXCLUDED = -2  # padding row, unreadable image, annotator's skip: never asked, never counted


class PoolState(NamedTuple):
    """What is known of the pool. The hidden truth is never in it; every field keeps its shape for the whole run."""

    labels: Int32[Array, " N"]  # class, or UNLABELED, or EXCLUDED
    queried_at: Int32[Array, " N"]  # round in which the label was bought; 0 = initial set; -1 = not labeled
    round: Int32[Array, ""]


class Query(NamedTuple):
    """What is asked in one round; Q is the largest query of the run."""

    indices: Int32[Array, " Q"]  # valid ones first, distinct, in the order chosen; padding holds N
    is_valid: Bool[Array, " Q"]


def new_pool(labels: Int32[Array, " N"]) -> PoolState:
    """Start a pool from its initial labels (UNLABELED and EXCLUDED where there is none)."""
    queried_at = jnp.where(labels >= 0, 0, -1).astype(jnp.int32)
    return PoolState(labels=labels, queried_at=queried_at, round=jnp.asarray(0, jnp.int32))


def is_selectable(pool: PoolState) -> Bool[Array, " N"]:
    """Mark the rows that may be asked: unlabeled and not excluded."""
    return pool.labels == UNLABELED


def class_counts(pool: PoolState, *, num_classes: int) -> Int32[Array, " C"]:
    """Count the labels of each class, n_c; a class without labels counts 0."""
    classes = jnp.arange(num_classes, dtype=jnp.int32)
    return jnp.sum(pool.labels[:, None] == classes[None], axis=0, dtype=jnp.int32)


@jax.jit
def enter_labels(pool: PoolState, query: Query, labels: Int32[Array, " Q"]) -> PoolState:
    """Enter labels that a query bought into the round that is open, and leave it open.

    Args:
        pool: before the query; its `round` is the last one closed.
        query: what was asked; padding changes nothing.
        labels: the class of each query entry; EXCLUDED for a skipped image; UNLABELED for one left for later.

    Returns:
        The pool with the labels in it; `queried_at` of what got a class is the round that is open, pool.round + 1.
        Entering the same again changes nothing.
    """
    answered = query.is_valid & (labels != UNLABELED)
    rows = jnp.where(answered, query.indices, pool.labels.shape[0])
    labeled_rows = jnp.where(labels >= 0, rows, pool.labels.shape[0])
    return pool._replace(
        labels=pool.labels.at[rows].set(labels, mode="drop"),
        queried_at=pool.queried_at.at[labeled_rows].set(pool.round + 1, mode="drop"),
    )


def reveal(pool: PoolState, query: Query, labels: Int32[Array, " Q"]) -> PoolState:
    """Enter the labels that a query bought and close its round.

    Args:
        pool: before the query.
        query: what was asked; padding changes nothing.
        labels: the class of each query entry; EXCLUDED for a skipped image; UNLABELED for one left for later.

    Returns:
        The pool one round later; `queried_at` of what got a class is the new round.
    """
    return enter_labels(pool, query, labels)._replace(round=pool.round + 1)
