"""Class centroids of the labeled samples: the anchors of feature mixing and the poles of push-pull sampling."""

import jax.numpy as jnp

from jaxal.kernels.blocks import fold_listed_rows
from jaxal.kernels.cached_blocks import rows_per_cached_block
from jaxal.kernels.pool_mesh import take, take_rows
from jaxal.typing import Array, Float, Int32

__all__ = ["class_centroids"]


def class_centroids(
    embeddings: Float[Array, "N D"], labels: Int32[Array, " N"], *, num_classes: int
) -> tuple[Float[Array, "C D"], Int32[Array, " C"]]:
    """Average the labeled embeddings of each class: μ_c = Σ_{i: y_i = c} z_i / n_c.

    Differences to the class's first sample are averaged: a large common offset of the embeddings costs no digits, and
    samples that are all equal have exactly their own value as mean.

    Args:
        embeddings: z.
        labels: class of each row; negative values (unlabeled, excluded) are left out, whatever these rows hold.
        num_classes: C, given and never inferred, so that a class without labels keeps its place.

    Returns:
        (centroids, counts): a class without labels has count 0 and centroid 0, which callers must mask.

    Cost: one product of C×L by L×D over the L labeled rows alone, which are gathered block by block.
    """
    num_rows, width = embeddings.shape
    classes = jnp.arange(num_classes, dtype=jnp.int32)
    is_labeled = (labels >= 0) & (labels < num_classes)
    own_class = jnp.where(is_labeled, labels, num_classes).astype(jnp.int32)
    counts = jnp.zeros(num_classes, jnp.int32).at[own_class].add(1, mode="drop")
    rows = jnp.arange(num_rows, dtype=jnp.int32)
    first_rows = jnp.full(num_classes, num_rows, jnp.int32).at[own_class].min(rows, mode="drop")
    first = jnp.where((first_rows < num_rows)[:, None], take_rows(embeddings, first_rows), 0)

    def add_block(sums: Array, block: Array, embeddings: Array, own_class: Array) -> Array:
        label = own_class.at[block].get(mode="fill", fill_value=num_classes)
        is_member = classes[:, None] == label[None]
        own_first = take(first, label)
        differences = jnp.where((label < num_classes)[:, None], embeddings.at[block].get(mode="clip") - own_first, 0)
        return sums + jnp.matmul(is_member.astype(differences.dtype), differences, precision="highest")

    block_size = rows_per_cached_block(4 * 4 * width, num_rows)
    sums = fold_listed_rows(add_block, jnp.zeros_like(first), is_labeled, (embeddings, own_class), block_size)
    return first + sums / jnp.maximum(counts, 1).astype(embeddings.dtype)[:, None], counts
