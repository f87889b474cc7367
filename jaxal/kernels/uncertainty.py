"""Uncertainty of a prediction, from logits so that saturated softmax keeps its order.

With s_j = l_j - max l, the partition function is 1 + r where r sums the exponentials of all but the top class; keeping
r apart (log1p, never 1 + r) is what keeps digits when p_max rounds to one.
"""

import jax
import jax.numpy as jnp

from jaxal.typing import Array, Bool, Float

__all__ = ["entropy", "margin", "margin_log_odds"]


def _is_top(logits: Float[Array, "N C"]) -> Bool[Array, "N C"]:
    """Mark each row's first maximum."""
    columns = jnp.arange(logits.shape[1], dtype=jnp.int32)
    return columns[None] == jnp.argmax(logits, axis=1).astype(jnp.int32)[:, None]


def entropy(logits: Float[Array, "N C"]) -> Float[Array, " N"]:
    """Compute the predictive entropy H = -Σ p_c log p_c in nats, in [0, log C]; 0·log 0 = 0.

    Cost: O(NC).
    """
    gaps = jnp.max(logits, axis=1, keepdims=True) - logits
    log_partition = jnp.log1p(jnp.sum(jnp.where(_is_top(logits), 0, jnp.exp(-gaps)), axis=1))
    surprisal = gaps + log_partition[:, None]
    probabilities = jnp.exp(-surprisal)
    return jnp.sum(jnp.where(probabilities > 0, probabilities * surprisal, 0), axis=1)


def _top_and_gap(logits: Float[Array, "N C"]) -> tuple[Float[Array, " N"], Float[Array, " N"]]:
    """Return (r, gap): the exponentials of all but the top class relative to it, and top minus second logit."""
    is_top = _is_top(logits)
    top = jnp.max(logits, axis=1)
    second = jnp.max(jnp.where(is_top, -jnp.inf, logits), axis=1)
    rest = jnp.sum(jnp.where(is_top, 0, jnp.exp(logits - top[:, None])), axis=1)
    return rest, top - second


def margin(logits: Float[Array, "N C"]) -> Float[Array, " N"]:
    """Compute the margin p₁ - p₂ between the two most probable classes, in [0, 1]; small is uncertain.

    Cost: O(NC), two maxima and no sort.
    """
    rest, gap = _top_and_gap(logits)
    return -jnp.expm1(-gap) / (1 + rest)


def margin_log_odds(logits: Float[Array, "N C"]) -> Float[Array, " N"]:
    """Map the margin m to log m - log(1 - m): the same order, with digits left where m rounds to one.

    -inf where the two best classes tie. With r the relative mass of all but the top class,
    m = (1 - e^-gap) / (1 + r) and 1 - m = (r + e^-gap) / (1 + r); logarithms of sums are taken by logsumexp so that
    even gaps of 10⁴ keep their order.

    Cost: O(NC).
    """
    is_top = _is_top(logits)
    shifted = logits - jnp.max(logits, axis=1, keepdims=True)
    others = jnp.where(is_top, -jnp.inf, shifted)
    second = jnp.max(others, axis=1)
    log_rest = jax.nn.logsumexp(others, axis=1)
    return jnp.log(-jnp.expm1(second)) - jnp.logaddexp(log_rest, second)
