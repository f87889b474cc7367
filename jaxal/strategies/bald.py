"""BALD: Bayesian active learning by disagreement (Houlsby et al. 2011; Gal et al., ICML 2017)."""

import functools

import jax.numpy as jnp

from jaxal.config.strategies import BALDConfig
from jaxal.kernels.blocks import rows_per_block
from jaxal.kernels.masking import lowest
from jaxal.kernels.mutual_information import log_mutual_information
from jaxal.pool import Query, is_selectable
from jaxal.strategies.strategy import (
    AcquisitionInfo,
    AcquisitionInputs,
    Strategy,
    needed,
    num_to_pick,
    single_reason,
    stateless,
)
from jaxal.typing import PRNGKey

__all__ = ["bald"]

# Of a block's logits [M, C]: copy, change, its exponential, ratio, deviation and h.
LIVE_DRAW_ARRAYS = 6


@functools.cache
def bald(config: BALDConfig, *, num_classes: int) -> Strategy:
    """Choose the samples with the largest mutual information H(mean_m p_m) - mean_m H(p_m) first.

    Probabilities are averaged over the draws, never logits. Rows are ranked by the logarithm of the information, so
    that saturated ones keep an order; where all draws agree (a single draw among others) the information is 0, and ties
    go to the lowest row. The score is the information in nats, in [0, min(log C, log M)].
    """

    def acquire(
        key: PRNGKey, state: tuple[()], inputs: AcquisitionInputs, query_size: int
    ) -> tuple[Query, tuple[()], AcquisitionInfo]:
        mc_logits = needed(inputs.mc_logits, "mc_logits")
        num_draws, num_rows, _ = mc_logits.shape
        block_size = rows_per_block(LIVE_DRAW_ARRAYS * 4 * num_draws * num_classes, num_rows)
        log_values = log_mutual_information(mc_logits, block_size=block_size)
        selectable = is_selectable(inputs.pool)
        query = Query(*lowest((-log_values,), selectable, num_to_pick(inputs, query_size), query_size))
        return query, state, single_reason(query, jnp.exp(log_values))

    return Strategy("bald", frozenset({"mc_logits"}), ("mutual_information",), stateless, acquire)
