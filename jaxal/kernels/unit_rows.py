"""Embeddings on the unit sphere."""

import jax.numpy as jnp

from jaxal.kernels.distances import squared_distances_by_blocks
from jaxal.typing import Array, Float

__all__ = ["unit_rows", "unit_scale"]


def unit_scale(embeddings: Float[Array, "N D"]) -> Float[Array, " N"]:
    """Compute what scales each row to length 1: 1 / ‖z‖; 1 for a zero row.  Cost: one pass over the embeddings."""
    norms = jnp.sqrt(squared_distances_by_blocks(embeddings, jnp.zeros_like(embeddings, shape=embeddings.shape[1:])))
    return 1 / jnp.where(norms > 0, norms, 1)


def unit_rows(embeddings: Float[Array, "N D"]) -> Float[Array, "N D"]:
    """Scale each row to length 1; a zero row stays zero.  Cost: as `unit_scale`, and a result of the rows' size."""
    return embeddings * unit_scale(embeddings)[:, None]
