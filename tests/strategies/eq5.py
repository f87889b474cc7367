"""Eq. 5 of CB-DAL for every sample of a pool, in float64."""

import numpy as np
from reference import push_pull
from reference.centroids import class_centroids


def poles_of(inputs, normalize="none"):
    """The embeddings that Eq. 5 is put to, the class centroids and the labels per class."""
    embeddings = np.asarray(inputs.embeddings, np.float64)
    if normalize == "l2":
        embeddings = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings, *class_centroids(embeddings, np.asarray(inputs.pool.labels), inputs.logits.shape[1])


def eq5_of(inputs, normalize="none"):
    """The score [N] by Eq. 5 and the distance to the minority centroid."""
    return push_pull.push_pull_scores(*poles_of(inputs, normalize))
