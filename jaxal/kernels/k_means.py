"""k-means over the members of a pool: k-means++ seeding by row-wise noise, then Lloyd's steps."""

import jax
import jax.numpy as jnp

from jaxal.kernels.blocks import map_row_blocks, rows_per_block
from jaxal.kernels.distance_sampling import PICKS_PER_PASS, row_gumbels, sample_by_distance
from jaxal.kernels.distances import (
    embedding_geometry,
    embedding_points,
    mean_embedding,
    scaled,
    squared_distances,
    squared_distances_by_blocks,
    vectors,
)
from jaxal.kernels.lloyd import TIE_TOLERANCE, KMeans, lloyd
from jaxal.kernels.masking import first_argmax
from jaxal.kernels.nearest_center import Geometry, Points
from jaxal.kernels.pool_mesh import take, take_rows
from jaxal.typing import Array, Bool, Float, Int32, PRNGKey

__all__ = ["draw_seeds", "k_means", "nearest_to_centers"]

# Lloyd's steps at most. Low-dimensional structure in thousands of rows may take a hundred until nothing at all changes,
# but in the later ones next to nothing does; faiss takes as many.
NUM_ITERATIONS = 25


def draw_seeds(
    key: PRNGKey,
    geometry: Geometry,
    points: Points,
    sample_ids: Int32[Array, " N"],
    is_member: Bool[Array, " N"],
    num_wanted: Int32[Array, ""],
    num_clusters: int,
    block_size: int,
) -> Int32[Array, " K"]:
    """Draw members by D² (k-means++), the first uniformly; no more than there are distinct ones, padding holds N."""
    first_key, later_key = jax.random.split(key)
    embeddings, _, *row_scale = points
    num_rows = is_member.shape[0]
    first = first_argmax(jnp.where(is_member, row_gumbels(first_key, sample_ids), -jnp.inf))
    nearest = squared_distances_by_blocks(embeddings, vectors(take_rows(points, first[None]))[0], *row_scale)
    is_first = jnp.arange(num_rows, dtype=jnp.int32) == first
    later, _ = sample_by_distance(
        later_key,
        geometry,
        points,
        nearest,
        sample_ids,
        is_member & ~is_first,
        num_wanted - 1,
        num_clusters - 1,
        block_size=block_size,
    )
    return jnp.concatenate([jnp.where(num_wanted > 0, first, num_rows)[None], later])


def k_means(
    key: PRNGKey,
    embeddings: Float[Array, "N D"],
    sample_ids: Int32[Array, " N"],
    is_member: Bool[Array, " N"],
    num_clusters: Int32[Array, ""],
    max_clusters: int,
    num_iterations: int = NUM_ITERATIONS,
    *,
    row_scale: Float[Array, " N"] | None = None,
) -> KMeans:
    """Cluster the members by Lloyd's algorithm from k-means++ seeds (Arthur and Vassilvitskii, SODA 2007).

    In use are the first min(num_clusters, members, max_clusters) clusters; the others stay empty. The first seed is
    drawn uniformly, each further one in proportion to its squared distance to the nearest seed so far. Members go to
    the nearest center, ties to the lowest cluster; a cluster that lost all its members takes the one farthest from its
    own center. With fewer distinct members than clusters, clusters stay empty. Rows that are no member may hold
    anything, NaN too; neither they nor the order of the rows matter, beyond rounding.

    Args:
        key: of the seeding.
        embeddings: z.
        sample_ids: stable ids, on which the noise hangs.
        is_member: rows to cluster.
        num_clusters: clusters wanted, may be 0.
        max_clusters: K, static; may be 0.
        num_iterations: Lloyd's steps at most, at least one; they end when no assignment changes.
        row_scale: s; the rows clustered are s z, formed block by block, so that no scaled copy is made. None: z.

    Returns:
        KMeans; `centers` are the means of `assignment` (not one step behind).

    Cost: a product N×D by D×K for the seeding, and one for each step; memory of one block of rows × (D + K) and K×D.
    """
    num_rows, width = embeddings.shape
    if max_clusters == 0:
        centers = jnp.zeros((0, width), embeddings.dtype)
        return KMeans(centers, jnp.zeros(num_rows, jnp.int32), jnp.zeros(0, jnp.int32))
    num_in_use = jnp.minimum(jnp.minimum(num_clusters, max_clusters), jnp.sum(is_member, dtype=jnp.int32))
    is_in_use = jnp.arange(max_clusters, dtype=jnp.int32) < num_in_use
    scale = () if row_scale is None else (row_scale,)
    middle = mean_embedding(embeddings, is_member, *scale)
    points = embedding_points(embeddings, middle, *scale)
    block_size = rows_per_block(4 * (3 * width + 4 * max(max_clusters, PICKS_PER_PASS)), num_rows)
    geometry = embedding_geometry(middle)
    seeds = draw_seeds(key, geometry, points, sample_ids, is_member, num_in_use, max_clusters, block_size)
    start = vectors(take_rows(points, seeds))
    return lloyd(points, middle, is_member, start, seeds < num_rows, is_in_use, num_iterations, block_size)


def nearest_to_centers(
    embeddings: Float[Array, "N D"],
    is_member: Bool[Array, " N"],
    centers: Float[Array, "K D"],
    assignment: Int32[Array, " N"],
    counts: Int32[Array, " K"],
    *,
    row_scale: Float[Array, " N"] | None = None,
) -> Int32[Array, " K"]:
    """Find in each cluster the member nearest its center; N for a cluster without members.

    Both members of a pair lie equally far from their midpoint. So ties, up to rounding, go to the member nearer the
    mean of all members, which holds in any order of the rows, and only then to the lowest row.

    The rows are s z where a row_scale s is given, as in `k_means`.

    Cost: O(ND) by differences, by blocks of rows.
    """
    num_rows, width = embeddings.shape
    num_clusters = centers.shape[0]
    if num_clusters == 0:
        return jnp.zeros(0, jnp.int32)
    scale = () if row_scale is None else (row_scale,)
    weights = counts.astype(centers.dtype) / jnp.maximum(jnp.sum(counts), 1).astype(centers.dtype)
    overall = jnp.sum(centers * weights[:, None], axis=0)

    def measure(own: Array, *block: Array) -> tuple[Array, Array]:
        rows = scaled(*block)
        to_own = jnp.sum(jnp.square(rows - take(centers, own)), axis=1)
        return to_own, squared_distances(rows, overall)

    block_size = rows_per_block(4 * 4 * width, num_rows)
    is_left = is_member & (assignment < num_clusters)
    cluster = jnp.where(is_left, assignment, num_clusters)
    for value in map_row_blocks(measure, (cluster, embeddings, *scale), block_size):
        smallest = jax.ops.segment_min(jnp.where(is_left, value, jnp.inf), cluster, num_clusters + 1)
        is_left = is_left & (value <= smallest[cluster] * (1 + TIE_TOLERANCE))
    rows = jnp.where(is_left, jnp.arange(num_rows, dtype=jnp.int32), num_rows)
    found = jnp.full(num_clusters + 1, num_rows, jnp.int32).at[cluster].min(rows)
    return found[:num_clusters]
