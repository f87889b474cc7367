"""Euclidean distances by differences, never by the expanded square."""

import numpy as np


def squared_distances(embeddings, center):
    """||z_i - c||^2."""
    embeddings, center = np.asarray(embeddings, np.float64), np.asarray(center, np.float64)
    return np.array([np.sum((row - center) ** 2) for row in embeddings])


def distances_to_centers(embeddings, centers):
    """||z_i - c_k||, not squared."""
    columns = [np.sqrt(squared_distances(embeddings, center)) for center in np.asarray(centers, np.float64)]
    return np.stack(columns, axis=1)
