"""Class centroids of the labeled samples: the anchors of feature mixing and the poles of push-pull sampling."""

import jax
import jax.numpy as jnp

from jaxal.typing import Array, Float, Int32

__all__ = ["class_centroids"]


def class_centroids(
    embeddings: Float[Array, "N D"], labels: Int32[Array, " N"], *, num_classes: int
) -> tuple[Float[Array, "C D"], Int32[Array, " C"]]:
    """Average the labeled embeddings of each class: μ_c = Σ_{i: y_i = c} z_i / n_c.

    Args:
        embeddings: z.
        labels: class of each row; negative values (unlabeled, excluded) are left out.
        num_classes: C, given and never inferred, so that a class without labels keeps its place.

    Returns:
        (centroids, counts): a class without labels has count 0 and centroid 0, which callers must mask.

    Cost: one C×N by N×D product. Rows are centred on the labeled mean first, so that a large common offset of the
    embeddings costs no digits.
    """
    is_labeled = labels >= 0
    members = jax.nn.one_hot(labels, num_classes, dtype=embeddings.dtype)
    counts = jnp.sum(members, axis=0, dtype=jnp.int32)
    num_labeled = jnp.maximum(jnp.sum(counts), 1).astype(embeddings.dtype)
    offset = jnp.sum(jnp.where(is_labeled[:, None], embeddings, 0), axis=0) / num_labeled
    centred = jnp.where(is_labeled[:, None], embeddings - offset[None], 0)
    sums = jnp.matmul(members.T, centred, precision="highest")
    means = sums / jnp.maximum(counts, 1).astype(embeddings.dtype)[:, None] + offset[None]
    return jnp.where((counts > 0)[:, None], means, 0), counts
