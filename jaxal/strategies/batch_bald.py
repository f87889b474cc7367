"""BatchBALD: the query whose predictions jointly tell most of the model (Kirsch et al., NeurIPS 2019)."""

import functools

import jax.numpy as jnp

from jaxal.config.strategies import BatchBALDConfig
from jaxal.kernels import joint_information
from jaxal.kernels.blocks import rows_per_block
from jaxal.kernels.cached_blocks import rows_per_cached_block
from jaxal.kernels.masking import lowest, pick_mask, picked_values
from jaxal.kernels.mutual_information import log_mutual_information
from jaxal.kernels.pool_mesh import current_mesh, take_rows
from jaxal.pool import Query, is_selectable
from jaxal.strategies.strategy import AcquisitionInfo, AcquisitionInputs, Strategy, needed, num_to_pick, stateless
from jaxal.typing import PRNGKey

__all__ = ["batch_bald"]

# Of a row's logits [M, C]: copy, change, its exponential, ratio, deviation and h.
LIVE_DRAW_ARRAYS = 6

JOINT, ALONE = 0, 1  # places in `Strategy.reasons`


@functools.cache
def batch_bald(config: BatchBALDConfig, *, num_classes: int) -> Strategy:
    """Choose greedily the samples that add most to I(y_1 … y_n; ω), ties to the lowest row.

    The first pick is BALD's. With n picks made, the next is exact while C^n ≤ num_configurations, and beyond rests on
    num_configurations joint outcomes, drawn from the query's key and extended by a label with each pick. The score is
    the pick's gain in joint information when it was picked, in nats: exact or estimated, never negative, and (up to the
    error of sampling) never rising from pick to pick.

    In pools of more than num_candidates rows that may be picked, those of the largest BALD score are searched alone. No
    gain exceeds a row's own BALD score, so this changes nothing while gains stay above the best score left out. A query
    larger than num_candidates takes all of them, and goes on by BALD: such picks are counted in num_fallback.
    """

    def acquire(
        key: PRNGKey, state: tuple[()], inputs: AcquisitionInputs, query_size: int
    ) -> tuple[Query, tuple[()], AcquisitionInfo]:
        mc_logits = needed(inputs.mc_logits, "mc_logits")
        num_draws, num_rows, _ = mc_logits.shape
        selectable, num_wanted = is_selectable(inputs.pool), num_to_pick(inputs, query_size)
        num_candidates = min(config.num_candidates or num_rows, num_rows)
        rows = jnp.arange(num_rows, dtype=jnp.int32)
        log_values = jnp.zeros(num_rows, mc_logits.dtype)
        if num_candidates < num_rows:
            block_size = rows_per_block(4 * num_classes * LIVE_DRAW_ARRAYS * num_draws, num_rows)
            log_values = log_mutual_information(mc_logits, block_size=block_size)
            best, _ = lowest((-log_values,), selectable, jnp.asarray(num_candidates, jnp.int32), num_candidates)
            rows = jnp.sort(best)  # in the order of the pool: ties go to the lowest row
            # Over devices each scores as many of them for every pick: filled up with rows that may not be picked.
            mesh = current_mesh()
            filling = 0 if mesh is None else -num_candidates % mesh.size
            rows = jnp.concatenate([rows, jnp.full(filling, num_rows, jnp.int32)])
        per_pass = min(joint_information.CONFIGURATIONS_PER_PASS, config.num_configurations)
        # The mixed deviations of one pass over configurations; h of them is summed as it is formed.
        arrays_per_class = per_pass + LIVE_DRAW_ARRAYS * num_draws
        places, is_joint, gains = joint_information.batch_bald(
            key,
            mc_logits if num_candidates == num_rows else take_rows(mc_logits, rows, axis=1),
            selectable.at[rows].get(mode="fill", fill_value=False),
            num_wanted,
            min(query_size, num_candidates),
            num_configurations=config.num_configurations,
            block_size=rows_per_cached_block(4 * num_classes * arrays_per_class, num_candidates),
        )
        indices = jnp.where(is_joint, rows.at[places].get(mode="clip"), num_rows)
        num_joint = jnp.sum(is_joint, dtype=jnp.int32)
        further, is_further = lowest(
            (-log_values,),
            selectable & ~pick_mask(indices, num_rows),
            num_wanted - num_joint,
            query_size - len(indices),
        )
        query = Query(jnp.concatenate([indices, further]), jnp.concatenate([is_joint, is_further]))
        info = AcquisitionInfo(
            score=jnp.concatenate([gains, picked_values(jnp.exp(log_values), further, is_further)]),
            reason=jnp.concatenate([jnp.full(is_joint.shape, JOINT), jnp.where(is_further, ALONE, 0)]).astype(
                jnp.int32
            ),
            num_fallback=jnp.sum(is_further, dtype=jnp.int32),
        )
        return query, state, info

    reasons = ("joint_mutual_information", "mutual_information")
    return Strategy("batch_bald", frozenset({"mc_logits"}), reasons, stateless, acquire)
