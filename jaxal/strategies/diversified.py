"""Diversified uncertainty on a source model's classes, in laps (Aggarwal et al., WACV 2020)."""

import functools

import jax.numpy as jnp

from jaxal.config.strategies import (
    DiversifiedEntropyConfig,
    DiversifiedLeastConfidenceConfig,
    DiversifiedMarginConfig,
)
from jaxal.kernels.diversification import lap_ranks
from jaxal.kernels.masking import lowest
from jaxal.kernels.uncertainty import certainty_and_measure
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

__all__ = ["diversified"]

MEASURES = {
    DiversifiedEntropyConfig: "entropy",
    DiversifiedMarginConfig: "margin",
    DiversifiedLeastConfidenceConfig: "least_confidence",
}


@functools.cache
def diversified(
    config: DiversifiedEntropyConfig | DiversifiedMarginConfig | DiversifiedLeastConfidenceConfig, *, num_classes: int
) -> Strategy:
    """Choose in laps over the source model's classes: each predicted class's best, then each one's second best, …

    Each unlabeled sample belongs to the class that the source model predicts for it (ties: the lowest class). Lap r
    holds the r-th best of every class that has one; inside a lap the best goes first, ties to the lowest row; laps are
    strung together until the query is full. Best is the most certain by the measure with `inverted` (the form that the
    paper proposes), else the most uncertain. Samples already labeled take no part: each query starts anew, our reading
    of a paper that asks once. The score is the measure in its own unit (nats, p₁ - p₂, or max p), so it is sorted
    within laps only.
    """
    measure = MEASURES[type(config)]
    name = f"diversified_{measure}"

    def acquire(
        key: PRNGKey, state: tuple[()], inputs: AcquisitionInputs, query_size: int
    ) -> tuple[Query, tuple[()], AcquisitionInfo]:
        logits = needed(inputs.source_logits, "source_logits")
        certainty, values = certainty_and_measure(logits, measure)
        ascending = -certainty if config.inverted else certainty
        predicted = jnp.argmax(logits, axis=1).astype(jnp.int32)
        selectable = is_selectable(inputs.pool)
        keys = (lap_ranks(predicted, (ascending,), selectable), ascending)
        query = Query(*lowest(keys, selectable, num_to_pick(inputs, query_size), query_size))
        return query, state, single_reason(query, values)

    return Strategy(name, frozenset({"source_logits"}), (name,), stateless, acquire)
