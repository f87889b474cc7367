"""Greedy choice by score + (lambda / C) || share - sum of picked p - p_i ||_1 (Bengar et al., WACV 2022)."""

from typing import NamedTuple

import numpy as np


class Greedy(NamedTuple):
    """One entry a pick: the objective's value at it, and the smallest value there was."""

    objective: np.ndarray
    best: np.ndarray


def class_deficit(scores, probabilities, counts, is_selectable, weight, num_picks, follow):
    """Replay picks; `num_picks` labels are bought, which sets the equal share."""
    probabilities = np.asarray(probabilities, np.float64)
    counts = np.asarray(counts, np.float64)
    num_classes = len(counts)
    equal_share = (counts.sum() + num_picks) / num_classes
    left = np.array([max(0.0, equal_share - count) for count in counts])
    free = np.array(is_selectable, bool)
    objectives, bests = [], []
    for row in follow:
        assert free[row], f"row {row} is not selectable any more"
        values = np.full(len(free), np.inf)
        for other in np.flatnonzero(free):
            values[other] = scores[other] + weight / num_classes * np.abs(left - probabilities[other]).sum()
        objectives.append(values[row])
        bests.append(values.min())
        left = left - probabilities[row]
        free[row] = False
    return Greedy(np.array(objectives), np.array(bests))
