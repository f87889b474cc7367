"""Losses in float64, sample by sample, from the papers."""

import numpy as np


def log_softmax(logits):
    """Return log p, row by row."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def weighted_cross_entropy(logits, labels, counts):
    """Weights 1 / n_c, divided by the sum of the batch's weights."""
    log_p, total, weights = log_softmax(logits), 0.0, 0.0
    for row, label in zip(log_p, labels, strict=True):
        weight = 1 / counts[label]
        total, weights = total - weight * row[label], weights + weight
    return total / weights


def focal(logits, labels, gamma):
    """Average -(1 - p)^γ log p."""
    log_p = log_softmax(logits)
    return np.mean([-((-np.expm1(row[y])) ** gamma) * row[y] for row, y in zip(log_p, labels, strict=True)])


def ldam(logits, labels, counts, *, max_margin, scale, beta, is_reweighted):
    """Cross-entropy of s·cos with the label's cosine lowered by its margin."""
    rarest = min(count for count in counts if count)
    total = weights = 0.0
    for row, y in zip(logits.astype(np.float64), labels, strict=True):
        lowered = row.copy()
        lowered[y] -= scale * max_margin * (rarest / counts[y]) ** 0.25
        weight = (1 - beta) / (1 - beta ** counts[y]) if is_reweighted else 1.0
        total -= weight * log_softmax(lowered[None])[0, y]
        weights += weight
    return total / weights


def ranking_errors(scores, is_positive, delta):
    """Walk through the positives from the lowest score up, as the authors' code of AP-loss does."""
    scores = np.asarray(scores, np.float64)
    positives, negatives = np.flatnonzero(is_positive), np.flatnonzero(~np.asarray(is_positive))
    errors, precisions, best = np.zeros(len(scores)), [], 0.0
    for i in positives[np.argsort(scores[positives], kind="stable")]:
        above = np.clip((scores - scores[i]) / (2 * delta) + 0.5, 0, 1)
        above_positive = sum(above[k] for k in positives if k != i) + 1
        share = {j: above[j] / (above_positive + above[negatives].sum()) for j in negatives}
        precision = above_positive / (above_positive + above[negatives].sum())
        factor = 1.0
        if precision >= best:
            best = precision
        else:
            factor = (1 - best) / (1 - precision)
        for j, each in share.items():
            errors[j] += factor * each / len(positives)
            errors[i] -= factor * each / len(positives)
        precisions.append(best)
    return (1 - np.mean(precisions) if precisions else 0.0), errors
