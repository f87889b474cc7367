"""Greedy k-center (core-set) selection, Sener and Savarese 2018: the textbook's picks, many for one pass."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxal.kernels.cached_blocks import rows_per_cached_block
from jaxal.kernels.distances import embedding_geometry, embedding_points, mean_embedding
from jaxal.kernels.farthest_first import CANDIDATES, PICKS_PER_PASS, farthest_first, nothing_outside
from jaxal.kernels.marked_rows import marked_rows
from jaxal.kernels.masking import first_argmax
from jaxal.kernels.nearest_center import Geometry, Points, fold_centers
from jaxal.kernels.pool_mesh import everywhere, take_rows
from jaxal.kernels.progress import tell
from jaxal.typing import Array, Bool, Float, Int32

__all__ = ["CENTERS_PER_PASS", "fold_all_centers", "k_center", "k_center_block_size", "nearest_center_distances"]

# The centers there are from the start are folded in so many at a time: wide products run faster, and what is left of
# them fills up less in narrow ones.
CENTERS_PER_PASS = (512, 128)


def k_center_block_size(num_rows: int, width: int) -> int:
    """Choose the rows of a block for a pass over embeddings that measures them against new centers."""
    return rows_per_cached_block(4 * (2 * width + 3 * CENTERS_PER_PASS[0]), num_rows)


def fold_all_centers(
    geometry: Geometry,
    points: Points,
    nearest: Float[Array, " N"],
    centers: Callable[[Array], Points],
    num_centers: Int32[Array, ""],
    block_size: int,
) -> Float[Array, " N"]:
    """Lower each row's squared distance to its nearest center by any number of further centers.

    Args:
        geometry: of the points.
        points: of the rows.
        nearest: what is known so far, +inf for nothing.
        centers: numbers [B] -> the centers of these numbers; what numbers beyond the last give is not looked at.
        num_centers: how many there are.
        block_size: rows per block; changes memory only.

    Cost: a product of N rows by the centers there are, filled up to the next 128.
    """

    def fold_in(number: Array, nearest: Array, *, done: Array, width: int) -> Array:
        tell("centers", done + number * width, num_centers)
        numbers = done + number * width + jnp.arange(width, dtype=jnp.int32)
        return fold_centers(geometry, points, nearest, centers(numbers), numbers < num_centers, block_size)

    done = jnp.asarray(0, jnp.int32)
    for width in CENTERS_PER_PASS:
        left, is_last = num_centers - done, width == CENTERS_PER_PASS[-1]
        num_passes = -(-left // width) if is_last else left // width
        nearest = jax.lax.fori_loop(0, num_passes, functools.partial(fold_in, done=done, width=width), nearest)
        done += num_passes * width
    return nearest


def nearest_center_distances(
    geometry: Geometry, points: Points, is_center: Bool[Array, " N"], block_size: int
) -> Float[Array, " N"]:
    """Square each row's distance to its nearest center; inf where there is no center at all.

    Cost: that of `fold_all_centers`.
    """
    num_rows = is_center.shape[0]
    num_centers = jnp.sum(is_center, dtype=jnp.int32)
    rows = marked_rows(everywhere(is_center), num_rows)
    nothing = jnp.full(num_rows, jnp.inf, points[0].dtype)
    return fold_all_centers(
        geometry,
        points,
        nothing,
        lambda numbers: take_rows(points, rows.at[numbers].get(mode="clip")),
        num_centers,
        block_size,
    )


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
    middle = mean_embedding(embeddings, is_center | is_selectable)
    geometry, points = embedding_geometry(middle), embedding_points(embeddings, middle)
    block_size = k_center_block_size(num_rows, width)
    opens = (num_picks > 0) & ~jnp.any(is_center)
    opening = first_argmax(jnp.where(is_selectable, first_priority, -jnp.inf))
    is_opening = opens & (jnp.arange(num_rows, dtype=jnp.int32) == opening)
    is_opening_pick = opens & (jnp.arange(query_size, dtype=jnp.int32) == 0)
    indices, distances, _ = farthest_first(
        geometry,
        points,
        nearest_center_distances(geometry, points, is_center | is_opening, block_size),
        is_selectable & ~is_opening,
        jnp.where(is_opening_pick, opening, num_rows),
        jnp.where(is_opening_pick, jnp.inf, jnp.full(query_size, jnp.nan, embeddings.dtype)),
        opens.astype(jnp.int32),
        num_picks,
        nothing_outside(num_rows),
        block_size=block_size,
        num_candidates=num_candidates,
        picks_per_pass=picks_per_pass,
    )
    return indices, indices < num_rows, distances
