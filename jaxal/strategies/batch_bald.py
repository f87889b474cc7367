"""BatchBALD: the query whose predictions jointly tell most of the model (Kirsch et al., NeurIPS 2019)."""

import functools

import jax.numpy as jnp

from jaxal.config.strategies import BatchBALDConfig
from jaxal.kernels import joint_information
from jaxal.kernels.blocks import rows_per_block
from jaxal.pool import Query, is_selectable
from jaxal.strategies.strategy import AcquisitionInfo, AcquisitionInputs, Strategy, needed, num_to_pick, stateless
from jaxal.typing import PRNGKey

__all__ = ["batch_bald"]

# Of a row: the mixed deviations of one pass over configurations, and h of them.
LIVE_PASS_ARRAYS = 2
# Of a row's logits [M, C]: copy, change, its exponential, ratio, deviation and h.
LIVE_DRAW_ARRAYS = 6


@functools.cache
def batch_bald(config: BatchBALDConfig, *, num_classes: int) -> Strategy:
    """Choose greedily the samples that add most to I(y_1 … y_n; ω), ties to the lowest row.

    The first pick is BALD's. With n picks made, the next is exact while C^n ≤ num_configurations, and beyond rests on
    num_configurations joint outcomes drawn anew for every pick, from the query's key. The score is the pick's gain in
    joint information when it was picked, in nats: exact or estimated without bias, never negative, and (up to the error
    of sampling) never rising from pick to pick.
    """

    def acquire(
        key: PRNGKey, state: tuple[()], inputs: AcquisitionInputs, query_size: int
    ) -> tuple[Query, tuple[()], AcquisitionInfo]:
        mc_logits = needed(inputs.mc_logits, "mc_logits")
        num_draws, num_rows, _ = mc_logits.shape
        per_pass = min(joint_information.CONFIGURATIONS_PER_PASS, config.num_configurations)
        arrays_per_class = LIVE_PASS_ARRAYS * per_pass + LIVE_DRAW_ARRAYS * num_draws
        indices, is_valid, gains = joint_information.batch_bald(
            key,
            mc_logits,
            is_selectable(inputs.pool),
            num_to_pick(inputs, query_size),
            query_size,
            num_configurations=config.num_configurations,
            block_size=rows_per_block(4 * num_classes * arrays_per_class, num_rows),
        )
        info = AcquisitionInfo(gains, jnp.zeros_like(indices), jnp.asarray(0, jnp.int32))
        return Query(indices, is_valid), state, info

    return Strategy("batch_bald", frozenset({"mc_logits"}), ("joint_mutual_information",), stateless, acquire)
