"""The pools that strategies are tried on: few shapes (each compiles), many contents.

Embeddings and weights are multiples of 1/64, and in the pools that are permuted or padded each class and all of them
together have a power of two of labels: centroids and logits are exact in float32, and no order of summation can turn a
decision over.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.pool import EXCLUDED, UNLABELED, PoolState
from jaxal.strategies.strategy import AcquisitionInputs
from jaxal.typing import LinearHead

# Rows, width, classes, query: all different, so that a shape in a jaxpr tells which axis it is.
N, D, C, Q = 24, 5, 4, 6
M, S = 7, 9  # Monte-Carlo draws, classes of a source model
NUM_PADDING = 5

U, X = UNLABELED, EXCLUDED
LABELS = {
    "every class labeled": [0, U, 1, U, 0, U, X, 2, U, U, 0, U, U, 1, U, U, 3, U, X, U, U, 0, U, U],
    "a class without labels": [0, U, 1, U, 0, U, X, 2, U, U, 0, U, U, 1, U, U, 2, U, X, U, U, 0, U, U],
    "equal counts": [0, U, 1, U, U, U, X, 2, U, U, U, U, U, U, U, U, 3, U, X, U, U, U, U, U],
    "one class labeled": [1, U, 1, U, U, U, X, U, U, U, 1, U, U, U, U, U, U, U, X, U, U, 1, U, U],
    "nothing labeled": [U, U, U, U, U, U, X, U, U, U, U, U, U, U, U, U, U, U, X, U, U, U, U, U],
    "less left than asked": [0, 1, 1, 0, 0, U, X, 2, 1, 2, 0, U, 3, 1, 0, 3, 3, 3, X, 0, U, 0, 0, 0],
    "everything labeled": [0, 1, 1, 0, 0, 1, X, 2, 1, 2, 0, 2, 3, 1, 0, 3, 3, 3, X, 0, 1, 0, 0, 0],
    "everything excluded": [X] * 24,
}


def pool_of(labels):
    """A pool in its third round, whose labels were there from the start."""
    labels = np.asarray(labels, np.int32)
    return PoolState(
        labels=jnp.asarray(labels),
        queried_at=jnp.asarray(np.where(labels >= 0, 0, -1).astype(np.int32)),
        round=jnp.asarray(3, jnp.int32),
    )


def make_inputs(seed=0, labels="every class labeled", labels_left=Q, weight_scale=1.0, is_exact=True):
    """Inputs [N, D] with a head of C classes.

    A larger weight_scale saturates the softmax. is_exact keeps to multiples of 1/64 (see above), among which a
    decision may stand exactly on the edge; without it none does.
    """
    rng = np.random.default_rng(seed)

    def draw(shape, scale=1.0):
        values = scale * rng.normal(size=shape)
        return (np.round(64 * values) / 64 if is_exact else values).astype(np.float32)

    embeddings, weight, bias = draw((N, D)), draw((D, C), weight_scale), draw((C,))
    sample_ids = rng.choice(10**6, N, replace=False).astype(np.int32)
    logits = embeddings @ weight + bias
    return AcquisitionInputs(
        pool=pool_of(LABELS[labels]),
        embeddings=jnp.asarray(embeddings),
        sample_ids=jnp.asarray(sample_ids),
        labels_left=jnp.asarray(labels_left, jnp.int32),
        logits=jnp.asarray(logits),
        head=LinearHead(jnp.asarray(weight), jnp.asarray(bias)),
        mc_logits=jnp.asarray(logits[None] + draw((M, N, C))),
        source_logits=jnp.asarray(draw((N, S), weight_scale)),
    )


def with_rows(inputs, rows):
    """The same pool with its rows in another order."""
    take = lambda array: array[jnp.asarray(rows)]  # noqa: E731
    pool = inputs.pool._replace(labels=take(inputs.pool.labels), queried_at=take(inputs.pool.queried_at))
    return inputs._replace(
        pool=pool,
        embeddings=take(inputs.embeddings),
        sample_ids=take(inputs.sample_ids),
        logits=take(inputs.logits),
        mc_logits=inputs.mc_logits[:, jnp.asarray(rows)],
        source_logits=take(inputs.source_logits),
    )


def with_garbage(inputs, value):
    """The same pool with what its EXCLUDED rows hold overwritten."""
    is_excluded = (inputs.pool.labels == EXCLUDED)[:, None]
    garbage = jnp.asarray(value, jnp.float32)
    return inputs._replace(
        embeddings=jnp.where(is_excluded, garbage, inputs.embeddings),
        logits=jnp.where(is_excluded, garbage, inputs.logits),
        mc_logits=jnp.where(is_excluded[None], garbage, inputs.mc_logits),
        source_logits=jnp.where(is_excluded, garbage, inputs.source_logits),
    )


def padded(inputs, value):
    """The same pool with NUM_PADDING rows of EXCLUDED garbage behind it."""
    behind = lambda array, fill: jnp.pad(  # noqa: E731
        array, [(0, NUM_PADDING), *[(0, 0)] * (array.ndim - 1)], constant_values=fill
    )
    pool = inputs.pool._replace(labels=behind(inputs.pool.labels, X), queried_at=behind(inputs.pool.queried_at, -1))
    return inputs._replace(
        pool=pool,
        embeddings=behind(inputs.embeddings, value),
        sample_ids=jnp.concatenate([inputs.sample_ids, 10**6 + jnp.arange(NUM_PADDING, dtype=jnp.int32)]),
        logits=behind(inputs.logits, value),
        mc_logits=jnp.swapaxes(behind(jnp.swapaxes(inputs.mc_logits, 0, 1), value), 0, 1),
        source_logits=behind(inputs.source_logits, value),
    )


@functools.partial(jax.jit, static_argnums=(0, 3))
def _acquire(strategy, key, inputs, query_size):
    return strategy.acquire(key, strategy.init(inputs), inputs, query_size)


def acquire(strategy, inputs, *, seed=0, query_size=Q):
    """One compiled query per strategy and shape for the whole session; returns NumPy (query, state, info)."""
    return jax.device_get(_acquire(strategy, jax.random.key(seed), inputs, query_size))


def picks(query):
    """The valid indices, in the order chosen."""
    return query.indices[query.is_valid]
