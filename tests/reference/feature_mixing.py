"""Auto-FM with learned mixing weights, one sample, one anchor and one step at a time.

z_a = a * mu_c + (1 - a) * z, so the mixed logits are l + W'(a * (mu_c - z)): the bias is already in l.
"""

from typing import NamedTuple

import numpy as np

from .taylor import loss_gradient
from .uncertainty import softmax


class Mixing(NamedTuple):
    """`clearance`: how far each sample stayed from a decision that rounding could turn over (see `mix_features`)."""

    norm: np.ndarray
    loss_change: np.ndarray
    clearance: np.ndarray


def first_flip(logits, predicted, weight, shift):
    """The smallest t with l_j + t w_j.shift = l_y + t w_y.shift for some j that gains on y; inf where none gains."""
    smallest = np.inf
    for j in range(len(logits)):
        if j == predicted:
            continue
        gain = np.dot(weight[:, j] - weight[:, predicted], shift)
        if gain > 0:
            smallest = min(smallest, (logits[predicted] - logits[j]) / gain)
    return smallest


def first_flip_by_search(logits, predicted, weight, shift, num_points):
    """The first of `num_points` + 1 equally spaced t in [0, 1] at which another logit is strictly larger, or inf."""
    for t in np.linspace(0.0, 1.0, num_points + 1):
        mixed = logits + weight.T @ (t * shift)
        if np.delete(mixed, predicted).max(initial=-np.inf) > mixed[predicted]:
            return t
    return np.inf


def smallest_box_norm(logits, predicted, weight, difference):
    """The exact minimum of mean(a) over a in [0, 1]^D that reach a flip towards one anchor; inf if none does.

    For one rival class j this is a fractional knapsack: fill the coordinates with the largest gain first.
    """
    dim, smallest = len(difference), np.inf
    for j in range(len(logits)):
        if j == predicted:
            continue
        missing, used = logits[predicted] - logits[j], 0.0
        for gain in sorted((weight[:, j] - weight[:, predicted]) * difference, reverse=True):
            if missing <= 0 or gain <= 0:
                break
            fraction = min(1.0, missing / gain)
            missing -= fraction * gain
            used += fraction
        # What is left after rounding, relative to the whole gap, is no gap.
        if missing <= 1e-12 * abs(logits[predicted] - logits[j]):
            smallest = min(smallest, used / dim)
    return smallest


def mix_features(embeddings, logits, weight, anchors, is_anchor, start, num_steps, step_size, penalty_weight):
    """Steps a <- clip(a - step * sign(dL/da), 0, 1) on L = 1 - CE(f(z_a), y) + penalty * mean|a|, from `start` [N C D].

    norm: min over anchors and iterates, the start included, of t * mean|a| where t <= 1; inf where nothing flips.
    loss_change: max over anchors of (a * (mu_c - z)) . grad CE(z) at the last a.
    clearance: the smallest |dL/da| (relative to the terms it is made of) and |t - 1| met by the sample; where it is
    tiny, float32 may rightly step the other way.
    """
    embeddings, logits, weight, anchors, start = (
        np.asarray(array, np.float64) for array in (embeddings, logits, weight, anchors, start)
    )
    num_samples, dim = embeddings.shape
    norm = np.full(num_samples, np.inf)
    loss_change = np.full(num_samples, -np.inf)
    clearance = np.full(num_samples, np.inf)
    for i in range(num_samples):
        predicted = int(np.argmax(logits[i]))
        gradient_at_sample = loss_gradient(logits[i][None], [predicted], weight)[0]
        for c in range(len(anchors)):
            if not is_anchor[c]:
                continue
            difference = anchors[c] - embeddings[i]
            size = np.maximum(np.abs(anchors[c]), np.abs(embeddings[i]))
            difference[np.abs(difference) <= 1e-12 * size] = 0.0  # a mean of equal rows is that row
            alpha = start[i, c].copy()
            for step in range(num_steps + 1):
                t = first_flip(logits[i], predicted, weight, alpha * difference)
                clearance[i] = min(clearance[i], abs(t - 1.0))
                if t <= 1:
                    norm[i] = min(norm[i], t * np.mean(np.abs(alpha)))
                if step == num_steps:
                    break
                residual = softmax(logits[i] + weight.T @ (alpha * difference))
                # p_y - 1 = -(sum of the others): the difference would round to zero for a saturated sample.
                residual[predicted] = -sum(p for j, p in enumerate(residual) if j != predicted)
                loss_part = -difference * (weight @ residual)
                penalty_part = penalty_weight / dim  # the right derivative at a = 0
                total = loss_part + penalty_part
                terms = np.abs(difference) * (np.abs(weight) @ np.abs(residual)) + abs(penalty_part)
                clearance[i] = min(clearance[i], np.min(np.abs(total) / np.where(terms > 0, terms, 1.0)))
                alpha = np.clip(alpha - step_size * np.sign(total), 0.0, 1.0)
                alpha[alpha < 1e-12] = 0.0  # five steps of 0.1 down from 0.5 are there, whatever 0.1 is in binary
                alpha[alpha > 1 - 1e-12] = 1.0
            loss_change[i] = max(loss_change[i], np.dot(alpha * difference, gradient_at_sample))
    return Mixing(norm, loss_change, clearance)
