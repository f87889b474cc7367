"""TypiClust: the most typical samples of clusters that no label covers (Hacohen et al., ICML 2022)."""

import functools

import jax.numpy as jnp

from jaxal.config.strategies import TypiClustConfig
from jaxal.kernels.k_means import k_means
from jaxal.kernels.typicality import cluster_turns, mean_neighbor_distances, most_typical
from jaxal.pool import EXCLUDED, Query, is_selectable
from jaxal.strategies.strategy import AcquisitionInfo, AcquisitionInputs, Strategy, num_to_pick, stateless
from jaxal.typing import Array, Bool, Int32, PRNGKey

__all__ = ["typiclust"]


def count_in_clusters(assignment: Int32[Array, " N"], is_counted: Bool[Array, " N"], num_clusters: int) -> Array:
    """Count the marked rows of each cluster [K]."""
    return jnp.zeros(num_clusters, jnp.int32).at[assignment].add(is_counted.astype(jnp.int32), mode="drop")


@functools.cache
def typiclust(config: TypiClustConfig, *, num_classes: int) -> Strategy:
    """Choose typical samples of uncovered clusters, the largest cluster first.

    Labeled and unlabeled samples together are split by k-means into min(L + Q, max_clusters) clusters, Q being the
    picks of this query. Each pick goes to the cluster with the fewest labels and picks so far, of these to the largest
    (members counted, labeled or not), then to the lowest; there it is the unlabeled sample with the smallest mean
    distance to its nearest members, 1 / typicality in the paper. Ties of that go to the sample nearer the mean of all
    samples (a pair would always tie), then to the lowest row. The seed matters through k-means alone.

    Our reading where paper and code differ: the authors' code passes over clusters of five samples or fewer, and takes
    min(20, half the cluster) neighbors among the unlabeled ones. Here small clusters come last among the equally
    covered, but have their turn: passed over, rare classes would never be asked for, and a small pool could not fill
    its query. Neighbors are min(num_neighbors, n - 1) members of a cluster of n, labeled ones too.

    The score is the mean distance (smaller is more typical; 0 for a sample alone in its cluster); all picks have the
    one reason.

    References: Hacohen, Dekel, Weinshall, ICML 2022.
    """
    num_clusters = config.max_clusters

    def acquire(
        key: PRNGKey, state: tuple[()], inputs: AcquisitionInputs, query_size: int
    ) -> tuple[Query, tuple[()], AcquisitionInfo]:
        labels, selectable = inputs.pool.labels, is_selectable(inputs.pool)
        is_labeled, is_member = labels >= 0, labels != EXCLUDED
        num_wanted = num_to_pick(inputs, query_size)
        wanted_clusters = num_wanted + jnp.sum(is_labeled, dtype=jnp.int32)
        clusters = k_means(key, inputs.embeddings, inputs.sample_ids, is_member, wanted_clusters, num_clusters)
        turns = cluster_turns(
            clusters.counts,
            count_in_clusters(clusters.assignment, is_labeled, num_clusters),
            count_in_clusters(clusters.assignment, selectable, num_clusters),
            num_wanted,
            query_size,
        )
        has_turn = jnp.zeros(num_clusters, bool).at[turns].set(True, mode="drop")
        is_wanted = selectable & has_turn.at[clusters.assignment].get(mode="fill", fill_value=False)
        distances = mean_neighbor_distances(
            inputs.embeddings, clusters.assignment, is_wanted, num_clusters, config.num_neighbors
        )
        num_members = jnp.maximum(jnp.sum(clusters.counts), 1).astype(clusters.centers.dtype)
        shares = clusters.counts.astype(clusters.centers.dtype) / num_members
        middle = jnp.sum(clusters.centers * shares[:, None], axis=0)
        indices, picked = most_typical(
            inputs.embeddings, clusters.assignment, selectable, distances, turns, middle, num_clusters
        )
        info = AcquisitionInfo(picked, jnp.zeros_like(indices), jnp.asarray(0, jnp.int32))
        return Query(indices, indices < labels.shape[0]), state, info

    return Strategy("typiclust", frozenset(), ("typical",), stateless, acquire)
