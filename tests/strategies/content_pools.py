"""Pools of any size whose content varies: the kinds of rows that have broken public code, and how labels may lie."""

import jax.numpy as jnp
import numpy as np
from kernels.content import rows

from jaxal.pool import EXCLUDED, UNLABELED
from jaxal.strategies.strategy import AcquisitionInputs
from jaxal.typing import LinearHead

from .pools import pool_of

LABELINGS = ("every class", "an empty class", "one class", "nothing", "everything")


def content_pool(seed, kind, labeling, num_rows, dim, num_classes, query_size, weight_scale=1.0):
    """Inputs [num_rows, dim] with a head of num_classes; about a third labeled, a few excluded."""
    rng = np.random.default_rng(seed)
    embeddings = rows(rng, kind, num_rows, dim)
    weight = (weight_scale * rng.normal(size=(dim, num_classes))).astype(np.float32)
    bias = (weight_scale * rng.normal(size=num_classes)).astype(np.float32)
    labels = rng.integers(0, num_classes, num_rows)
    if labeling == "an empty class":
        labels[labels == rng.integers(num_classes)] = UNLABELED
    elif labeling == "one class":
        labels[labels != labels[0]] = UNLABELED
    elif labeling == "nothing":
        labels[:] = UNLABELED
    if labeling != "everything":
        labels = np.where(rng.random(num_rows) < 0.67, UNLABELED, labels)
        labels = np.where(rng.random(num_rows) < 0.05, EXCLUDED, labels)
    logits = (embeddings.astype(np.float64) @ weight + bias).astype(np.float32)
    return AcquisitionInputs(
        pool=pool_of(labels),
        embeddings=jnp.asarray(embeddings),
        sample_ids=jnp.asarray(rng.permutation(10 * num_rows)[:num_rows].astype(np.int32)),
        labels_left=jnp.asarray(query_size, jnp.int32),
        logits=jnp.asarray(logits),
        head=LinearHead(jnp.asarray(weight), jnp.asarray(bias)),
    )
