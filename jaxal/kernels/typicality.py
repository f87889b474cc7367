"""Typicality within clusters: how near a sample lies to its nearest neighbors in its cluster (TypiClust)."""

import jax
import jax.numpy as jnp

from jaxal.kernels.distances import squared_distances_by_blocks
from jaxal.kernels.lloyd import argmin_with_ties
from jaxal.kernels.marked_rows import marked_rows
from jaxal.kernels.nearest_members import Clusters, nearest_members, rows_per_tile, sort_clusters
from jaxal.kernels.pool_mesh import (
    BY_ROWS,
    EVERYWHERE,
    POOL_AXIS,
    current_mesh,
    everywhere,
    on_each_device,
    pool_mesh,
)
from jaxal.typing import Array, Bool, Float, Int32

__all__ = ["cluster_turns", "mean_neighbor_distances", "most_typical"]


def cluster_turns(
    counts: Int32[Array, " K"],
    num_covering: Int32[Array, " K"],
    num_selectable: Int32[Array, " K"],
    num_wanted: Int32[Array, ""],
    query_size: int,
) -> Int32[Array, " Q"]:
    """Choose the cluster of each pick: the least covered one, of these the largest, of these the lowest.

    A pick covers its cluster as a label does. So uncovered clusters come first, the largest first; once all are
    covered, the least covered. Clusters with nothing selectable left are passed over.

    Args:
        counts: members of each cluster, labeled ones too.
        num_covering: labeled members.
        num_selectable: members that may be picked.
        num_wanted: picks wanted.
        query_size: Q, static.

    Returns:
        A cluster a pick; K behind the last.

    Cost: O(QK).
    """
    num_clusters = counts.shape[0]

    def turn(position: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        covering, left, turns = carry
        is_open = left > 0
        least = jnp.min(jnp.where(is_open, covering, jnp.iinfo(jnp.int32).max))
        cluster = jnp.argmax(jnp.where(is_open & (covering == least), counts, -1)).astype(jnp.int32)
        return covering.at[cluster].add(1), left.at[cluster].add(-1), turns.at[position].set(cluster)

    num_turns = jnp.minimum(jnp.minimum(num_wanted, query_size), jnp.sum(num_selectable))
    turns = jnp.full(max(query_size, 1), num_clusters, jnp.int32)  # room for one even where Q = 0: the body is traced
    return jax.lax.fori_loop(0, num_turns, turn, (num_covering, num_selectable, turns))[2][:query_size]


def mean_neighbor_distances(
    embeddings: Float[Array, "N D"],
    assignment: Int32[Array, " N"],
    is_wanted: Bool[Array, " N"],
    num_clusters: int,
    num_neighbors: int,
) -> Float[Array, " N"]:
    """Average the distances of rows to their nearest neighbors in the same cluster; small is typical.

    mean of ‖z_i - z_j‖ over the min(num_neighbors, n - 1) nearest other members of i's cluster of n.

    Args:
        embeddings: z, finite where a row is a member.
        assignment: cluster of each row; num_clusters for rows that are no member, which may hold anything.
        is_wanted: members to measure.
        num_clusters: K.
        num_neighbors: at most; fewer where the cluster is smaller.

    Returns:
        The means; 0 for a member alone in its cluster; inf where a row is not wanted.

    Cost: O(D Σ n²) over the clusters with a wanted row (wanted rows of a cluster times its members) in matrix products
    of tiles of rows sorted by cluster, no N×N; O(D num_neighbors) direct differences a row (see `nearest_members`).
    """
    num_rows = assignment.shape[0]
    num_neighbors = min(num_neighbors, max(num_rows - 1, 1))
    clusters = sort_clusters(embeddings, everywhere(assignment), num_clusters)
    num_wanted = jnp.sum(is_wanted, dtype=jnp.int32)
    places = marked_rows(everywhere(is_wanted)[clusters.by_cluster], num_rows)
    wanted = clusters.by_cluster.at[places].get(mode="fill", fill_value=num_rows)
    tile_rows = rows_per_tile(num_rows, num_clusters, embeddings.shape[1])
    tile_positions = jnp.arange(tile_rows, dtype=jnp.int32)

    def measure_tiles(
        clusters: Clusters, wanted: Array, num_wanted: Array, first_tile: Array | int = 0, tiles_apart: int = 1
    ) -> Array:
        def measure(turn: Array, means: Array) -> Array:
            tile = first_tile + turn * tiles_apart
            rows = wanted.at[tile * tile_rows + tile_positions].get(mode="fill", fill_value=num_rows)
            nearest = nearest_members(clusters, rows, num_neighbors)
            is_found = jnp.isfinite(nearest)
            num_found = jnp.maximum(jnp.sum(is_found, axis=1), 1).astype(embeddings.dtype)
            mean = jnp.sum(jnp.where(is_found, jnp.sqrt(nearest), 0), axis=1) / num_found
            return means.at[rows].set(mean, mode="drop")

        nowhere = jnp.full(num_rows, jnp.inf, embeddings.dtype)
        rows_a_turn = tile_rows * tiles_apart
        return jax.lax.fori_loop(0, (num_wanted + rows_a_turn - 1) // rows_a_turn, measure, nowhere)

    mesh = current_mesh()
    if mesh is None:
        return measure_tiles(clusters, wanted, num_wanted)

    def measure_own_tiles(own: Array, layout: tuple[Array, ...], wanted: Array, num_wanted: Array) -> Array:
        first_tile = jax.lax.axis_index(POOL_AXIS)
        means = measure_tiles(Clusters(own, *layout), wanted, num_wanted, first_tile, mesh.size)
        return jax.lax.pmin(means, POOL_AXIS)

    specs = (BY_ROWS, EVERYWHERE, EVERYWHERE, EVERYWHERE)
    return on_each_device(mesh, measure_own_tiles, specs, EVERYWHERE)(embeddings, clusters[1:], wanted, num_wanted)


def most_typical(
    embeddings: Float[Array, "N D"],
    assignment: Int32[Array, " N"],
    is_selectable: Bool[Array, " N"],
    distances: Float[Array, " N"],
    turns: Int32[Array, " Q"],
    middle: Float[Array, " D"],
    num_clusters: int,
) -> tuple[Int32[Array, " Q"], Float[Array, " Q"]]:
    """Pick for each turn the selectable row of that cluster with the smallest mean distance, each row once.

    The two nearest of a cluster, or the members of a pair, may have exactly the same mean distance. Such ties, up to
    rounding, go to the row nearer `middle`, which holds in any order of the rows, and only then to the lowest row.

    Args:
        embeddings: z.
        assignment: cluster of each row.
        is_selectable: rows that may be picked.
        distances: of `mean_neighbor_distances`.
        turns: cluster of each pick, K behind the last; each has a selectable row left when its turn comes.
        middle: the mean of all members.
        num_clusters: K.

    Returns:
        (indices, distance): padding holds N and NaN.

    Cost: O(QN + ND).
    """
    num_rows, query_size = assignment.shape[0], turns.shape[0]
    to_middle = squared_distances_by_blocks(embeddings, middle)
    known = (assignment, is_selectable, distances, to_middle)
    assignment, is_selectable, distances, to_middle = everywhere(known)

    def pick(free: Array, cluster: Array) -> tuple[Array, tuple[Array, Array]]:
        is_turn = cluster < num_clusters
        row = argmin_with_ties(distances, to_middle, free & (assignment == cluster))
        chosen = jnp.where(is_turn, row, num_rows)
        return free.at[chosen].set(False, mode="drop"), (chosen, jnp.where(is_turn, distances[row], jnp.nan))

    if query_size == 0:
        return jnp.zeros(0, jnp.int32), jnp.zeros(0, distances.dtype)
    with pool_mesh(None):  # of few numbers a row, every device has all
        _, (indices, picked) = jax.lax.scan(pick, is_selectable, turns)
    return indices, picked
