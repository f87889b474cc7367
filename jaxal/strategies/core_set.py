"""Core-set selection: greedy k-center over the embeddings (Sener and Savarese, ICLR 2018)."""

import functools

import jax.numpy as jnp

from jaxal.config.strategies import CoreSetConfig
from jaxal.kernels.k_center import k_center
from jaxal.pool import Query, is_selectable
from jaxal.strategies.random import row_bits
from jaxal.strategies.strategy import AcquisitionInfo, AcquisitionInputs, Strategy, num_to_pick, stateless
from jaxal.typing import Array, Float, Int32, PRNGKey

__all__ = ["core_set", "cover", "opening_priority"]


def opening_priority(key: PRNGKey, sample_ids: Int32[Array, " N"]) -> Float[Array, " N"]:
    """Draw for each row how early it would open where nothing is labeled, the highest first."""
    high_bits, _ = row_bits(key, sample_ids)
    return high_bits.astype(jnp.float32)


def cover(key: PRNGKey, inputs: AcquisitionInputs, query_size: int) -> tuple[Query, Float[Array, " Q"]]:
    """Choose by greedy k-center, the labeled samples as centers; with none labeled a random sample opens.

    Returns:
        (query, distance of each pick to its nearest center when it was picked).
    """
    indices, is_valid, distances = k_center(
        inputs.embeddings,
        inputs.pool.labels >= 0,
        is_selectable(inputs.pool),
        opening_priority(key, inputs.sample_ids),
        num_to_pick(inputs, query_size),
        query_size,
    )
    return Query(indices, is_valid), distances


@functools.cache
def core_set(config: CoreSetConfig, *, num_classes: int) -> Strategy:
    """Choose the samples that lie farthest from everything labeled or chosen; the score is that distance."""

    def acquire(
        key: PRNGKey, state: tuple[()], inputs: AcquisitionInputs, query_size: int
    ) -> tuple[Query, tuple[()], AcquisitionInfo]:
        query, distances = cover(key, inputs, query_size)
        info = AcquisitionInfo(distances, jnp.zeros_like(query.indices), jnp.asarray(0, jnp.int32))
        return query, state, info

    return Strategy("core_set", frozenset(), ("k_center",), stateless, acquire)
