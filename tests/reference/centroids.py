"""Class means of the labeled samples: mu_c and n_c."""

import numpy as np


def class_centroids(embeddings, labels, num_classes):
    """mu_c = (1 / n_c) sum of z_i over labels_i = c; zero where n_c = 0. Negative labels are no label."""
    embeddings = np.asarray(embeddings, dtype=np.float64)
    centroids = np.zeros((num_classes, embeddings.shape[1]))
    counts = np.zeros(num_classes, dtype=np.int64)
    for row, label in zip(embeddings, labels, strict=True):
        if label >= 0:
            centroids[label] += row
            counts[label] += 1
    for label in range(num_classes):
        if counts[label] > 0:
            centroids[label] /= counts[label]
    return centroids, counts
