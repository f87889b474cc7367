"""Uncertainty sampling: one choice for every measure of a prediction's uncertainty."""

from typing import Literal

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
from jaxal.typing import Array, Float, PRNGKey

__all__ = ["uncertainty_order", "uncertainty_sampling"]


def uncertainty_sampling(measure: str, *, inverted: bool, logits_of: Literal["model", "source"]) -> Strategy:
    """Choose by one measure of softmax(logits), the most uncertain first (inverted: the most certain first).

    Rows are ranked by the measure's form in the log domain, so that saturated predictions, whose measure is 0 or 1 in
    float32, keep the order of their logits. Ties go to the lowest row, inverted or not. The score is the measure
    itself; it may repeat where the order still tells rows apart.

    Args:
        measure: "entropy" (nats), "margin" (p₁ - p₂) or "least_confidence" (max p); also the strategy's name and its
            only reason.
        inverted: reverses the order, not the ties.
        logits_of: "source" for the logits of a source model, over its own classes.
    """
    given = "source_logits" if logits_of == "source" else "logits"

    def acquire(
        key: PRNGKey, state: tuple[()], inputs: AcquisitionInputs, query_size: int
    ) -> tuple[Query, tuple[()], AcquisitionInfo]:
        ascending, values = uncertainty_order(needed(getattr(inputs, given), given), measure, inverted=inverted)
        query = Query(*lowest((ascending,), is_selectable(inputs.pool), num_to_pick(inputs, query_size), query_size))
        return query, state, single_reason(query, values)

    return Strategy(measure, frozenset({given}), (measure,), stateless, acquire)


def uncertainty_order(
    logits: Float[Array, "N C"], measure: str, *, inverted: bool
) -> tuple[Float[Array, " N"], Float[Array, " N"]]:
    """Return the key by which rows are chosen, the smallest first, and the measure."""
    certainty, values = certainty_and_measure(logits, measure)
    return -certainty if inverted else certainty, values
