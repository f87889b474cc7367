"""Euclidean distances by direct differences, which keep their digits where ‖a‖² + ‖b‖² - 2ab would cancel."""

import jax.numpy as jnp

from jaxal.kernels.blocks import map_row_blocks, rows_per_block, scan_row_blocks
from jaxal.kernels.nearest_center import Geometry, Points, product_tolerance
from jaxal.typing import Array, Bool, Float

__all__ = [
    "embedding_geometry",
    "embedding_points",
    "mean_embedding",
    "scaled",
    "squared_distances",
    "squared_distances_by_blocks",
    "vectors",
]


def squared_distances(embeddings: Float[Array, "N D"], center: Float[Array, " D"]) -> Float[Array, " N"]:
    """Square the distance of every row to one center: ‖z_i - center‖².  Cost: O(ND), no N×D intermediate once fused."""
    return jnp.sum(jnp.square(embeddings - center[None]), axis=1)


def squared_distances_by_blocks(
    embeddings: Float[Array, "N D"], center: Float[Array, " D"], *row_scale: Float[Array, " N"]
) -> Float[Array, " N"]:
    """Compute `squared_distances`, of the scaled rows if a scale is given, by blocks that stay in the cache.

    Many times faster on CPU than all rows at once, and no copy where they are scaled.
    """
    rows = (embeddings, *row_scale)
    return map_row_blocks(lambda *block: squared_distances(scaled(*block), center), rows, block_rows(embeddings))


def scaled(embeddings: Float[Array, "R D"], *row_scale: Float[Array, " R"]) -> Float[Array, "R D"]:
    """Scale each row of a block if a scale is given: s z, else z."""
    return embeddings * row_scale[0][:, None] if row_scale else embeddings


def block_rows(embeddings: Float[Array, "N D"]) -> int:
    """Choose the rows of a block for a pass over embeddings."""
    num_rows, width = embeddings.shape
    return rows_per_block(2 * 4 * width, num_rows)


def mean_embedding(
    embeddings: Float[Array, "N D"], is_used: Bool[Array, " N"], *row_scale: Float[Array, " N"]
) -> Float[Array, " D"]:
    """Average the rows in use, scaled if a scale is given; 0 where there is none.  Cost: one pass over them."""
    num_used = jnp.maximum(jnp.sum(is_used, dtype=jnp.int32), 1).astype(embeddings.dtype)

    def add(total: Array, is_new: Array, is_used: Array, *block: Array) -> tuple[Array, tuple[()]]:
        return total + jnp.sum(jnp.where((is_new & is_used)[:, None], scaled(*block), 0), axis=0), ()

    nothing = jnp.zeros_like(embeddings, shape=embeddings.shape[1:])
    total, _ = scan_row_blocks(add, nothing, (is_used, embeddings, *row_scale), block_rows(embeddings))
    return total / num_used


def embedding_geometry(middle: Float[Array, " D"]) -> Geometry:
    """Measure ‖a - b‖² between the points of `embedding_points`.

    Products are taken of differences to a middle, formed block by block: a common offset of the embeddings would blow
    up their norms, and with them the rounding of ‖a‖² + ‖b‖² - 2ab.

    Args:
        middle: best the mean of the rows; any point gives the same distances.
    """
    tolerance = product_tolerance(middle.shape[0])

    def by_products(rows: Points, centers: Points) -> tuple[Array, Array]:
        sizes = rows[1][:, None] + centers[1][None]
        product = jnp.matmul(vectors(rows) - middle[None], (vectors(centers) - middle[None]).T, precision="highest")
        return sizes - 2 * product, tolerance * sizes

    def by_differences(points: Points, others: Points) -> Array:
        return jnp.sum(jnp.square(vectors(points) - vectors(others)), axis=1)

    return Geometry(by_products, by_differences)


def embedding_points(
    embeddings: Float[Array, "N D"], middle: Float[Array, " D"], *row_scale: Float[Array, " N"]
) -> Points:
    """Lay out rows for `embedding_geometry`: z, ‖s z - middle‖² and, if one is given, the scale s of each row.

    The scaled rows are formed where a block of them is worked on (`vectors`), never all at once.

    Cost: one pass over the embeddings.
    """
    return embeddings, squared_distances_by_blocks(embeddings, middle, *row_scale), *row_scale


def vectors(points: Points) -> Float[Array, "N D"]:
    """Form the vectors that `embedding_points` stand for: z, or s z."""
    embeddings, _, *row_scale = points
    return scaled(embeddings, *row_scale)
