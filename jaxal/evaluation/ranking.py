"""Ranking metrics of one class against the rest, from one sort and integer counts."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxal.typing import Array, Bool, Float, Int32


@jax.jit
def auroc_one_vs_rest(
    scores: Float[Array, " N"], is_positive: Bool[Array, " N"], is_counted: Bool[Array, " N"]
) -> Float[Array, ""]:
    """Computes the area under the ROC curve: P(score⁺ > score⁻) + P(score⁺ = score⁻) / 2 (Mann-Whitney).

    It is the mean over positives of the share of negatives below, so that no product of counts is ever formed.

    Args:
      scores: Larger means more likely positive; infinite ones rank as such.
      is_positive: The class against the rest.
      is_counted: False for padding rows, whose scores may be anything.

    Returns:
      The area in [0, 1]; NaN without a positive, without a negative, or if a score that counts is NaN.

    Cost: one sort of N, O(N) otherwise.
    """
    ranking = _rank(scores, is_positive, is_counted)
    # Negatives before the tie group plus negatives up to its end: the tied ones are counted half.
    share_below = (ranking.negatives_before + ranking.negatives_through) / jnp.maximum(2 * ranking.num_negative, 1)
    area = mean_where(share_below, ranking.is_positive)
    return jnp.where((ranking.num_negative > 0) & ~ranking.has_nan, area, jnp.nan)


@jax.jit
def average_precision_one_vs_rest(
    scores: Float[Array, " N"], is_positive: Bool[Array, " N"], is_counted: Bool[Array, " N"]
) -> Float[Array, ""]:
    """Computes average precision, Σ_n (R_n - R_{n-1}) P_n over distinct thresholds, as scikit-learn does.

    Equal to the mean over positives of the precision among all rows that score at least as high: tied rows enter
    together, and nothing is interpolated.

    Args:
      scores: Larger means more likely positive; infinite ones rank as such.
      is_positive: The class against the rest.
      is_counted: False for padding rows, whose scores may be anything.

    Returns:
      The average precision in (0, 1]; NaN without a positive or if a score that counts is NaN.

    Cost: one sort of N (shared with the AUROC inside one jit), O(N) otherwise.
    """
    ranking = _rank(scores, is_positive, is_counted)
    positives = ranking.num_positive - ranking.positives_before
    rows = positives + ranking.num_negative - ranking.negatives_before
    average = mean_where(positives / jnp.maximum(rows, 1), ranking.is_positive)
    return jnp.where(ranking.has_nan, jnp.nan, average)


@functools.partial(jax.jit, static_argnames="percent")
def sensitivity_at_specificity(
    scores: Float[Array, " N"], is_positive: Bool[Array, " N"], is_counted: Bool[Array, " N"], *, percent: int
) -> Float[Array, ""]:
    """Finds the largest share of positives found by a threshold that lets at least `percent` % of negatives pass.

    A threshold s ≥ t takes tied rows together; one above all scores, with sensitivity 0, always exists. Nothing is
    interpolated, and the share of negatives is compared in whole numbers.

    Args:
      scores: Larger means more likely positive; infinite ones rank as such.
      is_positive: The class against the rest.
      is_counted: False for padding rows, whose scores may be anything.
      percent: The specificity, 0 … 100, static.

    Returns:
      The sensitivity in [0, 1]; NaN without a positive, without a negative, or if a score that counts is NaN.

    Cost: one sort of N (shared with the AUROC inside one jit), O(N) otherwise.
    """
    ranking = _rank(scores, is_positive, is_counted)
    part = math.gcd(percent, 100)
    allowed = ranking.num_negative * ((100 - percent) // part) // (100 // part)
    is_allowed = ranking.num_negative - ranking.negatives_before <= allowed
    found = jnp.max(jnp.where(is_allowed, ranking.num_positive - ranking.positives_before, 0), initial=0)
    is_defined = (ranking.num_positive > 0) & (ranking.num_negative > 0) & ~ranking.has_nan
    return jnp.where(is_defined, found / jnp.maximum(ranking.num_positive, 1), jnp.nan)


def mean_where(values: Float[Array, " N"], is_counted: Bool[Array, " N"]) -> Float[Array, ""]:
    """Averages the values that count; NaN if none counts."""
    num = jnp.sum(is_counted, dtype=jnp.int32)
    return jnp.where(num > 0, jnp.sum(jnp.where(is_counted, values, 0)) / jnp.maximum(num, 1), jnp.nan)


class _Ranking(NamedTuple):
    """Counts in ascending order of score, of the rows before each row's tie group or through its end."""

    is_positive: Bool[Array, " N"]
    positives_before: Int32[Array, " N"]
    negatives_before: Int32[Array, " N"]
    negatives_through: Int32[Array, " N"]
    num_positive: Int32[Array, ""]
    num_negative: Int32[Array, ""]
    has_nan: Bool[Array, ""]


def _rank(scores: Float[Array, " N"], is_positive: Bool[Array, " N"], is_counted: Bool[Array, " N"]) -> _Ranking:
    has_nan = jnp.any(jnp.isnan(scores) & is_counted)
    # 1 positive, 0 negative, -1 not counted: such rows go last and weigh nothing, even beside a score of +inf.
    kind = jnp.where(is_counted, is_positive.astype(jnp.int32), -1)
    scores, kind = lax.sort((jnp.where(is_counted, scores, jnp.inf), kind), num_keys=1)
    is_new = scores[1:] != scores[:-1]
    edge = jnp.ones((min(1, scores.size),), bool)
    is_first, is_last = jnp.concatenate([edge, is_new]), jnp.concatenate([is_new, edge])

    positive, negative = (kind == 1).astype(jnp.int32), (kind == 0).astype(jnp.int32)
    positives, negatives = jnp.cumsum(positive), jnp.cumsum(negative)
    return _Ranking(
        is_positive=kind == 1,
        # Running counts never fall, so the value at a group's edge spreads over the group as a running extreme.
        positives_before=lax.cummax(jnp.where(is_first, positives - positive, 0)),
        negatives_before=lax.cummax(jnp.where(is_first, negatives - negative, 0)),
        negatives_through=lax.cummin(jnp.where(is_last, negatives, scores.size), reverse=True),
        num_positive=jnp.sum(positive, dtype=jnp.int32),
        num_negative=jnp.sum(negative, dtype=jnp.int32),
        has_nan=has_nan,
    )
