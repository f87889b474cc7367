"""Greedy k-center (core-set) selection, Sener and Savarese 2018: the textbook's picks, many for one pass of the pool.

Distances to the nearest center only fall while centers are added. So the farthest M rows can be searched alone, as long
as the best of them stays ahead of the distance that the best row outside had when the block began; only then are all
picks of the block folded into the pool, by one matrix product.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxal.kernels.cached_blocks import rows_per_cached_block
from jaxal.kernels.distances import embedding_geometry, embedding_points, mean_embedding
from jaxal.kernels.masking import first_argmax, top_values
from jaxal.kernels.nearest_center import Geometry, Points, fold_centers, take
from jaxal.kernels.progress import tell
from jaxal.typing import Array, Bool, Float, Int32

__all__ = ["k_center", "nearest_center_distances"]

# The rows that are searched between two passes over the pool, and how many of them may be picked: both in the range
# where neither the search nor the passes dominate.
CANDIDATES = 512
PICKS_PER_PASS = 256
# The centers there are from the start are folded in so many at a time: wide products run faster, and what is left of
# them fills up less in narrow ones.
CENTERS_PER_PASS = (512, 128)


class _Candidates(NamedTuple):
    """The search among the farthest rows, [M] and [B]."""

    nearest: Array
    is_free: Array
    picks: Array  # int32 [B], places among the candidates
    distances: Array  # [B], squared, when picked
    num_picks: Array
    best: Array  # the next pick, valid while is_ahead
    is_ahead: Array


def nearest_center_distances(
    geometry: Geometry, points: Points, is_center: Bool[Array, " N"], block_size: int
) -> Float[Array, " N"]:
    """Square each row's distance to its nearest center; inf where there is no center at all.

    Cost: a product of N rows by the centers there are, filled up to the next 128.
    """
    num_rows = is_center.shape[0]
    num_centers = jnp.sum(is_center, dtype=jnp.int32)
    (rows,) = jnp.nonzero(is_center, size=num_rows, fill_value=num_rows)

    def fold_in(number: Array, nearest: Array, *, done: Array, width: int) -> Array:
        tell("centers", done + number * width, num_centers)
        numbers = done + number * width + jnp.arange(width, dtype=jnp.int32)
        centers = take(points, rows.at[numbers].get(mode="clip"))
        return fold_centers(geometry, points, nearest, centers, numbers < num_centers, block_size)

    nearest, done = jnp.full(num_rows, jnp.inf, points[0].dtype), jnp.asarray(0, jnp.int32)
    for width in CENTERS_PER_PASS:
        left, is_last = num_centers - done, width == CENTERS_PER_PASS[-1]
        num_passes = -(-left // width) if is_last else left // width
        nearest = jax.lax.fori_loop(0, num_passes, functools.partial(fold_in, done=done, width=width), nearest)
        done += num_passes * width
    return nearest


def k_center(
    embeddings: Float[Array, "N D"],
    is_center: Bool[Array, " N"],
    is_selectable: Bool[Array, " N"],
    first_priority: Float[Array, " N"],
    num_wanted: Int32[Array, ""],
    query_size: int,
    *,
    num_candidates: int = CANDIDATES,
    picks_per_pass: int = PICKS_PER_PASS,
) -> tuple[Int32[Array, " Q"], Bool[Array, " Q"], Float[Array, " Q"]]:
    """Pick, one after the other, the selectable row that lies farthest from its nearest center.

    i_t = argmax_{i selectable} min_{j ∈ centers ∪ {i_1 … i_{t-1}}} ‖z_i - z_j‖, ties to the lowest row.

    Args:
        embeddings: z.
        is_center: rows that are centers from the start (the labeled samples).
        is_selectable: rows that may be picked; a pick is never picked again.
        first_priority: where there is no center at all, the selectable row with the highest value opens.
        num_wanted: how many picks at most.
        query_size: Q, static; may exceed N.
        num_candidates: M, the rows searched between two passes over the pool; changes time only.
        picks_per_pass: B, how many of them may be picked; changes time only.

    Returns:
        (indices, is_valid, distance): distance is that of the pick to its nearest center when it was picked (inf for
        an opening pick, NaN on padding); padding indices hold N.

    Cost: products of N×D by D×(L + Q), filled up to B columns a pass; M×D a pick; O(N) memory and blocks of rows.

    References: Sener and Savarese, ICLR 2018, Algorithm 1; the blocks are ours.
    """
    num_rows, width = embeddings.shape
    num_picks = jnp.minimum(jnp.minimum(num_wanted, query_size), jnp.sum(is_selectable, dtype=jnp.int32))
    num_candidates = min(num_candidates, num_rows)
    per_pass = min(picks_per_pass, 1 << max(query_size - 1, 0).bit_length())
    middle = mean_embedding(embeddings, is_center | is_selectable)
    geometry, points = embedding_geometry(middle), embedding_points(embeddings, middle)
    block_size = rows_per_cached_block(4 * (2 * width + 3 * CENTERS_PER_PASS[0]), num_rows)

    def search(nearest: Array, is_free: Array, num_left: Array) -> tuple[Array, _Candidates]:
        """Run the greedy among the farthest rows while it is sure to be that of the whole pool."""
        value = jnp.where(is_free, nearest, -jnp.inf)
        distances, farthest = top_values(value, min(num_candidates + 1, num_rows))
        # The best row outside, in the order of the picks: by distance, then by row.
        has_outside = num_candidates < num_rows
        outside_value = distances[-1] if has_outside else jnp.asarray(-jnp.inf, value.dtype)
        outside_row = farthest[-1] if has_outside else jnp.asarray(num_rows, jnp.int32)
        rows = farthest[:num_candidates]
        candidates = take(points, rows)

        def with_best(state: _Candidates) -> _Candidates:
            values = jnp.where(state.is_free, state.nearest, -jnp.inf)
            highest = jnp.max(values)
            best = jnp.argmin(jnp.where(state.is_free & (values == highest), rows, num_rows)).astype(jnp.int32)
            is_before = (highest > outside_value) | ((highest == outside_value) & (rows[best] < outside_row))
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
            nearest=distances[:num_candidates],
            is_free=is_free[rows],
            picks=jnp.full(per_pass, num_candidates, jnp.int32),
            distances=jnp.full(per_pass, jnp.nan, value.dtype),
            num_picks=jnp.asarray(0, jnp.int32),
            best=jnp.asarray(0, jnp.int32),
            is_ahead=jnp.asarray(True),
        )
        return rows, jax.lax.while_loop(goes_on, pick, with_best(start))

    def add_picks(carry: tuple[Array, ...]) -> tuple[Array, ...]:
        nearest, is_free, indices, distances, num_done = carry
        rows, found = search(nearest, is_free, num_picks - num_done)
        picked = rows.at[found.picks].get(mode="fill", fill_value=num_rows)
        is_pick = picked < num_rows
        num_after = num_done + found.num_picks
        tell("picks", num_after, num_picks)
        places = jnp.where(is_pick, num_done + jnp.arange(per_pass, dtype=jnp.int32), query_size)
        nearest = jax.lax.cond(
            num_after < num_picks,  # nobody looks at the distances after the last pick
            lambda: fold_centers(geometry, points, nearest, take(points, picked), is_pick, block_size),
            lambda: nearest,
        )
        return (
            nearest,
            is_free.at[picked].set(False, mode="drop"),
            indices.at[places].set(picked, mode="drop"),
            distances.at[places].set(jnp.sqrt(found.distances), mode="drop"),
            num_after,
        )

    opens = (num_picks > 0) & ~jnp.any(is_center)
    opening = first_argmax(jnp.where(is_selectable, first_priority, -jnp.inf))
    is_opening = opens & (jnp.arange(num_rows, dtype=jnp.int32) == opening)
    is_opening_pick = opens & (jnp.arange(query_size, dtype=jnp.int32) == 0)
    start = (
        nearest_center_distances(geometry, points, is_center | is_opening, block_size),
        is_selectable & ~is_opening,
        jnp.where(is_opening_pick, opening, num_rows),
        jnp.where(is_opening_pick, jnp.inf, jnp.full(query_size, jnp.nan, embeddings.dtype)),
        opens.astype(jnp.int32),
    )
    _, _, indices, distances, _ = jax.lax.while_loop(lambda carry: carry[-1] < num_picks, add_picks, start)
    return indices, indices < num_rows, distances
