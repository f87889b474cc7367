"""k-means over the members of a pool: k-means++ seeding by row-wise noise, Lloyd's steps, repair of empty clusters.

Everything is measured from the first center drawn: differences of float32 rows to a row among them keep their digits
where a common offset of the embeddings would cost them, and are exact where the rows are multiples of one step, so that
there no order of summation can change a center.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxal.kernels.blocks import map_row_blocks, rows_per_block
from jaxal.kernels.distances import squared_distances
from jaxal.typing import Array, Bool, Float, Int32, PRNGKey

__all__ = ["KMeans", "argmin_with_ties", "assign_block", "draw_row", "k_means", "lloyd", "nearest_to_centers"]

# Values closer than this share of their size are one value: a pair lies equally far from its midpoint, but not in
# float32, and what rounding says of it may change with the order of the pool.
TIE_TOLERANCE = 4e-6


class KMeans(NamedTuple):
    """Clusters 0 … K-1; one without members has count 0 and center 0, which callers must mask."""

    centers: Float[Array, "K D"]  # means of the members
    assignment: Int32[Array, " N"]  # K for rows that are no member
    counts: Int32[Array, " K"]


def draw_row(
    key: PRNGKey,
    step: Int32[Array, ""],
    sample_ids: Int32[Array, " N"],
    log_weight: Float[Array, " N"],
    is_eligible: Bool[Array, " N"],
) -> tuple[Int32[Array, ""], Bool[Array, ""]]:
    """Draw one row with probability in proportion to exp(log_weight), by Gumbel-max.

    The noise hangs on step and stable id alone, and no cumulative sum over N is formed: in float32 it would be biased.

    Args:
        key: of the whole sequence of draws.
        step: number of this draw.
        sample_ids: stable ids.
        log_weight: -inf for weight zero; only differences matter.
        is_eligible: rows that may be drawn.

    Returns:
        (row, found): found is False, and row means nothing, where no eligible row has any weight.

    Cost: O(N), two hashes a row.
    """
    step_key = jax.random.fold_in(key, step)

    def gumbel(sample_id: Array) -> Array:
        # The plain mode has 23 bits, which the best of a million rows exhausts.
        return jax.random.gumbel(jax.random.fold_in(step_key, sample_id), dtype=log_weight.dtype, mode="high")

    values = jnp.where(is_eligible & (log_weight > -jnp.inf), log_weight + jax.vmap(gumbel)(sample_ids), -jnp.inf)
    row = jnp.argmax(values).astype(jnp.int32)
    return row, values[row] > -jnp.inf


def argmin_with_ties(
    values: Float[Array, " N"], tie_breaker: Float[Array, " N"], is_eligible: Bool[Array, " N"]
) -> Int32[Array, ""]:
    """Find the eligible row of the smallest value (≥ 0); ties, up to rounding, to the smaller tie_breaker (≥ 0), then
    to the lowest row. With no eligible row the answer is row 0."""
    for value in (values, tie_breaker):
        smallest = jnp.min(jnp.where(is_eligible, value, jnp.inf))
        is_eligible = is_eligible & (value <= smallest * (1 + TIE_TOLERANCE))
    return jnp.argmax(is_eligible).astype(jnp.int32)


def assign_block(
    rows: Float[Array, "B D"], is_member: Bool[Array, " B"], centers: Float[Array, "K D"], has_center: Bool[Array, " K"]
) -> tuple[Int32[Array, " B"], Float[Array, " B"], Float[Array, "K D"], Int32[Array, " K"]]:
    """Assign a block of rows to their nearest centers, and sum what each cluster gets.

    argmin_k ‖c_k‖² - 2 z·c_k, ties to the lowest cluster; the distance to the center taken is then measured by
    differences.

    Returns:
        (assignment, squared distance to that center, sums, counts): K and 0 where a row is no member or no center is.
    """
    num_clusters = centers.shape[0]
    norms = jnp.sum(jnp.square(centers), axis=1)
    values = norms[None] - 2 * jnp.matmul(rows, centers.T, precision="highest")
    nearest = jnp.argmin(jnp.where(has_center[None], values, jnp.inf), axis=1).astype(jnp.int32)
    is_assigned = is_member & jnp.any(has_center)
    distances = jnp.where(is_assigned, jnp.sum(jnp.square(rows - centers[nearest]), axis=1), 0)
    assignment = jnp.where(is_assigned, nearest, num_clusters)
    membership = assignment[:, None] == jnp.arange(num_clusters, dtype=jnp.int32)[None]
    # A product with the 0/1 matrix, not a scatter: on GPUs atomics would add in another order every time.
    sums = jnp.matmul(membership.astype(rows.dtype).T, rows, precision="highest")
    return assignment, distances, sums, jnp.sum(membership, axis=0, dtype=jnp.int32)


Pair = tuple[Array, Array]


class _Clusters(NamedTuple):
    assignment: Array
    distances: Array  # squared, of each member to the center it was assigned by
    sums: Array
    counts: Array


def _seed(
    key: PRNGKey, rows: Array, sample_ids: Array, is_member: Array, num_in_use: Array, num_clusters: int
) -> tuple[Array, Array]:
    """Draw the centers by D² (k-means++), the first uniformly; add no more where every member is a center already."""

    def add(step: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        nearest, centers, has_center = carry
        log_weight = jnp.where(step == 0, 0, jnp.log(nearest))
        row, found = draw_row(key, step, sample_ids, log_weight, is_member)
        nearest = jnp.minimum(nearest, jnp.where(found, squared_distances(rows, rows[row]), jnp.inf))
        return nearest, centers.at[step].set(rows[row]), has_center.at[step].set(found)

    start = (
        jnp.full(rows.shape[0], jnp.inf, rows.dtype),
        jnp.zeros((num_clusters, rows.shape[1]), rows.dtype),
        jnp.zeros(num_clusters, bool),
    )
    _, centers, has_center = jax.lax.fori_loop(0, num_in_use, add, start)
    return centers, has_center


def _assign(rows: Array, is_member: Array, centers: Array, has_center: Array, block_size: int) -> _Clusters:
    """Pass over the rows by blocks."""
    num_rows, width = rows.shape
    num_clusters = centers.shape[0]
    num_blocks = -(-num_rows // block_size)
    overhang = num_blocks * block_size - num_rows
    blocks = (
        jnp.pad(rows, ((0, overhang), (0, 0))).reshape(num_blocks, block_size, width),
        jnp.pad(is_member, (0, overhang)).reshape(num_blocks, block_size),
    )

    def add_block(carry: Pair, block: Pair) -> tuple[Pair, Pair]:
        assignment, distances, sums, counts = assign_block(*block, centers, has_center)
        return (carry[0] + sums, carry[1] + counts), (assignment, distances)

    nothing = (jnp.zeros_like(centers), jnp.zeros(num_clusters, jnp.int32))
    (sums, counts), (assignment, distances) = jax.lax.scan(add_block, nothing, blocks)
    return _Clusters(assignment.reshape(-1)[:num_rows], distances.reshape(-1)[:num_rows], sums, counts)


def _repair(clusters: _Clusters, rows: Array, is_member: Array, is_in_use: Array) -> _Clusters:
    """Give each empty cluster, lowest first, the member that lies farthest from its own center.

    Left out are members alone in their cluster, and those that differ from their center by rounding only: with fewer
    distinct members than clusters some clusters stay empty. Of equally far ones the one nearest the first center.
    """
    num_rows, num_clusters = rows.shape[0], is_in_use.shape[0]
    sizes = jnp.sum(jnp.square(rows), axis=1)

    def movable(state: _Clusters) -> Array:
        is_shared = state.counts.at[state.assignment].get(mode="fill", fill_value=0) > 1
        return is_member & is_shared & (state.distances > jnp.square(TIE_TOLERANCE) * sizes)

    def is_needed(state: _Clusters) -> Array:
        return jnp.any(is_in_use & (state.counts == 0)) & jnp.any(movable(state))

    def move(state: _Clusters) -> _Clusters:
        empty = jnp.argmax(is_in_use & (state.counts == 0)).astype(jnp.int32)
        candidates = movable(state)
        farthest = jnp.max(jnp.where(candidates, state.distances, 0))
        is_far = candidates & (state.distances >= farthest * (1 - TIE_TOLERANCE))
        row = argmin_with_ties(jnp.zeros(num_rows, rows.dtype), sizes, is_far)
        change = jnp.zeros(num_clusters, jnp.int32).at[empty].set(1).at[state.assignment[row]].add(-1)
        return _Clusters(
            assignment=state.assignment.at[row].set(empty),
            distances=state.distances.at[row].set(0),
            sums=state.sums + change.astype(rows.dtype)[:, None] * rows[row][None],
            counts=state.counts + change,
        )

    return jax.lax.while_loop(is_needed, move, clusters)


def lloyd(
    rows: Float[Array, "N D"],
    is_member: Bool[Array, " N"],
    centers: Float[Array, "K D"],
    has_center: Bool[Array, " K"],
    is_in_use: Bool[Array, " K"],
    num_iterations: int,
    block_size: int,
) -> KMeans:
    """Assign members to their nearest centers and move the centers to the means, until no assignment changes.

    Args:
        rows: what to cluster; finite everywhere.
        is_member: rows to cluster.
        centers: to start from.
        has_center: which of them exist.
        is_in_use: clusters that may have members; those left without any are repaired (see `k_means`).
        num_iterations: at most, at least one is done.
        block_size: rows per block.

    Cost: O(NKD) a step.
    """
    num_rows, num_clusters = rows.shape[0], centers.shape[0]

    def goes_on(state: tuple[Array, Array, Array, Array, Array]) -> Array:
        step, _, _, _, is_changed = state
        return (step == 0) | (is_changed & (step < num_iterations))

    def step_once(state: tuple[Array, Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array, Array]:
        step, before, centers, counts, _ = state
        clusters = _repair(_assign(rows, is_member, centers, counts > 0, block_size), rows, is_member, is_in_use)
        means = clusters.sums / jnp.maximum(clusters.counts, 1).astype(rows.dtype)[:, None]
        return step + 1, clusters.assignment, means, clusters.counts, jnp.any(clusters.assignment != before)

    nowhere = jnp.full(num_rows, num_clusters, jnp.int32)
    start = (jnp.asarray(0, jnp.int32), nowhere, centers, has_center.astype(jnp.int32), jnp.asarray(True))
    _, assignment, centers, counts, _ = jax.lax.while_loop(goes_on, step_once, start)
    return KMeans(centers, assignment, counts)


def k_means(
    key: PRNGKey,
    embeddings: Float[Array, "N D"],
    sample_ids: Int32[Array, " N"],
    is_member: Bool[Array, " N"],
    num_clusters: Int32[Array, ""],
    max_clusters: int,
    num_iterations: int = 100,
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

    Cost: O(NKD) for the seeding (direct differences) and for each step (one product by blocks), memory of one copy of
    the embeddings and one block of rows × K.
    """
    num_rows, width = embeddings.shape
    if max_clusters == 0:
        centers = jnp.zeros((0, width), embeddings.dtype)
        return KMeans(centers, jnp.zeros(num_rows, jnp.int32), jnp.zeros(0, jnp.int32))
    num_in_use = jnp.minimum(jnp.minimum(num_clusters, max_clusters), jnp.sum(is_member, dtype=jnp.int32))
    is_in_use = jnp.arange(max_clusters, dtype=jnp.int32) < num_in_use
    rows = jnp.where(is_member[:, None], embeddings, 0)
    seeds, has_center = _seed(key, rows, sample_ids, is_member, num_in_use, max_clusters)
    origin = seeds[:1]
    rows = jnp.where(is_member[:, None], rows - origin, 0)
    block_size = rows_per_block(4 * (2 * width + 3 * max_clusters), num_rows)
    found = lloyd(rows, is_member, seeds - origin, has_center, is_in_use, num_iterations, block_size)
    return found._replace(centers=jnp.where((found.counts > 0)[:, None], found.centers + origin, 0))


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
