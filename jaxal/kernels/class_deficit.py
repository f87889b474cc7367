"""Greedy choice by a score and by what the classes lack to equal shares of labels (Bengar et al., WACV 2022)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxal.kernels.masking import first_argmin, pick_mask, top_values
from jaxal.kernels.pool_mesh import current_mesh, pool_mesh, take_rows
from jaxal.kernels.progress import tell
from jaxal.typing import Array, Bool, Float, Int32

__all__ = ["class_deficit", "label_deficits"]


CANDIDATES = 512  # rows that are searched between two looks at all devices' rows


class _Picks(NamedTuple):
    """What is picked, and what the classes still lack."""

    gap: Array  # [C]
    rest: Array  # [C], what float32 lost of it
    indices: Array
    objectives: Array
    number: Array  # of picks so far


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

    Cost: O(QNC) in one loop on the device, O(N) memory beside the arguments. Where the rows lie on several devices, the
    CANDIDATES best rows are searched alone as long as the best of them stays ahead of the best row outside, as it was
    when they were chosen: what the picks cover only grows, and no row's value falls.
    """
    num_rows, num_classes = probabilities.shape
    num_picks = jnp.minimum(jnp.minimum(num_wanted, query_size), jnp.sum(is_selectable, dtype=jnp.int32))
    scale = weight / num_classes

    def rank_of(scores: Array, probabilities: Array, gap: Array) -> tuple[Array, Array]:
        covered = jnp.sum(jnp.minimum(jnp.maximum(gap, 0)[None], probabilities), axis=1)
        return scores - 2 * scale * covered, covered

    def pick_from(
        scores: Array, probabilities: Array, is_free: Array, picks: _Picks, rows: Array | None, bound: Array | None
    ) -> _Picks:
        """Pick among some rows, as long as one's rank is below the bound; the first pick is sure."""

        def goes_on(carry: tuple[Array, _Picks, Array]) -> Array:
            return carry[-1] & (carry[1].number < num_picks)

        def pick(carry: tuple[Array, _Picks, Array]) -> tuple[Array, _Picks, Array]:
            is_free, (gap, rest, indices, objectives, number), _ = carry
            tell("picks", number, num_picks)
            rank, covered = rank_of(scores, probabilities, gap)
            chosen = first_argmin(jnp.where(is_free, rank, jnp.inf))
            is_ahead = True if bound is None else (rank[chosen] < bound) | (number == picks.number)
            objective = scores[chosen] + scale * (jnp.sum(jnp.abs(gap)) + 1 - 2 * covered[chosen])
            # Compensated (Kahan): after hundreds of picks the objective would have lost its sixth digit.
            step = probabilities[chosen] - rest
            smaller = gap - step
            after = _Picks(
                smaller,
                (gap - smaller) - step,
                indices.at[number].set(chosen if rows is None else rows[chosen]),
                objectives.at[number].set(objective),
                number + 1,
            )
            if bound is None:
                return is_free.at[chosen].set(False), after, carry[-1]
            after = jax.tree.map(lambda new, old: jnp.where(is_ahead, new, old), after, carry[1])
            return is_free.at[chosen].set(False), after, jnp.asarray(is_ahead)

        return jax.lax.while_loop(goes_on, pick, (is_free, picks, jnp.asarray(True)))[1]

    def pick_from_best(picks: _Picks) -> _Picks:
        rank, _ = rank_of(scores, probabilities, picks.gap)
        is_free = is_selectable & ~pick_mask(picks.indices, num_rows)
        num_candidates = min(CANDIDATES, num_rows)
        values, rows = top_values(jnp.where(is_free, -rank, -jnp.inf), min(CANDIDATES + 1, num_rows))
        # What a gap may rise by when it is rounded must not bring a row outside before one inside.
        rounding = 8 * jnp.finfo(scores.dtype).eps * (jnp.abs(values[-1]) + 2 * scale * jnp.max(jnp.abs(picks.gap)))
        is_all = (num_candidates == num_rows) | (values[-1] == -jnp.inf)
        bound = jnp.where(is_all, jnp.inf, -values[-1] - rounding)
        rows = jnp.sort(rows[:num_candidates])
        candidates = take_rows((scores, probabilities, is_free), rows)
        with pool_mesh(None):
            return pick_from(*candidates, picks, rows, bound)

    start = _Picks(
        *label_deficits(counts, num_picks),
        jnp.full(max(query_size, 1), num_rows, jnp.int32),  # room for one even where Q = 0: the loop body is traced
        jnp.full(max(query_size, 1), jnp.nan, scores.dtype),
        jnp.asarray(0, jnp.int32),
    )
    if current_mesh() is None:
        picks = pick_from(scores, probabilities, is_selectable, start, None, None)
    else:
        picks = jax.lax.while_loop(lambda picks: picks.number < num_picks, pick_from_best, start)
    indices, objectives = picks.indices[:query_size], picks.objectives[:query_size]
    return indices, indices < num_rows, objectives
