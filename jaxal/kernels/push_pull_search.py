"""The best rows by CB-DAL's Eq. 5, without measuring every row to the last digit.

One matrix product says of every row between which bounds its score lies. Only rows whose lower bound is not beyond the
Q-th smallest upper bound can be among the Q best; these few are scored by `push_pull_scores`, and ranked.
"""

import functools

import jax
import jax.numpy as jnp

from jaxal.kernels.blocks import map_row_blocks, renew_listed_rows, rows_per_block
from jaxal.kernels.cached_blocks import rows_per_cached_block
from jaxal.kernels.masking import candidate_room, lowest, may_be_lowest, picked_values
from jaxal.kernels.nearest_center import product_tolerance
from jaxal.kernels.pool_mesh import take
from jaxal.kernels.push_pull import majority_classes, minority_class, push_pull_scores
from jaxal.typing import Array, Bool, Float, Int32

__all__ = ["lowest_push_pull", "push_pull_bounds"]


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

    Cost: that of `push_pull_bounds`, two partial sorts of N, and `push_pull_scores` of the rows that the bounds leave:
    some more than Q, all where most scores are alike. In pools so small that it is no matter, of all.
    """
    num_rows = embeddings.shape[0]
    if query_size == 0 or candidate_room(query_size) > num_rows // 4:
        keys = push_pull_scores(embeddings, centroids, counts)
        near = is_selectable
    else:
        near = may_be_lowest(*push_pull_bounds(embeddings, centroids, counts), is_selectable, query_size)
        keys = _scores_of(near, embeddings, centroids, counts, candidate_room(query_size))
    indices, is_valid = lowest(keys, near, num_wanted, query_size)
    return indices, is_valid, picked_values(keys[0], indices, is_valid)


def _scores_of(
    is_wanted: Array, embeddings: Array, centroids: Array, counts: Array, num_expected: int
) -> tuple[Array, Array]:
    """Score the rows that are wanted by `push_pull_scores`, 0 for the others; no more at a time than are expected."""
    num_rows, width = embeddings.shape

    def score_some(keys: tuple[Array, Array], rows: Array, embeddings: Array) -> tuple[Array, Array]:
        scored = push_pull_scores(take(embeddings, rows), centroids, counts)
        return jax.tree.map(lambda key, values: key.at[rows].set(values, mode="drop"), keys, scored)

    nothing = jnp.zeros(num_rows, embeddings.dtype)
    block_size = min(rows_per_cached_block(2 * 4 * width, num_rows), num_expected)
    return renew_listed_rows(score_some, (nothing, nothing), is_wanted, (embeddings,), block_size)


def push_pull_bounds(
    embeddings: Float[Array, "N D"], centroids: Float[Array, "C D"], counts: Int32[Array, " C"]
) -> tuple[Float[Array, " N"], Float[Array, " N"]]:
    """Bound what `push_pull_scores` says of each row from below and from above.

    With y = z - μ_minor and v_c = μ_c - μ_minor, the score against class c is g / (‖y‖ + √(‖y‖² - g)) for
    g = 2 y·v_c - ‖v_c‖², the difference of the squared distances: a product of the rows with the centroids, off by a
    rounding error of known size. Rows of which nothing can be said have -∞ and +∞, or NaN.

    Args:
        embeddings: z.
        centroids: μ, one row a class.
        counts: n, the labels per class, each expected to be 1 or more: then the minority is no majority.

    Returns:
        (lower bounds, upper bounds).

    Cost: O(NCD), one pass over the embeddings by blocks that stay in the cache while y, ‖y‖² and the product are
    formed; O(NC) memory, or the block budget where that is less.
    """
    (num_rows, width), num_classes, minority = embeddings.shape, centroids.shape[0], minority_class(counts)
    others = (minority + 1 + jnp.arange(max(num_classes - 1, 1), dtype=jnp.int32)) % num_classes
    pole = centroids[minority]
    ways = centroids[others] - pole[None]

    def measure(z: Array) -> tuple[Array, Array]:
        y = z - pole[None]
        return jnp.sum(jnp.square(y), axis=1), _product_with_few(y, ways)

    bounds = functools.partial(_bounds, ways=ways, is_majority=majority_classes(counts)[others], width=width)
    block_size = rows_per_cached_block(4 * (width + num_classes), num_rows)
    if rows_per_block(4 * 8 * num_classes, num_rows) < num_rows:
        return map_row_blocks(lambda z: bounds(*measure(z)), (embeddings,), block_size)
    # Not block by block where there is room: they are many, and every operation on one has a price of its own.
    return bounds(*map_row_blocks(measure, (embeddings,), block_size))


def _product_with_few(rows: Array, columns: Array) -> Array:
    """Multiply rows [B, D] with columns [K, D]: on a CPU, where XLA takes nine half as long again as eight and one, by
    eights and the rest."""
    by_eights = columns.shape[0] // 8 * 8
    is_apart = jax.default_backend() == "cpu" and 0 < by_eights < columns.shape[0]
    parts = (columns[:by_eights], columns[by_eights:]) if is_apart else (columns,)
    return jnp.concatenate([jnp.matmul(rows, part.T, precision="highest") for part in parts], axis=1)


def _bounds(squared: Array, product: Array, *, ways: Array, is_majority: Array, width: int) -> tuple[Array, Array]:
    """Bound the scores of rows of known ‖y‖² and y·v_c."""
    tolerance = 2 * product_tolerance(width)
    # What the products that are summed may lose below the smallest float; where it counts, nothing is known.
    lost = 4 * width * float(jnp.finfo(squared.dtype).tiny)
    squared_ways = jnp.sum(jnp.square(ways), axis=1)[None]
    squared = squared[:, None]
    gap = 2 * product - squared_ways
    pull = jnp.sqrt(squared)
    gap_error = tolerance * (2 * pull * jnp.sqrt(squared_ways + lost) + squared_ways) + lost
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
        return jnp.max(jnp.where(is_majority[None], scores, -jnp.inf), axis=1)

    return of_the_nearest(low), of_the_nearest(high)
