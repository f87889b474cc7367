"""The best rows by CB-DAL's Eq. 5, without measuring every row to the last digit.

One matrix product says of every row between which bounds its score lies. Only rows whose lower bound is not beyond the
Q-th smallest upper bound can be among the Q best; these few are scored by `push_pull_scores`, and ranked.
"""

import functools

import jax
import jax.numpy as jnp

from jaxal.kernels.blocks import map_row_blocks, rows_per_block
from jaxal.kernels.cached_blocks import rows_per_cached_block
from jaxal.kernels.masking import candidate_room, lowest, may_be_lowest, picked_values, sorted_rows
from jaxal.kernels.nearest_center import product_tolerance
from jaxal.kernels.pool_mesh import current_mesh, first_own_row, gathered, take
from jaxal.kernels.push_pull import majority_classes, minority_class, push_pull_scores
from jaxal.typing import Array, Bool, Float, Int32

__all__ = ["lowest_push_pull", "push_pull_bounds"]

# So many times as far from the origin as rows are from the minority, in the mean of some of them, and products with the
# rows themselves still tell nearly as much as products with the differences.
FARTHEST_ORIGIN, SAMPLE_ROWS = 4.0, 256


def lowest_push_pull(
    embeddings: Float[Array, "N D"],
    centroids: Float[Array, "C D"],
    counts: Int32[Array, " C"],
    is_selectable: Bool[Array, " N"],
    num_wanted: Int32[Array, ""],
    query_size: int,
) -> tuple[Int32[Array, " Q"], Bool[Array, " Q"], Float[Array, " Q"]]:
    """Pick the rows with the smallest scores of `push_pull_scores`.

    Ties go to the row nearest to the minority centroid, then to the lowest row: as if all were scored and sorted, but
    for the last bits of scores, which may differ with the number of rows that are scored together.

    Args:
        embeddings: z.
        centroids: μ, one row a class.
        counts: n, the labels per class, each expected to be 1 or more.
        is_selectable: rows that may be picked.
        num_wanted: how many picks at most.
        query_size: Q, static; may be 0 and may exceed N.

    Returns:
        (indices, is_valid, score): score is Eq. 5's; NaN on padding, whose indices hold N.

    Cost: that of `push_pull_bounds`, a partial sort of N, and `push_pull_scores` of as many rows as the bounds leave,
    some more than Q; of all rows where these are more than there is room for, as where most scores are alike, and in
    pools so small that it is no matter.
    """
    num_rows, mesh = embeddings.shape[0], current_mesh()
    if mesh is None or query_size == 0:
        rows, score, _ = _lowest_here(embeddings, centroids, counts, is_selectable, query_size)
    else:

        def own_lowest(embeddings: Array, is_selectable: Array) -> tuple[tuple[Array, Array], Array, Array]:
            num_own = embeddings.shape[0]
            most = min(query_size, num_own)
            rows, score, distance = _lowest_here(embeddings, centroids, counts, is_selectable, most)
            return (score, distance), rows < num_own, first_own_row(num_own) + rows

        found = gathered(mesh, own_lowest, embeddings, is_selectable)
        rows, (score, _) = sorted_rows(*found, query_size, num_rows)
    num_picks = jnp.minimum(num_wanted, jnp.sum(is_selectable, dtype=jnp.int32))
    is_valid = jnp.arange(query_size, dtype=jnp.int32) < num_picks
    return jnp.where(is_valid, rows, num_rows), is_valid, jnp.where(is_valid, score, jnp.nan)


def _lowest_here(
    embeddings: Array, centroids: Array, counts: Array, is_selectable: Array, query_size: int
) -> tuple[Array, Array, Array]:
    """Rank the Q best rows of one device: (rows, N on padding; scores; distances to the minority)."""
    num_rows, room = embeddings.shape[0], candidate_room(query_size)

    def among_all() -> tuple[Array, Array, Array]:
        keys = push_pull_scores(embeddings, centroids, counts)
        rows, is_valid = lowest(keys, is_selectable, jnp.asarray(query_size, jnp.int32), query_size)
        return rows, picked_values(keys[0], rows, is_valid), picked_values(keys[1], rows, is_valid)

    if query_size == 0 or room > num_rows // 4:
        return among_all()
    is_near = may_be_lowest(*push_pull_bounds(embeddings, centroids, counts), is_selectable, query_size)

    def among_near() -> tuple[Array, Array, Array]:
        (near,) = jnp.nonzero(is_near, size=room, fill_value=num_rows)
        near = near.astype(jnp.int32)
        keys = push_pull_scores(take(embeddings, near), centroids, counts)
        rows, (score, distance) = sorted_rows(keys, near < num_rows, near, query_size, num_rows)
        return rows, score, distance

    return jax.lax.cond(jnp.sum(is_near, dtype=jnp.int32) <= room, among_near, among_all)


