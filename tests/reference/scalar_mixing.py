"""Mixing by one scalar for all dimensions, done on the embeddings: z_a = a mu_c + (1 - a) z, then the head."""

import numpy as np

from .taylor import loss_gradient


def flips_at(alpha, embeddings, weight, bias, anchors, is_anchor):
    """Which samples are predicted as another class once mixed with some anchor."""
    embeddings, weight, bias, anchors = (np.asarray(array, np.float64) for array in (embeddings, weight, bias, anchors))
    predicted = np.argmax(embeddings @ weight + bias, axis=1)
    flipped = np.zeros(len(embeddings), bool)
    for c in np.flatnonzero(is_anchor):
        mixed = (alpha * anchors[c] + (1 - alpha) * embeddings) @ weight + bias
        flipped |= np.argmax(mixed, axis=1) != predicted
    return flipped


def smallest_flipping_alpha(embeddings, weight, bias, anchors, is_anchor, alphas):
    """The smallest of `alphas` at which a sample flips; inf where it does at none."""
    result = np.full(len(embeddings), np.inf)
    for alpha in sorted(alphas, reverse=True):
        result[flips_at(alpha, embeddings, weight, bias, anchors, is_anchor)] = alpha
    return result


def loss_change(alpha, embeddings, weight, bias, anchors, is_anchor):
    """Eq. 3 at each sample's own scalar: max over anchors of a (mu_c - z) . grad; -inf where a is inf."""
    embeddings, weight, bias, anchors = (np.asarray(array, np.float64) for array in (embeddings, weight, bias, anchors))
    logits = embeddings @ weight + bias
    gradient = loss_gradient(logits, np.argmax(logits, axis=1), weight)
    result = np.full(len(embeddings), -np.inf)
    for i, z in enumerate(embeddings):
        if np.isfinite(alpha[i]):
            for c in np.flatnonzero(is_anchor):
                result[i] = max(result[i], alpha[i] * np.dot(anchors[c] - z, gradient[i]))
    return result
