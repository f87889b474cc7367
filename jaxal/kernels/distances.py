"""Euclidean distances by direct differences, which keep their digits where ‖a‖² + ‖b‖² - 2ab would cancel."""

import jax
import jax.numpy as jnp

from jaxal.typing import Array, Float

__all__ = ["distances_to_centers", "squared_distances"]


def squared_distances(embeddings: Float[Array, "N D"], center: Float[Array, " D"]) -> Float[Array, " N"]:
    """Square the distance of every row to one center: ‖z_i - center‖².  Cost: O(ND), no N×D intermediate once fused."""
    return jnp.sum(jnp.square(embeddings - center[None]), axis=1)


def distances_to_centers(embeddings: Float[Array, "N D"], centers: Float[Array, "K D"]) -> Float[Array, "N K"]:
    """Measure the true L2 distance of every row to each of K centers, one center at a time (never N×K×D).

    Cost: O(NKD) arithmetic, K passes over the embeddings.
    """
    squared = jax.lax.map(lambda center: squared_distances(embeddings, center), centers)
    return jnp.sqrt(squared).T
