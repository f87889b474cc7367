"""k-means over the members of a pool: k-means++ seeding by row-wise noise, Lloyd's steps, repair of empty clusters.

Means are taken of differences to the first center drawn: those of float32 rows to a row among them keep their digits
where a common offset of the embeddings would cost them, and are exact where the rows are multiples of one step, so that
there no order of summation can change a center. Which center is nearest is decided by direct differences (`settle`).
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxal.kernels.blocks import map_row_blocks, rows_per_block, scan_row_blocks
from jaxal.kernels.distance_sampling import PICKS_PER_PASS, row_gumbels, sample_by_distance
from jaxal.kernels.distances import (
    embedding_geometry,
    embedding_points,
    mean_embedding,
    squared_distances,
    squared_distances_by_blocks,
)
from jaxal.kernels.masking import first_argmax
from jaxal.kernels.nearest_center import Geometry, Points, settle, take
from jaxal.kernels.progress import tell
from jaxal.typing import Array, Bool, Float, Int32, PRNGKey

__all__ = ["KMeans", "argmin_with_ties", "cluster_sums", "draw_seeds", "k_means", "lloyd", "nearest_to_centers"]

# Values closer than this share of their size are one value: a pair lies equally far from its midpoint, but not in
# float32, and what rounding says of it may change with the order of the pool.
TIE_TOLERANCE = 4e-6

# Lloyd's steps at most. Low-dimensional structure in thousands of rows may take a hundred until nothing at all changes,
# but in the later ones next to nothing does; faiss takes as many.
NUM_ITERATIONS = 25


class KMeans(NamedTuple):
    """Clusters 0 … K-1; one without members has count 0 and center 0, which callers must mask."""

    centers: Float[Array, "K D"]  # means of the members
    assignment: Int32[Array, " N"]  # K for rows that are no member
    counts: Int32[Array, " K"]


def argmin_with_ties(
    values: Float[Array, " N"], tie_breaker: Float[Array, " N"], is_eligible: Bool[Array, " N"]
) -> Int32[Array, ""]:
    """Find the eligible row of the smallest value (≥ 0); ties, up to rounding, to the smaller tie_breaker (≥ 0), then
    to the lowest row. With no eligible row the answer is row 0."""
    for value in (values, tie_breaker):
        smallest = jnp.min(jnp.where(is_eligible, value, jnp.inf))
        is_eligible = is_eligible & (value <= smallest * (1 + TIE_TOLERANCE))
    return first_argmax(is_eligible)


def cluster_sums(
    rows: Float[Array, "B D"], assignment: Int32[Array, " B"], num_clusters: int, *, by_product: bool
) -> Float[Array, "K D"]:
    """Sum the rows of each cluster; assignment K counts for none.

    Args:
        rows: finite.
        assignment: cluster of each row.
        num_clusters: K.
        by_product: with the 0/1 matrix of memberships, K times the arithmetic. A scatter is as fast as reading the rows
            on CPU, where it adds in their order; on GPUs atomics would add in another order every time.
    """
    if by_product:
        membership = assignment[:, None] == jnp.arange(num_clusters, dtype=jnp.int32)[None]
        return jnp.matmul(membership.astype(rows.dtype).T, rows, precision="highest")
    return jnp.zeros((num_clusters, rows.shape[1]), rows.dtype).at[assignment].add(rows, mode="drop")


class _Clusters(NamedTuple):
    assignment: Array
    distances: Array  # squared, of each member to the center it was assigned by
    sums: Array  # of the differences to the origin
    counts: Array


class _Members(NamedTuple):
    """What stays the same from step to step."""

    geometry: Geometry
    points: Points
    middle: Array  # [D], of the geometry
    is_member: Array
    origin: Array  # [D], where sums are measured from
    sizes: Array  # [N], squared distances to the origin


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
    embeddings, num_rows = points[0], is_member.shape[0]
    first = first_argmax(jnp.where(is_member, row_gumbels(first_key, sample_ids), -jnp.inf))
    nearest = squared_distances_by_blocks(embeddings, embeddings[first])
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


def _assign(members: _Members, centers: Array, has_center: Array, block_size: int) -> _Clusters:
    """Assign the members to their nearest centers by blocks of rows, ties to the lowest cluster."""
    num_clusters = centers.shape[0]
    middle_centers = embedding_points(centers, members.middle)

    def add_block(
        total: tuple[Array, Array], is_new: Array, is_member: Array, *rows: Array
    ) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        unreached = jnp.where(is_member, jnp.inf, -jnp.inf).astype(centers.dtype)
        nowhere = jnp.full(is_member.shape, num_clusters, jnp.int32)
        distances, assignment = settle(members.geometry, rows, middle_centers, has_center, unreached, nowhere)
        counted = jnp.where(is_new, assignment, num_clusters)
        differences = jnp.where(is_member[:, None], rows[0] - members.origin[None], 0)
        sums = jax.lax.platform_dependent(
            differences,
            counted,
            cpu=functools.partial(cluster_sums, num_clusters=num_clusters, by_product=False),
            default=functools.partial(cluster_sums, num_clusters=num_clusters, by_product=True),
        )
        counts = jnp.zeros(num_clusters, jnp.int32).at[counted].add(1, mode="drop")
        is_assigned = assignment < num_clusters
        return (total[0] + sums, total[1] + counts), (assignment, jnp.where(is_assigned, distances, 0))

    nothing = (jnp.zeros_like(centers), jnp.zeros(num_clusters, jnp.int32))
    arrays = (members.is_member, *members.points)
    (sums, counts), (assignment, distances) = scan_row_blocks(add_block, nothing, arrays, block_size)
    return _Clusters(assignment, distances, sums, counts)


def _repair(clusters: _Clusters, members: _Members, is_in_use: Array) -> _Clusters:
    """Give each empty cluster, lowest first, the member that lies farthest from its own center.

    Left out are members alone in their cluster, and those that differ from their center by rounding only: with fewer
    distinct members than clusters some clusters stay empty. Of equally far ones the one nearest the first center.
    """
    num_clusters = is_in_use.shape[0]

    def movable(state: _Clusters) -> Array:
        is_shared = state.counts.at[state.assignment].get(mode="fill", fill_value=0) > 1
        return members.is_member & is_shared & (state.distances > jnp.square(TIE_TOLERANCE) * members.sizes)

    def is_needed(state: _Clusters) -> Array:
        return jnp.any(is_in_use & (state.counts == 0)) & jnp.any(movable(state))

    def move(state: _Clusters) -> _Clusters:
        empty = jnp.argmax(is_in_use & (state.counts == 0)).astype(jnp.int32)
        candidates = movable(state)
        farthest = jnp.max(jnp.where(candidates, state.distances, 0))
        is_far = candidates & (state.distances >= farthest * (1 - TIE_TOLERANCE))
        row = argmin_with_ties(jnp.zeros_like(members.sizes), members.sizes, is_far)
        difference = members.points[0][row] - members.origin
        change = jnp.zeros(num_clusters, jnp.int32).at[empty].set(1).at[state.assignment[row]].add(-1)
        return _Clusters(
            assignment=state.assignment.at[row].set(empty),
            distances=state.distances.at[row].set(0),
            sums=state.sums + change.astype(state.sums.dtype)[:, None] * difference[None],
            counts=state.counts + change,
        )

    return jax.lax.while_loop(is_needed, move, clusters)


def lloyd(
    points: Points,
    middle: Float[Array, " D"],
    is_member: Bool[Array, " N"],
    centers: Float[Array, "K D"],
    has_center: Bool[Array, " K"],
    is_in_use: Bool[Array, " K"],
    num_iterations: int,
    block_size: int,
) -> KMeans:
    """Assign members to their nearest centers and move the centers to the means, until no assignment changes.

    Args:
        points: `embedding_points` of the pool; rows that are no member may hold anything.
        middle: that they were laid out by.
        is_member: rows to cluster.
        centers: to start from, K at least 1; the first, best one of the members, is where means are measured from.
        has_center: which of them exist.
        is_in_use: clusters that may have members; those left without any are repaired (see `k_means`).
        num_iterations: at most, at least one is done.
        block_size: rows per block.

    Cost: one product N×D by D×K a step.
    """
    num_rows, num_clusters = is_member.shape[0], centers.shape[0]
    origin = centers[0]
    sizes = squared_distances_by_blocks(points[0], origin)
    members = _Members(embedding_geometry(middle), points, middle, is_member, origin, sizes)

    def goes_on(state: tuple[Array, Array, Array, Array, Array]) -> Array:
        step, _, _, _, is_changed = state
        return (step == 0) | (is_changed & (step < num_iterations))

    def step_once(state: tuple[Array, Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array, Array]:
        step, before, centers, counts, _ = state
        tell("steps of k-means", step, num_iterations)
        clusters = _repair(_assign(members, centers, counts > 0, block_size), members, is_in_use)
        means = clusters.sums / jnp.maximum(clusters.counts, 1).astype(centers.dtype)[:, None] + origin[None]
        return step + 1, clusters.assignment, means, clusters.counts, jnp.any(clusters.assignment != before)

    nowhere = jnp.full(num_rows, num_clusters, jnp.int32)
    start = (jnp.asarray(0, jnp.int32), nowhere, centers, has_center.astype(jnp.int32), jnp.asarray(True))
    _, assignment, centers, counts, _ = jax.lax.while_loop(goes_on, step_once, start)
    return KMeans(jnp.where((counts > 0)[:, None], centers, 0), assignment, counts)


def k_means(
    key: PRNGKey,
    embeddings: Float[Array, "N D"],
    sample_ids: Int32[Array, " N"],
    is_member: Bool[Array, " N"],
    num_clusters: Int32[Array, ""],
    max_clusters: int,
    num_iterations: int = NUM_ITERATIONS,
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
    middle = mean_embedding(embeddings, is_member)
    points = embedding_points(embeddings, middle)
    block_size = rows_per_block(4 * (3 * width + 4 * max(max_clusters, PICKS_PER_PASS)), num_rows)
    geometry = embedding_geometry(middle)
    seeds = draw_seeds(key, geometry, points, sample_ids, is_member, num_in_use, max_clusters, block_size)
    start = take(embeddings, seeds)
    return lloyd(points, middle, is_member, start, seeds < num_rows, is_in_use, num_iterations, block_size)


def nearest_to_centers(
    embeddings: Float[Array, "N D"],
    is_member: Bool[Array, " N"],
    centers: Float[Array, "K D"],
    assignment: Int32[Array, " N"],
    counts: Int32[Array, " K"],
) -> Int32[Array, " K"]:
    """Find in each cluster the member nearest its center; N for a cluster without members.

    Both members of a pair lie equally far from their midpoint. So ties, up to rounding, go to the member nearer the
    mean of all members, which holds in any order of the rows, and only then to the lowest row.

    Cost: O(ND) by differences, by blocks of rows.
    """
    num_rows, width = embeddings.shape
    num_clusters = centers.shape[0]
    if num_clusters == 0:
        return jnp.zeros(0, jnp.int32)
    weights = counts.astype(centers.dtype) / jnp.maximum(jnp.sum(counts), 1).astype(centers.dtype)
    overall = jnp.sum(centers * weights[:, None], axis=0)

    def measure(block: Array, own: Array) -> tuple[Array, Array]:
        to_own = jnp.sum(jnp.square(block - centers.at[own].get(mode="clip")), axis=1)
        return to_own, squared_distances(block, overall)

    block_size = rows_per_block(4 * 4 * width, num_rows)
    is_left = is_member & (assignment < num_clusters)
    cluster = jnp.where(is_left, assignment, num_clusters)
    for value in map_row_blocks(measure, (embeddings, cluster), block_size):
        smallest = jax.ops.segment_min(jnp.where(is_left, value, jnp.inf), cluster, num_clusters + 1)
        is_left = is_left & (value <= smallest[cluster] * (1 + TIE_TOLERANCE))
    rows = jnp.where(is_left, jnp.arange(num_rows, dtype=jnp.int32), num_rows)
    found = jnp.full(num_clusters + 1, num_rows, jnp.int32).at[cluster].min(rows)
    return found[:num_clusters]
