"""What samples are mixed with: the class means, and what stands for a class without labels."""

import numpy as np

from .centroids import class_centroids


def mixing_anchors(embeddings, labels, num_classes, missing_anchor):
    """Returns (anchors, is_anchor); "global_mean" puts a class without labels at the mean of all labeled samples."""
    anchors, counts = class_centroids(embeddings, labels, num_classes)
    is_anchor = counts > 0
    if missing_anchor == "global_mean" and is_anchor.any():
        labeled = [np.asarray(row, np.float64) for row, label in zip(embeddings, labels, strict=True) if label >= 0]
        anchors[~is_anchor] = sum(labeled) / len(labeled)
        is_anchor = np.ones(num_classes, bool)
    return anchors, is_anchor
