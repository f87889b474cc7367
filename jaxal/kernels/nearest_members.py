"""Nearest neighbors within clusters: matrix products choose whom to measure, direct differences measure.

One product tells for a tile of rows how far it is to many others, off by a rounding error that is known in size. Each
row keeps the few others that may be nearest by it, and these are measured by direct differences. Where the error leaves
it open whether another one is nearer still, the row is measured against its whole cluster.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxal.kernels.blocks import map_row_blocks, rows_per_block
from jaxal.kernels.cached_blocks import rows_per_cached_block
from jaxal.kernels.marked_rows import marked_rows
from jaxal.kernels.nearest_center import product_tolerance
from jaxal.kernels.pool_mesh import POOL_AXIS, exchange_rows
from jaxal.typing import Array, Bool, Float, Int32

__all__ = ["Clusters", "nearest_members", "rows_per_tile", "sort_clusters"]

# Others measured beyond the neighbors wanted: the gap to the last of them must exceed the error of the products.
SLACK = 5
# Where products settle nothing: rows compared at a time, and with how many others.
OPEN_ROWS, OPEN_OTHERS = 32, 128
# Rows of a tile. Fewer would leave products too little to do, more gain nothing.
FEWEST_ROWS, MOST_ROWS = 128, 512


class Clusters(NamedTuple):
    """Rows laid out by cluster."""

    embeddings: Array  # [N, D]; inside `on_each_device` the rows of this device alone, and all compare in step
    assignment: Array  # [N], K for rows that are no member
    by_cluster: Array  # [N] rows, sorted by cluster and then by number
    ends: Array  # [K + 1] where each cluster ends in by_cluster
    near: Array  # [K + 1] a member of each cluster; anything where there is none


def sort_clusters(embeddings: Float[Array, "N D"], assignment: Int32[Array, " N"], num_clusters: int) -> Clusters:
    """Lay out rows by cluster; those of cluster K = num_clusters, which may hold anything, come last."""
    by_cluster = jnp.argsort(assignment, stable=True).astype(jnp.int32)
    counts = jnp.zeros(num_clusters + 1, jnp.int32).at[assignment].add(1)
    ends = jnp.cumsum(counts)
    return Clusters(embeddings, assignment, by_cluster, ends, by_cluster.at[ends - counts].get(mode="clip"))


def rows_per_tile(num_rows: int, num_clusters: int, width: int) -> int:
    """Choose the rows of a tile: about those of a cluster, as pairs across clusters are of no use, within the budget.

    The rows and twice as many others are held as they are and as differences, and some arrays of their pairs.
    """
    share = -(-num_rows // max(num_clusters, 1))
    fitting = rows_per_block(4 * (6 * width + 8 * MOST_ROWS), num_rows)
    return min(max(1 << (share - 1).bit_length(), FEWEST_ROWS), MOST_ROWS, fitting)


def nearest_members(clusters: Clusters, rows: Int32[Array, " R"], num_neighbors: int) -> Float[Array, "R k"]:
    """Measure the squared distances of members to their nearest other members of the same cluster.

    The values are those of direct differences. Differences to one member of the cluster enter the products, so that
    neither the place of a cluster nor its scale matters to their error.

    Args:
        clusters: the rows laid out.
        rows: members, sorted by cluster; N is padding.
        num_neighbors: k, at least 1.

    Returns:
        Squared distances in ascending order, +inf behind the last other member.

    Cost: products of R rows with the members of their clusters, and k + 5 direct differences a row. Rows with more than
    5 others nearly as near as their k-th, by the rounding of float32, take direct differences to all members.
    """
    num_kept = num_neighbors + SLACK
    others, last = _candidates(clusters, rows, num_kept)
    nearest = _smallest(_measure(clusters, rows, others), num_neighbors)
    # What was not kept is no nearer than `last`; a distance is never less than 0, whatever the products say.
    tolerance = product_tolerance(clusters.embeddings.shape[1])
    is_settled = nearest[:, -1] * (1 + tolerance) <= jnp.maximum(last, 0)
    return _settle(clusters, rows, nearest, is_settled)


def _smallest(values: Array, number: int) -> Array:
    return -jax.lax.top_k(-values, number)[0]


def _span(clusters: Clusters, rows: Array) -> tuple[Array, Array]:
    """The part of by_cluster that holds the clusters of rows sorted by cluster."""
    num_rows, cluster = clusters.assignment.shape[0], _cluster_of(clusters, rows)
    lowest, highest = cluster[0], jnp.max(jnp.where(rows < num_rows, cluster, 0))
    return jnp.where(lowest > 0, clusters.ends[lowest - 1], 0), clusters.ends[highest]


def _cluster_of(clusters: Clusters, rows: Array) -> Array:
    return clusters.assignment.at[rows].get(mode="fill", fill_value=clusters.ends.shape[0] - 1)


def _tile(clusters: Clusters, start: Array, stop: Array, size: int) -> Array:
    """Rows by_cluster[start : start + size] up to stop, N as padding."""
    positions = start + jnp.arange(size, dtype=jnp.int32)
    return jnp.where(positions < stop, clusters.by_cluster.at[positions].get(mode="clip"), clusters.by_cluster.shape[0])


def _is_part(clusters: Clusters) -> bool:
    return clusters.embeddings.shape[0] < clusters.assignment.shape[0]


def _read(clusters: Clusters, rows: Array) -> Array:
    if _is_part(clusters):
        return exchange_rows(clusters.embeddings, rows)
    return clusters.embeddings.at[rows].get(mode="fill", fill_value=0)


def _in_step(clusters: Clusters, number: Array) -> Array:
    """How many steps to take: as many as the device that takes the most, since all read rows together."""
    return jax.lax.pmax(number, POOL_AXIS) if _is_part(clusters) else number


def _is_pair(clusters: Clusters, rows: Array, others: Array) -> Array:
    is_same = _cluster_of(clusters, rows)[:, None] == _cluster_of(clusters, others)[None]
    return is_same & (rows[:, None] != others[None])


def _candidates(clusters: Clusters, rows: Array, num_kept: int) -> tuple[Array, Array]:
    """Choose for each row the others whose squared distance may be least: (others [R, kept], bound [R]).

    By products, less their error, so that no other one lies nearer than `bound`: +inf where none is left out. Padding
    of the others is N.
    """
    num_rows, width, tile_rows = len(clusters.assignment), clusters.embeddings.shape[1], rows.shape[0]
    tolerance = product_tolerance(width)
    num_others = 2 * tile_rows  # a step mostly takes in all the members of the tile's clusters

    def place(rows: Array) -> tuple[Array, Array]:
        """Differences to the cluster's member, and their squared norms."""
        near = clusters.near.at[_cluster_of(clusters, rows)].get(mode="clip")
        differences = _read(clusters, rows) - _read(clusters, jnp.where(rows < num_rows, near, num_rows))
        return differences, jnp.sum(jnp.square(differences), axis=1)

    z, squares = place(rows)
    start, stop = _span(clusters, rows)

    def compare(step: Array, kept: tuple[Array, Array]) -> tuple[Array, Array]:
        others = _tile(clusters, start + step * num_others, stop, num_others)
        other, other_squares = place(others)
        sizes = squares[:, None] + other_squares[None]
        lower = (1 - tolerance) * sizes - 2 * jnp.matmul(z, other.T, precision="highest")
        lower = jnp.where(_is_pair(clusters, rows, others), lower, jnp.inf)
        best, number = jax.lax.top_k(-jnp.concatenate([kept[0], lower], axis=1), num_kept)
        known = jnp.take_along_axis(kept[1], jnp.minimum(number, num_kept - 1), axis=1)
        new = others.at[number - num_kept].get(mode="clip")
        return -best, jnp.where(number < num_kept, known, new)

    none_yet = (
        jnp.full((tile_rows, num_kept), jnp.inf, z.dtype),
        jnp.full((tile_rows, num_kept), num_rows, jnp.int32),
    )
    num_steps = _in_step(clusters, (stop - start + num_others - 1) // num_others)
    lower, others = jax.lax.fori_loop(0, num_steps, compare, none_yet)
    return jnp.where(jnp.isfinite(lower), others, num_rows), lower[:, -1]


def _measure(clusters: Clusters, rows: Array, others: Array) -> Array:
    """Squared distances [R, kept] by direct differences, +inf to padding; few enough rows at a time to stay cached."""
    num_rows, width = len(clusters.assignment), clusters.embeddings.shape[1]

    def measure(rows: Array, others: Array) -> Array:
        squared = jnp.sum(jnp.square(_read(clusters, others) - _read(clusters, rows)[:, None]), axis=2)
        return jnp.where(others < num_rows, squared, jnp.inf)

    block_size = rows_per_cached_block(2 * 4 * others.shape[1] * width, rows.shape[0])
    return map_row_blocks(measure, (rows, others), block_size)


def _settle(
    clusters: Clusters, rows: Int32[Array, " R"], nearest: Float[Array, "R k"], is_settled: Bool[Array, " R"]
) -> Float[Array, "R k"]:
    """Measure the rows that are not settled against all members of their clusters, by direct differences."""
    num_rows, (tile_rows, num_neighbors) = clusters.assignment.shape[0], nearest.shape

    def num_open(is_settled: Array) -> Array:
        return _in_step(clusters, jnp.sum(~is_settled, dtype=jnp.int32))

    def measure(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        nearest, is_settled, _ = state
        places = marked_rows(~is_settled, min(OPEN_ROWS, tile_rows))
        open_rows = rows.at[places].get(mode="fill", fill_value=num_rows)
        z = _read(clusters, open_rows)
        start, stop = _span(clusters, open_rows)

        def compare(step: Array, found: Array) -> Array:
            others = _tile(clusters, start + step * OPEN_OTHERS, stop, OPEN_OTHERS)
            squared = jnp.sum(jnp.square(z[:, None] - _read(clusters, others)[None]), axis=2)  # fused: never held
            squared = jnp.where(_is_pair(clusters, open_rows, others), squared, jnp.inf)
            return _smallest(jnp.concatenate([found, squared], axis=1), num_neighbors)

        none_yet = jnp.full((open_rows.shape[0], num_neighbors), jnp.inf, nearest.dtype)
        num_steps = _in_step(clusters, (stop - start + OPEN_OTHERS - 1) // OPEN_OTHERS)
        found = jax.lax.fori_loop(0, num_steps, compare, none_yet)
        is_settled = is_settled.at[places].set(True, mode="drop")
        return nearest.at[places].set(found, mode="drop"), is_settled, num_open(is_settled)

    start = (nearest, is_settled, num_open(is_settled))
    return jax.lax.while_loop(lambda state: state[-1] > 0, measure, start)[0]
