"""Uniform choice without replacement: the baseline of every paper."""

import functools

import jax
import jax.numpy as jnp

from jaxal.config.strategies import RandomConfig
from jaxal.kernels.masking import lowest
from jaxal.pool import Query, is_selectable
from jaxal.strategies.strategy import (
    AcquisitionInfo,
    AcquisitionInputs,
    Strategy,
    num_to_pick,
    single_reason,
    stateless,
)
from jaxal.typing import Array, Int32, PRNGKey

__all__ = ["random", "row_bits"]


def row_bits(key: PRNGKey, sample_ids: Int32[Array, " N"]) -> tuple[Array, Array]:
    """Draw 64 random bits for each row from its stable id, as two uint32 arrays [N].

    64 bits, because among 33,000 rows 32 would already tie now and then, and a tie would go to the lowest row.
    """
    bits = jax.vmap(lambda sample_id: jax.random.bits(jax.random.fold_in(key, sample_id), (2,), jnp.uint32))(sample_ids)
    return bits[:, 0], bits[:, 1]


@functools.cache
def random(config: RandomConfig, *, num_classes: int) -> Strategy:
    """Choose uniformly among the unlabeled samples; neither pool order nor padding changes the choice."""

    def acquire(
        key: PRNGKey, state: tuple[()], inputs: AcquisitionInputs, query_size: int
    ) -> tuple[Query, tuple[()], AcquisitionInfo]:
        bits = row_bits(key, inputs.sample_ids)
        query = Query(*lowest(bits, is_selectable(inputs.pool), num_to_pick(inputs, query_size), query_size))
        return query, state, single_reason(query, jnp.full(inputs.sample_ids.shape, jnp.nan))

    return Strategy("random", frozenset(), ("random",), stateless, acquire)
