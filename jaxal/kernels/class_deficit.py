"""Greedy choice by a score and by what the classes lack to equal shares of labels (Bengar et al., WACV 2022)."""

import jax
import jax.numpy as jnp

from jaxal.kernels.masking import first_argmin
from jaxal.kernels.progress import tell
from jaxal.typing import Array, Bool, Float, Int32

__all__ = ["class_deficit", "label_deficits"]


def label_deficits(
    counts: Int32[Array, " C"], num_picks: Int32[Array, ""]
) -> tuple[Float[Array, " C"], Float[Array, " C"]]:
    """Compute what each class lacks to an equal share of the labels: share_c = max(0, (Σn + picks)/C - n_c).

    Returns:
        (share, rest): rest is what float32 lost of the share, for a sum that is to stay exact over many picks.
    """
    num_classes = counts.shape[0]
    total = jnp.sum(counts, dtype=jnp.int32) + num_picks
    # Whole labels first: at thousands of labels a class, (Σn + picks)/C in float32 would have lost the fraction.
    whole = total // num_classes - counts
    fraction = (total % num_classes).astype(jnp.float32) / num_classes
    lacking = jnp.maximum(whole, 0).astype(jnp.float32)
    share = lacking + fraction
    return jnp.where(whole >= 0, share, 0), jnp.where(whole >= 0, fraction - (share - lacking), 0)


def class_deficit(
    scores: Float[Array, " N"],
    probabilities: Float[Array, "N C"],
    counts: Int32[Array, " C"],
    is_selectable: Bool[Array, " N"],
    num_wanted: Int32[Array, ""],
    query_size: int,
    *,
    weight: float,
) -> tuple[Int32[Array, " Q"], Bool[Array, " Q"], Float[Array, " Q"]]:
    """Pick, one after the other, the row with the smallest score plus class deficit that its pick would leave.

    i_t = argmin_i score_i + (λ/C)·‖share - Σ_{picked} p - p_i‖₁, ties to the lowest row.
    With g = share - Σ_{picked} p and Σ_c p_ic = 1 the norm is ‖g‖₁ + 1 - 2·Σ_c min(max(g_c, 0), p_ic): only the last
    term tells the rows apart, so they are ranked by score_i - (2λ/C)·Σ_c min(max(g_c, 0), p_ic), in which nothing
    large cancels.

    Args:
        scores: smaller is picked first; any unit, which λ weighs against expected labels per class.
        probabilities: p, rows that sum to 1.
        counts: n_c, the labels of each class so far.
        is_selectable: rows that may be picked; a pick is never picked again, and what the other rows hold is not used.
        num_wanted: how many picks at most; the equal shares are those after min(num_wanted, Q, selectable) labels.
        query_size: Q, static; may be 0 and may exceed N.
        weight: λ, 0 or more; 0 ranks by score alone.

    Returns:
        (indices, is_valid, objective): the objective's value at each pick (NaN on padding); padding indices hold N.

    Cost: O(QNC) in one loop on the device, O(N) memory beside the arguments.
    """
    num_rows, num_classes = probabilities.shape
    num_picks = jnp.minimum(jnp.minimum(num_wanted, query_size), jnp.sum(is_selectable, dtype=jnp.int32))
    scale = weight / num_classes

    def pick(position: Array, carry: tuple[Array, ...]) -> tuple[Array, ...]:
        gap, rest, selectable, indices, objectives = carry
        tell("picks", position, num_picks)
        covered = jnp.sum(jnp.minimum(jnp.maximum(gap, 0)[None], probabilities), axis=1)
        rank = scores - 2 * scale * covered
        chosen = first_argmin(jnp.where(selectable, rank, jnp.inf))
        objective = scores[chosen] + scale * (jnp.sum(jnp.abs(gap)) + 1 - 2 * covered[chosen])
        # Compensated (Kahan): after hundreds of picks the objective would have lost its sixth digit.
        step = probabilities[chosen] - rest
        smaller = gap - step
        return (
            smaller,
            (gap - smaller) - step,
            selectable.at[chosen].set(False),
            indices.at[position].set(chosen),
            objectives.at[position].set(objective),
        )

    start = (
        *label_deficits(counts, num_picks),
        is_selectable,
        jnp.full(max(query_size, 1), num_rows, jnp.int32),  # room for one even where Q = 0: the loop body is traced
        jnp.full(max(query_size, 1), jnp.nan, scores.dtype),
    )
    *_, indices, objectives = jax.lax.fori_loop(0, num_picks, pick, start)
    indices, objectives = indices[:query_size], objectives[:query_size]
    return indices, indices < num_rows, objectives
