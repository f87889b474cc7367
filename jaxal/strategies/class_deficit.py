"""Class deficit: uncertainty against what the classes lack to equal shares of labels (Bengar et al., WACV 2022)."""

import functools

import jax
import jax.numpy as jnp

from jaxal.config.strategies import ClassDeficitConfig
from jaxal.kernels import class_deficit as kernel
from jaxal.kernels.masking import lowest
from jaxal.kernels.uncertainty import certainty_and_measure
from jaxal.pool import Query, class_counts, is_selectable
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

__all__ = ["class_deficit"]


@functools.cache
def class_deficit(config: ClassDeficitConfig, *, num_classes: int) -> Strategy:
    """Choose greedily the sample with the smallest score_i + (λ/C)·‖share - Σ_{picked} p - p_i‖₁.

    score_i is such that smaller is more uncertain: the margin p₁ - p₂, the confidence max p, or the entropy in nats
    *negated*. share_c = max(0, equal share - n_c) is what class c lacks, the equal share being (labels so far + picks
    of this query)/C; p are the predicted probabilities. A class without labels lacks most. The paper minimizes over
    whole queries at once; this is the greedy form of its objective. Ties go to the lowest row. The score reported is
    the objective's value at the pick, so it falls as the deficits do. Without weight the order is that of uncertainty
    sampling, by logarithms, which tells rows apart whose score is 0 or 1 in float32.
    """

    def acquire(
        key: PRNGKey, state: tuple[()], inputs: AcquisitionInputs, query_size: int
    ) -> tuple[Query, tuple[()], AcquisitionInfo]:
        logits = needed(inputs.logits, "logits")
        certainty, values = certainty_and_measure(logits, config.score)
        scores = -values if config.score == "entropy" else values
        if config.weight == 0:
            query = Query(
                *lowest((certainty,), is_selectable(inputs.pool), num_to_pick(inputs, query_size), query_size)
            )
            return query, state, single_reason(query, scores)
        indices, is_valid, objectives = kernel.class_deficit(
            scores,
            jax.nn.softmax(logits, axis=1),
            class_counts(inputs.pool, num_classes=num_classes),
            is_selectable(inputs.pool),
            num_to_pick(inputs, query_size),
            query_size,
            weight=config.weight,
        )
        info = AcquisitionInfo(objectives, jnp.zeros_like(indices), jnp.asarray(0, jnp.int32))
        return Query(indices, is_valid), state, info

    return Strategy("class_deficit", frozenset({"logits"}), ("class_deficit",), stateless, acquire)
