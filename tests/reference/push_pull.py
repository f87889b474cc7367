"""MPPS, Eq. 5 of CB-DAL: near the minority class, far from the majority classes."""

from fractions import Fraction

import numpy as np


def minority_and_majority(counts):
    """The class with the fewest labels (ties: the lowest); the classes above the mean, or else all the others."""
    counts = [int(count) for count in counts]
    minority = counts.index(min(counts))
    mean = Fraction(sum(counts), len(counts))
    majority = [c for c, count in enumerate(counts) if count > mean]
    if not majority:
        majority = [c for c in range(len(counts)) if c != minority]
    return minority, majority


def push_pull_scores(embeddings, centroids, counts):
    """||z_i - mu_minor|| - min over majority classes of ||z_i - mu_maj||, and ||z_i - mu_minor||."""
    centroids = np.asarray(centroids, np.float64)
    minority, majority = minority_and_majority(counts)
    scores, pulls = [], []
    for row in np.asarray(embeddings, np.float64):
        pull = np.sqrt(np.sum((row - centroids[minority]) ** 2))
        push = min(np.sqrt(np.sum((row - centroids[c]) ** 2)) for c in majority)
        scores.append(pull - push)
        pulls.append(pull)
    return np.array(scores), np.array(pulls)
