"""Eq. 5 of CB-DAL for every sample of a pool, in float64."""

import numpy as np
from reference.centroids import class_centroids
from reference.push_pull import push_pull_scores

from .pools import C


def eq5_of(inputs, normalize="none"):
    """The score [N] by Eq. 5 and the distance to the minority centroid."""
    embeddings = np.asarray(inputs.embeddings, np.float64)
    if normalize == "l2":
        embeddings = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    return push_pull_scores(embeddings, *class_centroids(embeddings, np.asarray(inputs.pool.labels), C))
