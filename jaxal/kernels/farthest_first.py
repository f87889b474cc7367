"""The farthest row, again and again: what greedy k-center does between two looks at rows that lie elsewhere.

Distances to the nearest center only fall while centers are added. So the farthest M rows can be searched alone, as long
as the best of them stays ahead of the distance that the best row outside had when the block began; only then are all
picks of the block folded into the pool, by one matrix product. The same holds for a whole pool beside rows that are not
in memory at all: hence `Outside`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxal.kernels.masking import top_values
from jaxal.kernels.nearest_center import Geometry, Points, fold_centers
from jaxal.kernels.pool_mesh import take, take_rows
from jaxal.kernels.progress import tell
from jaxal.typing import Array, Bool, Float, Int32

__all__ = ["CANDIDATES", "PICKS_PER_PASS", "Outside", "farthest_first", "nothing_outside"]

# The rows that are searched between two passes over the pool, and how many of them may be picked: both in the range
# where neither the search nor the passes dominate.
CANDIDATES = 512
PICKS_PER_PASS = 256


class Outside(NamedTuple):
    """The best row that is not among those searched, in the order of the picks: by distance, then by row."""

    distance: Float[Array, ""]  # squared, as it was when the search began; it can only have fallen since
    row: Int32[Array, ""]  # how many of the searched rows come before it


class _Candidates(NamedTuple):
    """The search among the farthest rows, [M] and [B]."""

    nearest: Array
    is_free: Array
    picks: Array  # int32 [B], places among the candidates
    distances: Array  # [B], squared, when picked
    num_picks: Array
    best: Array  # the next pick, valid while is_ahead
    is_ahead: Array


def nothing_outside(num_rows: int) -> Outside:
    """Say that the rows searched are all there are."""
    return Outside(jnp.asarray(-jnp.inf, jnp.float32), jnp.asarray(num_rows, jnp.int32))


def farthest_first(
    geometry: Geometry,
    points: Points,
    nearest: Float[Array, " N"],
    is_free: Bool[Array, " N"],
    indices: Int32[Array, " Q"],
    distances: Float[Array, " Q"],
    num_done: Int32[Array, ""],
    num_picks: Int32[Array, ""],
    outside: Outside,
    *,
    block_size: int,
    num_candidates: int = CANDIDATES,
    picks_per_pass: int = PICKS_PER_PASS,
) -> tuple[Int32[Array, " Q"], Float[Array, " Q"], Int32[Array, ""]]:
    """Pick the free row that is farthest from its nearest center, ties to the lowest row, until enough are picked.

    Args:
        geometry: of the points.
        points: of the rows.
        nearest: the squared distance of each row to its nearest center.
        is_free: rows that may be picked; a pick is never picked again.
        indices: of the picks so far; padding holds N.
        distances: of the picks to their nearest centers when they were picked, not squared; NaN on padding.
        num_done: how many picks there are already.
        num_picks: how many there are to be, at most Q.
        outside: rows elsewhere; the search ends where one of them might come next.
        block_size: rows per block of a pass; changes memory only.
        num_candidates: M, the rows searched between two passes over the rows; changes time only.
        picks_per_pass: B, how many of them may be picked; changes time only.

    Returns:
        (indices, distances, num_done) with the new picks.

    Cost: products of N×D by D×B, as many as it takes; M×D a pick; O(N) memory and blocks of rows.
    """
    num_rows, query_size = is_free.shape[0], indices.shape[0]
    num_candidates = min(num_candidates, num_rows)
    per_pass = min(picks_per_pass, 1 << max(query_size - 1, 0).bit_length())

    def search(nearest: Array, is_free: Array, num_left: Array) -> tuple[Array, _Candidates]:
        """Run the greedy among the farthest rows while it is sure to be that of the whole pool."""
        value = jnp.where(is_free, nearest, -jnp.inf)
        farthest, order = top_values(value, min(num_candidates + 1, num_rows))
        bound = outside
        if num_candidates < num_rows:
            is_first = (farthest[-1] > outside.distance) | (
                (farthest[-1] == outside.distance) & (order[-1] < outside.row)
            )
            bound = jax.tree.map(lambda *each: jnp.where(is_first, *each), Outside(farthest[-1], order[-1]), outside)
        rows = order[:num_candidates]
        candidates, is_candidate_free = take_rows((points, is_free), rows)

        def with_best(state: _Candidates) -> _Candidates:
            values = jnp.where(state.is_free, state.nearest, -jnp.inf)
            highest = jnp.max(values)
            best = jnp.argmin(jnp.where(state.is_free & (values == highest), rows, num_rows)).astype(jnp.int32)
            is_before = (highest > bound.distance) | ((highest == bound.distance) & (rows[best] < bound.row))
            return state._replace(best=best, is_ahead=is_before & (highest > -jnp.inf))

        def goes_on(state: _Candidates) -> Array:
            return state.is_ahead & (state.num_picks < jnp.minimum(per_pass, num_left))

        def pick(state: _Candidates) -> _Candidates:
            return with_best(
                state._replace(
                    nearest=jnp.minimum(
                        state.nearest, geometry.by_differences(candidates, take(candidates, state.best[None]))
                    ),
                    is_free=state.is_free.at[state.best].set(False),
                    picks=state.picks.at[state.num_picks].set(state.best),
                    distances=state.distances.at[state.num_picks].set(state.nearest[state.best]),
                    num_picks=state.num_picks + 1,
                )
            )

        start = _Candidates(
            nearest=farthest[:num_candidates],
            is_free=is_candidate_free,
            picks=jnp.full(per_pass, num_candidates, jnp.int32),
            distances=jnp.full(per_pass, jnp.nan, value.dtype),
            num_picks=jnp.asarray(0, jnp.int32),
            best=jnp.asarray(0, jnp.int32),
            is_ahead=jnp.asarray(True),
        )
        return rows, jax.lax.while_loop(goes_on, pick, with_best(start))

    def add_picks(carry: tuple[Array, ...]) -> tuple[Array, ...]:
        nearest, is_free, indices, distances, num_done, _ = carry
        rows, found = search(nearest, is_free, num_picks - num_done)
        picked = rows.at[found.picks].get(mode="fill", fill_value=num_rows)
        is_pick = picked < num_rows
        num_after = num_done + found.num_picks
        tell("picks", num_after, num_picks)
        places = jnp.where(is_pick, num_done + jnp.arange(per_pass, dtype=jnp.int32), query_size)
        goes_on = (found.num_picks > 0) & (num_after < num_picks)
        nearest = jax.lax.cond(
            goes_on,  # nobody looks at the distances after the last pick
            lambda: fold_centers(geometry, points, nearest, take_rows(points, picked), is_pick, block_size),
            lambda: nearest,
        )
        return (
            nearest,
            is_free.at[picked].set(False, mode="drop"),
            indices.at[places].set(picked, mode="drop"),
            distances.at[places].set(jnp.sqrt(found.distances), mode="drop"),
            num_after,
            goes_on,
        )

    start = (nearest, is_free, indices, distances, num_done, num_done < num_picks)
    _, _, indices, distances, num_done, _ = jax.lax.while_loop(lambda carry: carry[-1], add_picks, start)
    return indices, distances, num_done
