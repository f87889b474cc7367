"""Regrouping: each class split into clusters, so that pseudo-classes have about as many labels as the rarest class.

References:
    Peng et al., Section 3: K_c = round(n_c / n_min), k-means on frozen embeddings, cross-entropy on all clusters.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.data.loading import Images
from jaxal.kernels.k_means import k_means
from jaxal.models.grouped_head import with_groups
from jaxal.models.model import Model, Variables
from jaxal.training.inference import embed_images
from jaxal.training.placement import take_images
from jaxal.typing import Array, Float, Int32, PRNGKey, Shaped

__all__ = ["Regrouped", "max_pseudo_classes", "pseudo_classes_per_class", "regroup"]


class Regrouped(NamedTuple):
    """What a fit on pseudo-classes begins with."""

    variables: Variables  # those given, with the class of each pseudo-class
    targets: Int32[Array, " N"]  # pseudo-class of each labeled row, -1 elsewhere


def pseudo_classes_per_class(class_counts: Int32[Array, " C"], limit: int) -> Int32[Array, " C"]:
    """Return K_c = round(n_c / n_min), halves upwards, between 1 and a limit.

    n_min is the count of the rarest class that has labels; a class without any keeps one column, which nothing trains.
    With two classes this splits the larger one alone, by the imbalance ratio.

    >>> pseudo_classes_per_class(jnp.array([6705, 1113, 1099, 514, 327, 142, 115]), 64).tolist()  # HAM10000
    [58, 10, 10, 4, 3, 1, 1]
    """
    largest = jnp.iinfo(jnp.int32).max // 4
    rarest = jnp.minimum(jnp.min(jnp.where(class_counts > 0, class_counts, largest)), largest)
    return jnp.clip((2 * class_counts + rarest) // (2 * rarest), 1, limit).astype(jnp.int32)


def max_pseudo_classes(max_labeled: int, num_classes: int, limit: int) -> int:
    """Bound the number of pseudo-classes over all labeled sets of up to max_labeled labels.

    The rarest class is not split, and L labels make no more than L pseudo-classes beyond those of classes without any.
    """
    return min(1 + (num_classes - 1) * limit, max(max_labeled, 1) + num_classes - 1)


def regroup(
    model: Model,
    variables: Variables,
    key: PRNGKey,
    images: Shaped[Array, "N ..."] | Images,
    labels: Int32[Array, " N"],
    sample_ids: Int32[Array, " N"],
    *,
    max_labeled: int,
    limit: int,
    batch_size: int,
) -> Regrouped:
    """Split the labeled rows of each class by k-means of their embeddings.

    Args:
        model: whose head is grouped, with K columns.
        variables: that the fit starts from; their embeddings are clustered.
        key: of the seeding.
        images: of the pool; the labeled ones are embedded.
        labels: class of each row, negative where there is none.
        sample_ids: stable ids of the rows.
        max_labeled: the largest labeled set of the run; fixes the shapes.
        limit: clusters of a class at most.
        batch_size: images at a time.

    Cost: a pass of max_labeled images through the network, and a k-means of max_labeled × K_c for each class.
    """
    labeled = np.flatnonzero(np.asarray(labels) >= 0)
    rows = np.zeros(max(max_labeled, 1), np.int32)
    rows[: len(labeled)] = labeled
    is_row = jnp.asarray(np.arange(len(rows)) < len(labeled))
    embeddings = embed_images(model, variables, take_images(images, rows), batch_size)
    own_labels = jnp.where(is_row, labels[rows], -1)
    pseudo, class_of = _split(
        key,
        embeddings,
        own_labels,
        sample_ids[rows],
        num_classes=model.spec.num_classes,
        num_pseudo=variables.batch_stats["class_of"].shape[0],
        limit=limit,
    )
    places = jnp.where(is_row, rows, labels.shape[0])
    targets = jnp.full(labels.shape, -1, jnp.int32).at[places].set(pseudo, mode="drop")
    return Regrouped(with_groups(variables, class_of), targets)


@functools.partial(jax.jit, static_argnames=("num_classes", "num_pseudo", "limit"))
def _split(
    key: PRNGKey,
    embeddings: Float[Array, "L D"],
    labels: Int32[Array, " L"],
    sample_ids: Int32[Array, " L"],
    *,
    num_classes: int,
    num_pseudo: int,
    limit: int,
) -> tuple[Int32[Array, " L"], Int32[Array, " K"]]:
    """Return each row's pseudo-class, and each pseudo-class's class, C for those not in use."""
    classes = jnp.arange(num_classes, dtype=jnp.int32)
    counts = jnp.sum(labels[None] == classes[:, None], axis=1, dtype=jnp.int32)
    sizes = pseudo_classes_per_class(counts, limit)
    first = jnp.cumsum(sizes) - sizes
    max_clusters = min(limit, labels.shape[0])

    def cluster(pseudo: Array, c: Array) -> tuple[Array, None]:
        is_member = labels == c
        found = k_means(jax.random.fold_in(key, c), embeddings, sample_ids, is_member, sizes[c], max_clusters)
        return jnp.where(is_member, first[c] + found.assignment, pseudo), None

    pseudo, _ = jax.lax.scan(cluster, jnp.full(labels.shape, -1, jnp.int32), classes)
    columns = jnp.arange(num_pseudo, dtype=jnp.int32)
    class_of = jnp.searchsorted(jnp.cumsum(sizes), columns, side="right").astype(jnp.int32)
    return pseudo, class_of