def push_pull_bounds(
    embeddings: Float[Array, "N D"], centroids: Float[Array, "C D"], counts: Int32[Array, " C"]
) -> tuple[Float[Array, " N"], Float[Array, " N"]]:
    """Bound what `push_pull_scores` says of each row from below and from above.

    With y = z - μ_minor and v_c = μ_c - μ_minor, the score against class c is g / (‖y‖ + √(‖y‖² - g)) for
    g = 2 y·v_c - ‖v_c‖², the difference of the squared distances: a product of the rows with the centroids, off by a
    rounding error of known size. Rows of which nothing can be said have -∞ and +∞, or NaN.

    Cost: ‖y‖² and a matrix product, O(NCD), each a pass over the embeddings as they lie: y·v_c = z·v_c - μ_minor·v_c.
    Where embeddings lie far from the origin for how far apart they are, that would lose too many digits, and where a
    few numbers for every row and class are beyond the block budget there is no room: then y is formed, block by block.
    """
    num_rows, width = embeddings.shape
    numbers_per_row = 8 * centroids.shape[0]
    pole = centroids[minority_class(counts)]
    ways = centroids - pole[None]
    bounds = functools.partial(_bounds, centroids=centroids, counts=counts, width=width)

    def from_pole(z: Array) -> tuple[Array, Array]:
        y = z - pole[None]
        squared = jnp.sum(jnp.square(y), axis=1)
        return bounds(squared, jnp.matmul(y, ways.T, precision="highest"), jnp.sqrt(squared))

    def as_they_lie(z: Array) -> tuple[Array, Array]:
        squared = jnp.sum(jnp.square(z - pole[None]), axis=1)
        product = jnp.matmul(z, ways.T, precision="highest") - jnp.sum(ways * pole[None], axis=1)[None]
        return bounds(squared, product, jnp.sqrt(squared) + 2 * jnp.linalg.norm(pole))

    def in_blocks() -> tuple[Array, Array]:
        block_size = rows_per_cached_block(4 * (2 * width + numbers_per_row), num_rows)
        return map_row_blocks(from_pole, (embeddings,), block_size)

    if rows_per_block(4 * numbers_per_row, num_rows) < num_rows:
        return in_blocks()
    some = take(embeddings, jnp.arange(min(num_rows, SAMPLE_ROWS), dtype=jnp.int32))
    spread = jnp.mean(jnp.sum(jnp.square(some - pole[None]), axis=1))
    is_near_origin = jnp.sum(jnp.square(pole)) <= FARTHEST_ORIGIN**2 * spread
    return jax.lax.cond(is_near_origin, lambda: map_row_blocks(as_they_lie, (embeddings,), num_rows), in_blocks)


def _bounds(
    squared: Array, product: Array, longest: Array, *, centroids: Array, counts: Array, width: int
) -> tuple[Array, Array]:
    """Bound the scores of rows of known ‖y‖², y·v_c, and the longest of the vectors that were multiplied for it."""
    tolerance = 2 * product_tolerance(width)
    # What the products that are summed may lose below the smallest float; where it counts, nothing is known.
    lost = 4 * width * float(jnp.finfo(squared.dtype).tiny)
    ways = centroids - centroids[minority_class(counts)][None]
    squared_ways = jnp.sum(jnp.square(ways), axis=1)[None]
    squared, longest = squared[:, None], longest[:, None]
    gap = 2 * product - squared_ways
    pull = jnp.sqrt(squared)
    gap_error = tolerance * (2 * longest * jnp.sqrt(squared_ways + lost) + squared_ways) + lost
    squared_push = jnp.maximum(squared - gap, 0)
    push = jnp.sqrt(squared_push)
    # A root is off by the error of the square over the root, and by no more than about the root of that error.
    push_error = gap_error + tolerance * squared
    push_error = 1.5 * push_error / jnp.sqrt(jnp.maximum(squared_push, push_error))
    total = pull + push
    score = gap / total
    error = 2 * (gap_error + jnp.abs(score) * (push_error + tolerance * pull)) / total
    is_known = jnp.square(total) > lost / tolerance
    low, high = jnp.where(is_known, score - error, -jnp.inf), jnp.where(is_known, score + error, jnp.inf)

    def of_the_nearest(scores: Array) -> Array:
        return jnp.max(jnp.where(majority_classes(counts)[None], scores, -jnp.inf), axis=1)

    return of_the_nearest(low), of_the_nearest(high)
