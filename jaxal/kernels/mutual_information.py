"""Mutual information between predictions and the model, over Monte-Carlo draws of the model.

Everything is written in d_mc = p_mc / p̄_c - 1, how far draw m is from the mean p̄ = mean_m p_m, and in the convex
h(d) = (1 + d) log(1 + d) - d ≥ 0, because for any weights π over draws

    Σ_m π_m KL(p_m ‖ p̄) = Σ_c p̄_c Σ_m π_m h(d_mc).

Every term is nonnegative and small where the draws nearly agree. The textbook's difference of two entropies is the same
number, but loses all digits there and can come out negative.
"""

import math

import jax
import jax.numpy as jnp

from jaxal.kernels.blocks import map_row_blocks
from jaxal.typing import Array, Float

__all__ = ["draw_deviations", "log_information", "log_mutual_information", "relative_entropy_term"]

# Below it h is summed as a series, where (1 + d) log(1 + d) - d would cancel.
SERIES_RADIUS = 0.25
# Draws are close while their partition functions move by at most this; log1p keeps its digits there.
CLOSE = 0.5
SERIES = tuple((-1.0) ** k / (k * (k - 1)) for k in range(11, 1, -1))


def relative_entropy_term(deviation: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Compute h(d) = (1 + d) log(1 + d) - d for d ≥ -1, to full relative precision; h(-1) = 1, as 0·log 0 = 0."""
    series = jnp.zeros_like(deviation)
    for coefficient in SERIES:  # Horner: d²/2 - d³/6 + d⁴/12 - …
        series = series * deviation + coefficient
    # A weighted mean of deviations may round to a little below -1. And log(1 + d), not log1p: as exact beyond the
    # radius, and many times faster on CPU.
    ratio = 1 + deviation
    is_possible = ratio > 0
    direct = jnp.where(is_possible, ratio * jnp.log(jnp.where(is_possible, ratio, 1)) - deviation, 1)
    return jnp.where(jnp.abs(deviation) < SERIES_RADIUS, jnp.square(deviation) * series, direct)


def draw_deviations(mc_logits: Float[Array, "M N C"]) -> tuple[Float[Array, "M N C"], Float[Array, "N C"]]:
    """Compare the probabilities of each draw with their mean over draws; logits are never averaged.

    Where all draws are close to draw 0, log p_m is taken relative to log p_0 and from the differences of the logits,
    not as a difference of two log-probabilities: however little the draws differ, d is then exact to its own size.

    Args:
        mc_logits: of M draws of the model; any finite values.

    Returns:
        (d, log p̄): d_mc = p_mc / p̄_c - 1 in [-1, M - 1], which neither overflows nor vanishes where p does.

    Cost: O(MNC).
    """
    first = mc_logits[0]
    log_first = jax.nn.log_softmax(first, axis=1)
    change = mc_logits - first[None]
    change = change - jnp.take_along_axis(change, jnp.argmax(first, axis=1)[None, :, None], axis=2)
    # p_0 (exp(change) - 1), whose sum over classes is what the partition function of a draw has over that of draw 0.
    excess = jnp.exp(log_first)[None] * jnp.expm1(change)
    is_close = jnp.all(jnp.sum(jnp.abs(excess), axis=2) <= CLOSE, axis=0)[:, None]
    shift = jnp.log1p(jnp.sum(excess, axis=2, keepdims=True))
    log_ratio = jnp.where(is_close[None], change - shift, jax.nn.log_softmax(mc_logits, axis=2))
    small_mean = jnp.log1p(jnp.mean(jnp.expm1(log_ratio), axis=0))
    large_mean = jax.nn.logsumexp(log_ratio, axis=0) - math.log(mc_logits.shape[0])
    log_mean = jnp.where(jnp.max(jnp.abs(log_ratio), axis=0) <= 1, small_mean, large_mean)
    return jnp.expm1(log_ratio - log_mean[None]), jnp.where(is_close, log_first, 0) + log_mean


def log_information(terms: Float[Array, "N C"], log_mean: Float[Array, "N C"]) -> Float[Array, " N"]:
    """Sum Σ_c p̄_c · terms_c in the log domain, which keeps the order of saturated rows; -inf where all terms are 0."""
    return jax.nn.logsumexp(log_mean + jnp.log(jnp.maximum(terms, 0)), axis=1)


def log_mutual_information(mc_logits: Float[Array, "M N C"], *, block_size: int) -> Float[Array, " N"]:
    """Compute log I(y; ω) = log(H(mean_m p_m) - mean_m H(p_m)), BALD's score, of each row; information in nats.

    Args:
        mc_logits: of M draws of the model; any finite values.
        block_size: rows per block; changes memory only.

    Returns:
        At most log(min(log C, log M)); -inf where all draws agree (M = 1 among them).

    Cost: O(MNC); memory of a few block_size×M×C arrays and one copy of the logits.

    References: Houlsby et al. 2011, Eq. 2; Gal et al., ICML 2017.
    """

    def score_block(logits: Float[Array, "B M C"]) -> Float[Array, " B"]:
        deviation, log_mean = draw_deviations(jnp.swapaxes(logits, 0, 1))
        return log_information(jnp.mean(relative_entropy_term(deviation), axis=0), log_mean)

    return map_row_blocks(score_block, (jnp.swapaxes(mc_logits, 0, 1),), block_size)
