"""The shortest alpha without a box that flips a prediction, one sample, anchor and rival at a time."""

from typing import NamedTuple

import numpy as np

from .taylor import loss_gradient


class ClosedForm(NamedTuple):
    """`alpha`: the shortest of each sample over all anchors [N D]; NaN where there is none.

    `clearance`: how far apart, relative to the shorter, the two shortest rivals of any anchor were: where it is tiny,
    rounding may turn to the other rival, of nearly the same norm but with another loss change.
    """

    norm: np.ndarray
    loss_change: np.ndarray
    alpha: np.ndarray
    clearance: np.ndarray


def closed_form_mixing(embeddings, logits, weight, anchors, is_anchor):
    """norm: min over c and j of D_ij / ||(w_y - w_j) * (mu_c - z)||, denominators of zero left out.

    loss_change: max over c of (a_c * (mu_c - z)) . grad CE(z), with a_c the shortest of anchor c.
    """
    embeddings, logits, weight, anchors = (
        np.asarray(array, np.float64) for array in (embeddings, logits, weight, anchors)
    )
    num_samples, dim = embeddings.shape
    norm, change = np.full(num_samples, np.inf), np.full(num_samples, -np.inf)
    best_alpha, clearance = np.full((num_samples, dim), np.nan), np.full(num_samples, np.inf)
    for i in range(num_samples):
        predicted = int(np.argmax(logits[i]))
        gradient = loss_gradient(logits[i][None], [predicted], weight)[0]
        for c in np.flatnonzero(is_anchor):
            difference = anchors[c] - embeddings[i]
            size = np.maximum(np.abs(anchors[c]), np.abs(embeddings[i]))
            difference[np.abs(difference) <= 1e-12 * size] = 0.0  # a mean of equal rows is that row
            found = []
            for j in range(logits.shape[1]):
                gain = (weight[:, j] - weight[:, predicted]) * difference
                if j == predicted or not np.any(gain):
                    continue
                alpha = (logits[i, predicted] - logits[i, j]) * gain / np.dot(gain, gain)
                found.append((np.linalg.norm(alpha), j, alpha))
            if not found:
                continue
            found.sort(key=lambda each: each[:2])
            length, _, alpha = found[0]
            if len(found) > 1 and length > 0:
                clearance[i] = min(clearance[i], found[1][0] / length - 1)
            if length < norm[i]:
                norm[i], best_alpha[i] = length, alpha
            change[i] = max(change[i], np.dot(alpha * difference, gradient))
    return ClosedForm(norm, change, best_alpha, clearance)
