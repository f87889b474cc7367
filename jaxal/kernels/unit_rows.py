"""Embeddings on the unit sphere."""

import jax.numpy as jnp

from jaxal.typing import Array, Float

__all__ = ["unit_rows"]


def unit_rows(embeddings: Float[Array, "N D"]) -> Float[Array, "N D"]:
    """Scale each row to length 1; a zero row stays zero.

    Cost: two passes over the embeddings and a result of their size, whose writing is most of the time: blocks of rows
    would save nothing.
    """
    norms = jnp.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings / jnp.where(norms > 0, norms, 1)
