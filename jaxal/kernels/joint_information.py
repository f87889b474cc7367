"""Greedy joint mutual information between the predictions of a query and the model (Kirsch et al., NeurIPS 2019).

The chain rule splits the joint information I(y_1 … y_n; ω) = H(y_1 … y_n) - Σ_i E_ω H(y_i | ω) into the gains of the
picks. The gain of candidate i after some picks is E_k[Σ_m π_km KL(p_mi ‖ Σ_m π_km p_mi)], where k is a joint outcome
(configuration) of the picks and π_k the posterior over draws of the model that it leaves. With weights w_k and the d, h
and p̄ of `mutual_information` that is

    gain_i = Σ_c p̄_ic [Σ_m (Σ_k w_k π_km) h(d_mic) - Σ_k w_k h(Σ_m π_km d_mic)]:

what i tells of the model, less what the picks already tell of i. Each bracket is nonnegative, as h is convex.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxal.kernels.blocks import map_row_blocks
from jaxal.kernels.mutual_information import draw_deviations, log_information, relative_entropy_term
from jaxal.kernels.pool_mesh import take_rows
from jaxal.kernels.progress import tell
from jaxal.typing import Array, Bool, Float, Int32, PRNGKey

__all__ = [
    "CONFIGURATIONS_PER_PASS",
    "Outcomes",
    "add_pick",
    "batch_bald",
    "configurations",
    "log_gains",
    "no_outcomes",
]

# Configurations whose predictive distributions are held at once, for one block of rows.
CONFIGURATIONS_PER_PASS = 256


class Outcomes(NamedTuple):
    """Joint outcomes of the picks so far: log-likelihoods of each under each draw of the model."""

    listed: Float[Array, "K M"]  # outcome k reads y_kj = ⌊k/C^j⌋ mod C for pick j; means nothing once C^n > K
    drawn: Float[Array, "K M"]  # in use from then on


def no_outcomes(num_configurations: int, num_draws: int, dtype: jnp.dtype) -> Outcomes:
    """Begin with no pick: K outcomes that say nothing."""
    nothing = jnp.zeros((num_configurations, num_draws), dtype)
    return Outcomes(nothing, nothing)


def add_pick(
    key: PRNGKey, outcomes: Outcomes, log_probabilities: Float[Array, "M C"], num_picked: Int32[Array, ""]
) -> Outcomes:
    """Extend each outcome by the label of one more pick.

    A drawn outcome belongs to one draw m_k = ⌊M(k + u)/K⌋ of the model (systematic sampling, u uniform in [0, 1)) and
    y_kj comes from p_{m_k}: so it comes from p, the mean over draws. What was drawn for a pick stays for the query.

    Args:
        key: of the query, the same for all its picks.
        outcomes: of the picks before.
        log_probabilities: log p_m(y = c) of the pick.
        num_picked: how many picks there were before.

    Returns:
        The outcomes with the pick's labels, both kinds.

    Cost: O(K(M + C)), in memory too.

    References: Kirsch et al., NeurIPS 2019, for outcomes listed and drawn; keeping them for the query is ours.
    """
    num_configurations, num_draws = outcomes.drawn.shape
    num_classes = log_probabilities.shape[1]
    sizes = _outcome_counts(num_configurations, num_classes)
    numbers = jnp.arange(num_configurations, dtype=jnp.int32)
    draw_key, outcome_key = jax.random.split(key)
    position = (numbers.astype(jnp.float32) + jax.random.uniform(draw_key)) * (num_draws / num_configurations)
    draws = jnp.minimum(position.astype(jnp.int32), num_draws - 1)
    outcome_key = jax.random.fold_in(outcome_key, num_picked)
    listed = numbers // sizes[jnp.minimum(num_picked, len(sizes) - 1)] % num_classes
    drawn = jax.random.categorical(outcome_key, log_probabilities[draws]).astype(jnp.int32)
    labels = Outcomes(listed, drawn)
    return jax.tree.map(lambda known, label: known + log_probabilities.T[label], outcomes, labels)


def configurations(
    outcomes: Outcomes, num_picked: Int32[Array, ""], *, num_classes: int
) -> tuple[Float[Array, "K M"], Float[Array, " K"]]:
    """Give each joint outcome of the picks its weight and the posterior over draws that it leaves.

    While C^n ≤ K those are all C^n outcomes, listed, with the weight p(k) = mean_m Π_j p_m(y_kj); the entries from C^n
    on are padding with weight 0. Beyond, they are K outcomes drawn from p: the importance weights p(k) / (K p(k)) are
    1/K each, and for picks chosen without a look at these draws a weighted sum over configurations is an unbiased
    estimate of the sum over all C^n. Greedy picks have looked at them.

    Args:
        outcomes: of the picks, by `add_pick`.
        num_picked: n, 0 or more.
        num_classes: C.

    Returns:
        (π, w): posteriors over draws [K, M], each of sum 1, and weights [K] of sum 1.

    Cost: O(KM).
    """
    sizes = _outcome_counts(outcomes.drawn.shape[0], num_classes)
    is_exact = num_picked < len(sizes)
    log_likelihood = jnp.where(is_exact, *outcomes)
    log_weight = jnp.where(is_exact, jax.nn.logsumexp(log_likelihood, axis=1), 0)
    numbers = jnp.arange(log_likelihood.shape[0], dtype=jnp.int32)
    is_used = ~is_exact | (numbers < sizes[jnp.minimum(num_picked, len(sizes) - 1)])
    return jax.nn.softmax(log_likelihood, axis=1), jax.nn.softmax(jnp.where(is_used, log_weight, -jnp.inf))


def _outcome_counts(num_configurations: int, num_classes: int) -> Int32[Array, " _"]:
    """List C^n for each n of which there are at most K outcomes (at most 31, for C = 1 too)."""
    return jnp.asarray([num_classes**n for n in range(32) if num_classes**n <= num_configurations], jnp.int32)


def log_gains(
    deviation: Float[Array, "B C M"],
    log_mean: Float[Array, "B C"],
    posterior: Float[Array, "K M"],
    weight: Float[Array, " K"],
) -> Float[Array, " B"]:
    """Compute log of the gain in joint information that each row of a block would bring; -inf where none.

    Candidates lie as rows in every product and sum, since XLA on a CPU adds up the last columns of a product in another
    order than those before: equal candidates would not tie.

    Args:
        deviation: d of each draw, from `draw_deviations`, the draws last.
        log_mean: log p̄.
        posterior: π, from `configurations`.
        weight: w; entries of weight 0 are padding.

    Cost: O(K·M·B·C) multiply-adds and O(K·B·C) logarithms, K up to the last configuration of weight above 0; memory of
    CONFIGURATIONS_PER_PASS×B×C.
    """
    num_configurations = weight.shape[0]
    size = min(CONFIGURATIONS_PER_PASS, num_configurations)
    overhang = -num_configurations % size
    weight_parts = jnp.pad(weight, (0, overhang)).reshape(-1, size)
    posterior_parts = jnp.pad(posterior, ((0, overhang), (0, 0))).reshape(-1, size, posterior.shape[1])
    num_used = jnp.max(jnp.where(weight > 0, 1 + jnp.arange(num_configurations, dtype=jnp.int32), 0))

    def add_part(part: Array, known: Array) -> Array:
        mixed = jnp.matmul(flat, posterior_parts[part].T, precision="highest")
        return known + jnp.sum(relative_entropy_term(mixed) * weight_parts[part][None], axis=1)

    flat = deviation.reshape(-1, deviation.shape[2])
    known = jax.lax.fori_loop(0, -(-num_used // size), add_part, jnp.zeros(flat.shape[0], flat.dtype))
    # Posteriors are averaged as drawn, not taken as 1/M: the gain stays nonnegative, and what sampling errs in the two
    # terms cancels.
    mean_posterior = jnp.matmul(weight, posterior, precision="highest")
    total = jnp.sum(relative_entropy_term(flat) * mean_posterior[None], axis=1)
    return log_information((total - known).reshape(log_mean.shape), log_mean)


def batch_bald(
    key: PRNGKey,
    mc_logits: Float[Array, "M N C"],
    is_selectable: Bool[Array, " N"],
    num_wanted: Int32[Array, ""],
    query_size: int,
    *,
    num_configurations: int,
    block_size: int,
) -> tuple[Int32[Array, " Q"], Bool[Array, " Q"], Float[Array, " Q"]]:
    """Pick, one after the other, the row that adds most to the joint information of the query; ties to the lowest row.

    Args:
        key: of the sampled configurations; without effect while C^n ≤ K for the n picks so far.
        mc_logits: of M draws of the model, the same M models for every row.
        is_selectable: rows that may be picked; a pick is never picked again.
        num_wanted: how many picks at most.
        query_size: Q, static; may be 0 and may exceed N.
        num_configurations: K, joint outcomes listed or drawn.
        block_size: rows per block; changes memory only.

    Returns:
        (indices, is_valid, gain): the gain in nats of each pick when it was picked (NaN on padding), whose running sum
        is the joint information of the query; padding indices hold N.

    Cost: O(Q·K·M·N·C) in one loop on the device; while fewer than K configurations are in use, that many. Memory: two
    arrays of the size of mc_logits, a few of CONFIGURATIONS_PER_PASS×block_size×C, and, which block_size does not
    bound, a few of K×M and of K×C.

    References: Kirsch et al., NeurIPS 2019, Algorithm 1 and the estimators of the joint entropy.
    """
    num_draws, num_rows, num_classes = mc_logits.shape
    num_picks = jnp.minimum(jnp.minimum(num_wanted, query_size), jnp.sum(is_selectable, dtype=jnp.int32))

    def compare_block(logits: Float[Array, "B M C"]) -> tuple[Float[Array, "B C M"], Float[Array, "B C"]]:
        deviation, log_mean = draw_deviations(jnp.swapaxes(logits, 0, 1))
        return jnp.transpose(deviation, (1, 2, 0)), log_mean

    deviations, log_means = map_row_blocks(compare_block, (jnp.swapaxes(mc_logits, 0, 1),), block_size)
    lowest_value = jnp.finfo(mc_logits.dtype).min  # a selectable row without any gain still goes before the others

    def pick(position: Array, carry: tuple[Outcomes, Array, Array, Array]) -> tuple[Outcomes, Array, Array, Array]:
        outcomes, selectable, indices, gains = carry
        tell("picks", position, num_picks)
        posterior, weight = configurations(outcomes, position, num_classes=num_classes)
        score_block = functools.partial(log_gains, posterior=posterior, weight=weight)
        log_gain = map_row_blocks(score_block, (deviations, log_means), block_size)
        value = jnp.where(selectable, jnp.maximum(log_gain, lowest_value), -jnp.inf)
        chosen = jnp.argmax(value).astype(jnp.int32)
        chosen_logits, chosen_gain = take_rows(mc_logits, chosen[None], axis=1), take_rows(log_gain, chosen[None])
        return (
            add_pick(key, outcomes, jax.nn.log_softmax(chosen_logits[:, 0], axis=1), position),
            selectable.at[chosen].set(False),
            indices.at[position].set(chosen),
            gains.at[position].set(jnp.exp(chosen_gain[0])),
        )

    room = max(query_size, 1)  # for one even where Q = 0: the loop body is traced
    start = (
        no_outcomes(num_configurations, num_draws, mc_logits.dtype),
        is_selectable,
        jnp.full(room, num_rows, jnp.int32),
        jnp.full(room, jnp.nan, mc_logits.dtype),
    )
    *_, indices, gains = jax.lax.fori_loop(0, num_picks, pick, start)
    indices, gains = indices[:query_size], gains[:query_size]
    return indices, indices < num_rows, gains
