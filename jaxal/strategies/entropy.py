"""Uncertainty sampling by predictive entropy."""

import functools

from jaxal.config.strategies import EntropyConfig
from jaxal.kernels import uncertainty
from jaxal.kernels.masking import lowest
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

__all__ = ["entropy"]


@functools.cache
def entropy(config: EntropyConfig, *, num_classes: int) -> Strategy:
    """Choose the samples with the largest entropy of softmax(logits), ties to the lowest row; score in nats."""

    def acquire(
        key: PRNGKey, state: tuple[()], inputs: AcquisitionInputs, query_size: int
    ) -> tuple[Query, tuple[()], AcquisitionInfo]:
        values = uncertainty.entropy(needed(inputs.logits, "logits"))
        query = Query(*lowest((-values,), is_selectable(inputs.pool), num_to_pick(inputs, query_size), query_size))
        return query, state, single_reason(query, values)

    return Strategy("entropy", frozenset({"logits"}), ("entropy",), stateless, acquire)
