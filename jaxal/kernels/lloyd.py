"""Lloyd's steps, with the repair of empty clusters: the textbook's, but later ones measure only what may have changed.

Means are taken of differences to the first center: those of float32 rows to a row among them keep their digits where a
common offset of the embeddings would cost them, and are exact where the rows are multiples of one step, so that there
no order of summation can change a center. Which center is nearest is decided by direct differences (`search`).

How near a member can be to a center at least is remembered from step to step, less how far the center has moved since
(Elkan, Using the triangle inequality to accelerate k-means, ICML 2003). After a few steps next to no pair of member and
center is open, and no product is needed.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxal.kernels.blocks import fold_listed_rows, renew_listed_rows, rows_per_block
from jaxal.kernels.distances import embedding_geometry, embedding_points, squared_distances_by_blocks, vectors
from jaxal.kernels.masking import first_argmax
from jaxal.kernels.nearest_center import Geometry, Points, lower_bounds, product_tolerance, search
from jaxal.kernels.pool_mesh import pool_mesh, take, take_rows
from jaxal.kernels.progress import tell
from jaxal.typing import Array, Bool, Float, Int32

__all__ = ["TIE_TOLERANCE", "KMeans", "add_by_cluster", "argmin_with_ties", "lloyd"]

# Values closer than this share of their size are one value: a pair lies equally far from its midpoint, but not in
# float32, and what rounding says of it may change with the order of the pool.
TIE_TOLERANCE = 4e-6

# Open pairs a row beyond which a product with all centers is cheaper than measuring pair by pair.
PAIRS_PER_ROW = 2

SMALLEST_MOVE = float(jnp.finfo(jnp.float32).tiny)


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


def add_by_cluster(
    sums: Float[Array, "K D"], rows: Float[Array, "B D"], assignment: Int32[Array, " B"], *, by_product: bool
) -> Float[Array, "K D"]:
    """Add rows to the sums of their clusters; assignment K counts for none.

    Args:
        sums: so far.
        rows: finite.
        assignment: cluster of each row.
        by_product: with the 0/1 matrix of memberships, K times the arithmetic. A scatter is as fast as reading the rows
            on CPU, where it adds in their order; on GPUs atomics would add in another order every time.
    """
    if by_product:
        membership = assignment[:, None] == jnp.arange(sums.shape[0], dtype=jnp.int32)[None]
        return sums + jnp.matmul(membership.astype(rows.dtype).T, rows, precision="highest")
    return sums.at[assignment].add(rows, mode="drop")


class _Clusters(NamedTuple):
    assignment: Array
    distances: Array  # squared, of each member to the center it was assigned by
    bounds: Array  # [N K], squared: no center is nearer to a member than this; [0 0] if not remembered
    sums: Array  # of the differences to the origin
    counts: Array


class _Centers(NamedTuple):
    means: Array
    exists: Array
    moved: Array  # how far since the members were last assigned; inf for one that did not exist


class _Members(NamedTuple):
    """What stays the same from step to step."""

    geometry: Geometry
    points: Points
    middle: Array  # [D], of the geometry
    is_member: Array
    origin: Array  # [D], where sums are measured from
    sizes: Array  # [N], squared distances to the origin


def remembers_bounds(num_rows: int, num_clusters: int, width: int) -> bool:
    """Decide whether N×K bounds are worth their memory: up to a quarter of the embeddings, or the budget of a block."""
    return 4 * num_clusters <= width or rows_per_block(4 * num_clusters, num_rows) >= num_rows


def moved_bounds(bounds: Float[Array, "R K"], moved: Float[Array, " K"], width: int) -> Float[Array, "R K"]:
    """Lower bounds on squared distances by how far the centers moved: (√bound - moved)², less what rounding may add.

    Bounds of centers that did not move stay as they are.
    """
    tolerance = product_tolerance(width)
    nearer = jnp.sqrt(bounds) * (1 - tolerance) - moved[None] * (1 + tolerance)
    lowered = jnp.square(jnp.maximum(nearer, 0) * (1 - tolerance))
    # A center that did not exist had the bound inf, and inf - inf is no number.
    return jnp.where(moved[None] == 0, bounds, jnp.where(moved[None] < jnp.inf, lowered, 0))


def _assign(members: _Members, centers: _Centers, before: _Clusters, block_size: int) -> _Clusters:
    """Assign the members to their nearest centers, ties to the lowest cluster; sums are left as they were."""
    num_clusters, width = centers.means.shape
    is_remembered = before.bounds.shape[0] > 0
    geometry, points = members.geometry, members.points
    with pool_mesh(None):  # every device has all centers
        middle_centers = embedding_points(centers.means, members.middle)
    numbers = jnp.arange(num_clusters, dtype=jnp.int32)

    def measure_own(distances: Array, rows: Array, points: Points, assignment: Array) -> Array:
        own = take(middle_centers, assignment.at[rows].get(mode="clip"))
        return distances.at[rows].set(geometry.by_differences(take(points, rows), own), mode="drop")

    if is_remembered:
        own_moved = centers.moved.at[before.assignment].get(mode="fill", fill_value=0) > 0
        rows_moved = members.is_member & own_moved
        own = (points, before.assignment)
        distances = renew_listed_rows(measure_own, before.distances, rows_moved, own, block_size)
    else:  # all is measured anew, and nothing is known at first
        distances = jnp.where(members.is_member, jnp.inf, before.distances)

    def assign_rows(state: tuple[Array, Array, Array], rows: Array, points: Points) -> tuple[Array, Array, Array]:
        assignment, distances, bounds = state
        squared = distances.at[rows].get(mode="fill", fill_value=-jnp.inf)
        number = assignment.at[rows].get(mode="fill", fill_value=num_clusters)

        def by_products(before: Array) -> Array:
            found = lower_bounds(geometry, take(points, rows), middle_centers)
            return jnp.where(jnp.signbit(before) | ~centers.exists[None], before, jnp.maximum(before, found))

        def measure(places: Array, columns: Array) -> Array:
            return geometry.by_differences(take(points, take(rows, places)), take(middle_centers, columns))

        if is_remembered:
            block = moved_bounds(take(bounds, rows), centers.moved, width)
            block = jnp.where(numbers[None] == number[:, None], -squared[:, None], block)
        else:
            block = jnp.zeros((rows.shape[0], num_clusters), squared.dtype)
        block = jnp.where(centers.exists[None], block, jnp.inf)
        num_open = jnp.sum(~jnp.signbit(block) & (block < squared[:, None]), dtype=jnp.int32)
        block = jax.lax.cond(num_open > PAIRS_PER_ROW * rows.shape[0], by_products, lambda same: same, block)
        squared, number, block = search(measure, block, numbers, squared, number)
        return (
            assignment.at[rows].set(number, mode="drop"),
            distances.at[rows].set(squared, mode="drop"),
            bounds.at[rows].set(jnp.abs(block), mode="drop") if is_remembered else bounds,
        )

    start = (before.assignment, distances, before.bounds)
    renewed = renew_listed_rows(assign_rows, start, members.is_member, (points,), block_size)
    assignment, distances, bounds = renewed
    return before._replace(assignment=assignment, distances=distances, bounds=bounds)


def _add_up(members: _Members, clusters: _Clusters, before: Int32[Array, " N"], block_size: int) -> _Clusters:
    """Count the members and add them up anew in the clusters that lost or won one."""
    num_clusters = clusters.counts.shape[0]
    is_changed = clusters.assignment != before
    num_changed = jnp.zeros(num_clusters, jnp.int32)
    for own in (before, clusters.assignment):  # counted, as sums need no word between devices on single rows
        num_changed = num_changed.at[jnp.where(is_changed, own, num_clusters)].add(1, mode="drop")
    has_changed = num_changed > 0

    def add_rows(sums: Array, rows: Array, points: Points, assignment: Array) -> Array:
        own = assignment.at[rows].get(mode="fill", fill_value=num_clusters)
        differences = vectors(take(points, rows)) - members.origin[None]
        return jax.lax.platform_dependent(
            sums,
            jnp.where((own < num_clusters)[:, None], differences, 0),
            own,
            cpu=functools.partial(add_by_cluster, by_product=False),
            default=functools.partial(add_by_cluster, by_product=True),
        )

    sums = jnp.where(has_changed[:, None], 0, clusters.sums)
    is_listed = has_changed.at[clusters.assignment].get(mode="fill", fill_value=False)
    counts = jnp.zeros(num_clusters, jnp.int32).at[clusters.assignment].add(1, mode="drop")
    sums = fold_listed_rows(add_rows, sums, is_listed, (members.points, clusters.assignment), block_size)
    return clusters._replace(sums=sums, counts=counts)


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
        (own,), point = take_rows((state.assignment, members.points), row[None])
        difference = vectors(point)[0] - members.origin
        change = jnp.zeros(num_clusters, jnp.int32).at[empty].set(1).at[own].add(-1)
        return _Clusters(
            assignment=state.assignment.at[row].set(empty),
            distances=state.distances.at[row].set(0),
            bounds=state.bounds,
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

    Cost: one product N×D by D×K a step at first, and at each where the N×K bounds are not remembered; later a pass over
    the bounds, and over the members of clusters that changed.
    """
    num_rows, num_clusters = is_member.shape[0], centers.shape[0]
    origin = centers[0]
    embeddings, _, *row_scale = points
    sizes = squared_distances_by_blocks(embeddings, origin, *row_scale)
    is_remembered = remembers_bounds(num_rows, num_clusters, origin.shape[0])
    members = _Members(embedding_geometry(middle), points, middle, is_member, origin, sizes)

    def goes_on(state: tuple[Array, _Centers, _Clusters, Array]) -> Array:
        step, _, _, is_changed = state
        return (step == 0) | (is_changed & (step < num_iterations))

    def step_once(state: tuple[Array, _Centers, _Clusters, Array]) -> tuple[Array, _Centers, _Clusters, Array]:
        step, centers, before, _ = state
        tell("steps of k-means", step, num_iterations)
        clusters = _assign(members, centers, before, block_size)
        clusters = _repair(_add_up(members, clusters, before.assignment, block_size), members, is_in_use)
        means = clusters.sums / jnp.maximum(clusters.counts, 1).astype(sizes.dtype)[:, None] + origin[None]
        moved = jnp.sqrt(jnp.sum(jnp.square(means - centers.means), axis=1))
        # A move so small that its square vanishes is a move.
        moved = jnp.where(jnp.any(means != centers.means, axis=1), jnp.maximum(moved, SMALLEST_MOVE), 0)
        renewed = _Centers(means, clusters.counts > 0, jnp.where(centers.exists, moved, jnp.inf))
        return step + 1, renewed, clusters, jnp.any(clusters.assignment != before.assignment)

    unassigned = _Clusters(
        assignment=jnp.full(num_rows, num_clusters, jnp.int32),
        distances=jnp.full_like(sizes, jnp.inf),
        bounds=jnp.zeros((num_rows, num_clusters) if is_remembered else (0, 0), sizes.dtype),
        sums=jnp.zeros_like(centers),
        counts=jnp.zeros(num_clusters, jnp.int32),
    )
    first = _Centers(centers, has_center, jnp.full_like(centers[:, 0], jnp.inf))
    start = (jnp.asarray(0, jnp.int32), first, unassigned, jnp.asarray(True))
    _, last, clusters, _ = jax.lax.while_loop(goes_on, step_once, start)
    return KMeans(jnp.where(last.exists[:, None], last.means, 0), clusters.assignment, clusters.counts)
