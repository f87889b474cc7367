"""Uncertainty of a prediction, from logits so that saturated softmax keeps its order.

With s_j = l_j - max l, the partition function is 1 + r where r sums the exponentials of all but the top class; keeping
r apart (log1p, never 1 + r) is what keeps digits when p_max rounds to one. Beyond a gap of about 88 the exponentials
themselves vanish in float32; each measure therefore has a form in the log domain (`log_entropy`, `margin_log_odds`,
`least_confidence_log_odds`) that orders rows as the measure does, at any gap.
"""

import jax
import jax.numpy as jnp

from jaxal.typing import Array, Bool, Float

__all__ = [
    "certainty_and_measure",
    "entropy",
    "least_confidence",
    "least_confidence_log_odds",
    "log_entropy",
    "margin",
    "margin_log_odds",
]

# log(1 + r) = r to a relative r/2, which float32 cannot tell below this log r.
SMALL_LOG_REST = -17.0


def _is_top(logits: Float[Array, "N C"]) -> Bool[Array, "N C"]:
    """Mark each row's first maximum."""
    columns = jnp.arange(logits.shape[1], dtype=jnp.int32)
    return columns[None] == jnp.argmax(logits, axis=1).astype(jnp.int32)[:, None]


def _below_top(logits: Float[Array, "N C"]) -> Float[Array, "N C"]:
    """Return s = l - max l of all but the top class, which gets -inf."""
    return jnp.where(_is_top(logits), -jnp.inf, logits - jnp.max(logits, axis=1, keepdims=True))


def entropy(logits: Float[Array, "N C"]) -> Float[Array, " N"]:
    """Compute the predictive entropy H = -Σ p_c log p_c in nats, in [0, log C]; 0·log 0 = 0.

    Cost: O(NC).
    """
    gaps = jnp.max(logits, axis=1, keepdims=True) - logits
    log_partition = jnp.log1p(jnp.sum(jnp.where(_is_top(logits), 0, jnp.exp(-gaps)), axis=1))
    surprisal = gaps + log_partition[:, None]
    probabilities = jnp.exp(-surprisal)
    return jnp.sum(jnp.where(probabilities > 0, probabilities * surprisal, 0), axis=1)


def log_entropy(logits: Float[Array, "N C"]) -> Float[Array, " N"]:
    """Compute log H, which orders rows as H does where H itself has vanished (a lone top class far above the rest).

    log H = logsumexp_c(log p_c + log(-log p_c)), where -log p of the top class is log(1 + r), which is r once r is
    small: then only log r is ever formed. About -gap + log(gap + 1) for one runner-up; -inf for C = 1.

    Cost: O(NC).
    """
    below = _below_top(logits)
    log_rest = jax.nn.logsumexp(below, axis=1)[:, None]
    log_partition = jnp.logaddexp(log_rest, 0)
    is_top = below == -jnp.inf
    surprisal = jnp.where(is_top, 0, -below) + log_partition
    is_tiny = is_top & (log_rest < SMALL_LOG_REST)
    log_surprisal = jnp.where(is_tiny, log_rest, jnp.log(jnp.where(is_tiny, 1, surprisal)))
    return jax.nn.logsumexp(log_surprisal - surprisal, axis=1)


def _top_and_gap(logits: Float[Array, "N C"]) -> tuple[Float[Array, " N"], Float[Array, " N"]]:
    """Return (r, gap): the exponentials of all but the top class relative to it, and top minus second logit."""
    below = _below_top(logits)
    return jnp.sum(jnp.exp(below), axis=1), -jnp.max(below, axis=1)


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
    others = _below_top(logits)
    second = jnp.max(others, axis=1)
    log_rest = jax.nn.logsumexp(others, axis=1)
    return jnp.log(-jnp.expm1(second)) - jnp.logaddexp(log_rest, second)


def least_confidence(logits: Float[Array, "N C"]) -> Float[Array, " N"]:
    """Compute the confidence max_c p_c = 1 / (1 + r), in [1/C, 1]; small is uncertain.

    Cost: O(NC).
    """
    rest, _ = _top_and_gap(logits)
    return 1 / (1 + rest)


def least_confidence_log_odds(logits: Float[Array, "N C"]) -> Float[Array, " N"]:
    """Map p = max_c p_c to log p - log(1 - p) = -log r: the same order, with digits left where p rounds to one.

    Cost: O(NC).
    """
    return -jax.nn.logsumexp(_below_top(logits), axis=1)


def certainty_and_measure(logits: Float[Array, "N C"], measure: str) -> tuple[Float[Array, " N"], Float[Array, " N"]]:
    """Return a key that is smallest for the most uncertain row, and the measure in its natural unit.

    Args:
        logits: any finite values; saturated ones keep their order in the key, up to float32 rounding of the logits'
            own differences.
        measure: "entropy" (nats, large is uncertain; key -log H), "margin" (p₁ - p₂; key its log-odds) or
            "least_confidence" (max p; key its log-odds).

    Raises:
        KeyError: no such measure.

    Cost: O(NC).
    """
    key_fn, measure_fn = MEASURES[measure]
    return key_fn(logits), measure_fn(logits)


MEASURES = {
    "entropy": (lambda logits: -log_entropy(logits), entropy),
    "margin": (margin_log_odds, margin),
    "least_confidence": (least_confidence_log_odds, least_confidence),
}
