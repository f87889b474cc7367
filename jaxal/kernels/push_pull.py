"""Minority push-pull sampling scores: CB-DAL Eq. 5 (Lin et al., MICCAI 2024)."""

import jax
import jax.numpy as jnp

from jaxal.kernels.distances import squared_distances
from jaxal.typing import Array, Bool, Float, Int32

__all__ = ["majority_classes", "minority_class", "push_pull_scores"]


def minority_class(counts: Int32[Array, " C"]) -> Int32[Array, ""]:
    """Find the labeled class with the fewest labels (n_c ≥ 1), ties to the lowest class."""
    return jnp.argmin(jnp.where(counts > 0, counts, jnp.iinfo(jnp.int32).max)).astype(jnp.int32)


def majority_classes(counts: Int32[Array, " C"]) -> Bool[Array, " C"]:
    """Mark the classes with n_c above the mean; when there is none (equal counts), every other labeled class."""
    is_above_mean = counts * counts.shape[0] > jnp.sum(counts)
    is_other = (counts > 0) & (jnp.arange(counts.shape[0], dtype=jnp.int32) != minority_class(counts))
    return jnp.where(jnp.any(is_above_mean), is_above_mean, is_other)


def push_pull_scores(
    embeddings: Float[Array, "N D"], centroids: Float[Array, "C D"], counts: Int32[Array, " C"]
) -> tuple[Float[Array, " N"], Float[Array, " N"]]:
    """Score closeness to the minority against closeness to the nearest majority: smallest first.

    score_i = ‖z_i - μ_minor‖₂ - min_{c majority} ‖z_i - μ_c‖₂   (Eq. 5, true L2, not squared)

    computed as the largest of the differences to each majority class.

    Args:
        embeddings: z.
        centroids: μ, one row a class.
        counts: n, the labels per class. Each class is expected to have one: a caller whose pool has a class without
            labels searches for it instead (k-center), since no centroid tells where it lies.

    Returns:
        (score, distance to the minority centroid); the second breaks ties among far samples on one ray, whose scores
        the triangle inequality makes equal.

    Cost: O(NCD), C passes over the embeddings.
    """
    minority = centroids[minority_class(counts)]
    to_minority = jnp.sqrt(squared_distances(embeddings, minority))

    def against(majority: Array) -> Array:
        # a - b = (a² - b²) / (a + b), and a² - b² is a plain dot product: far from both centroids the difference of the
        # distances themselves would be rounding alone.
        dot = jnp.sum((2 * embeddings - (minority + majority)[None]) * (majority - minority)[None], axis=1)
        total = to_minority + jnp.sqrt(squared_distances(embeddings, majority))
        return jnp.where(total > 0, dot / jnp.where(total > 0, total, 1), 0)

    differences = jax.lax.map(against, centroids)
    score = jnp.max(jnp.where(majority_classes(counts)[:, None], differences, -jnp.inf), axis=0)
    return score, to_minority
