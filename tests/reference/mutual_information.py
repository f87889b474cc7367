"""Mutual information between predictions and the model, by enumerating every joint outcome."""

import itertools
from typing import NamedTuple

import numpy as np

from .uncertainty import log_softmax, softmax


def entropy_of(probabilities):
    """-sum of p log p, 0 log 0 = 0."""
    return -sum(p * np.log(p) for p in probabilities if p > 0)


def bald(mc_logits):
    """Mean over draws of KL(p_m || mean p): the same as H(mean p) - mean H(p), without that difference's rounding."""
    num_draws, num_rows, num_classes = np.shape(mc_logits)
    result = []
    for row in range(num_rows):
        log_p = np.array([log_softmax(mc_logits[draw][row]) for draw in range(num_draws)])
        total = 0.0
        for label in range(num_classes):
            # log of the mean over draws, shifted by the largest.
            largest = log_p[:, label].max()
            log_mean = largest + np.log(np.mean(np.exp(log_p[:, label] - largest)))
            for draw in range(num_draws):
                if np.exp(log_p[draw, label]) > 0:
                    total += np.exp(log_p[draw, label]) * (log_p[draw, label] - log_mean) / num_draws
        result.append(total)
    return np.array(result)


def joint_information(mc_logits, rows):
    """I(y_1 ... y_n; model) = H(y_1 ... y_n) - sum of mean H(y_i | draw), over all C^n outcomes one by one."""
    num_draws, _, num_classes = np.shape(mc_logits)
    p = np.array([[softmax(mc_logits[draw][row]) for row in rows] for draw in range(num_draws)])
    joint = []
    for outcome in itertools.product(range(num_classes), repeat=len(rows)):
        likelihood = np.ones(num_draws)
        for position, label in enumerate(outcome):
            likelihood = likelihood * p[:, position, label]
        joint.append(likelihood.mean())
    conditional = sum(entropy_of(p[draw, position]) for draw in range(num_draws) for position in range(len(rows)))
    return entropy_of(joint) - conditional / num_draws


class Greedy(NamedTuple):
    """One entry a pick: its gain in joint information, and the largest gain there was."""

    gain: np.ndarray
    best: np.ndarray


def batch_bald(mc_logits, is_selectable, follow):
    """Replay picks: what each added to the joint information, and what the best row would have added."""
    free = np.array(is_selectable, bool)
    gains, bests, chosen, before = [], [], [], 0.0
    for row in follow:
        assert free[row], f"row {row} is not selectable any more"
        gain_of = {
            int(other): joint_information(mc_logits, [*chosen, int(other)]) - before for other in np.flatnonzero(free)
        }
        gains.append(gain_of[int(row)])
        bests.append(max(gain_of.values()))
        chosen.append(int(row))
        before += gains[-1]
        free[row] = False
    return Greedy(np.array(gains), np.array(bests))
