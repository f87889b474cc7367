"""Whole groups dealt out to the parts of a split, so that each part has its share of every class."""

import itertools
from collections.abc import Sequence

import numpy as np

__all__ = ["count_groups", "draw_groups"]

# A part is near enough to its target of a class within this share of the part, or half an image.
NEAR = 0.0025
# Groups of a part that are tried at a time, and exchanges at most.
NUM_TRIED, MAX_EXCHANGES = 256, 200


def draw_groups(
    labels: np.ndarray, groups: np.ndarray, num_classes: int, fractions: Sequence[float], priorities: np.ndarray
) -> list[np.ndarray]:
    """Draw disjoint parts of whole groups, each with its fraction of each class as closely as groups allow.

    Groups are dealt out, those that hold the rarest class first, in random order whatever their size.

    Each goes to the part (what is left over is one as well, and comes first among equals) that lacks the largest share
    of its own target of that class. So from three like groups on, a class is in pool, test and validation, and what is
    drawn misses its share of a class by about one group at most. A group that is larger than a part's whole target, and
    larger than most groups, is left over: one patient with most of the images cannot be the test. Then groups change
    places as long as that brings the parts nearer to their targets.

    Args:
        labels: int [n], 0 … C-1.
        groups: what belongs together, [n].
        num_classes: C.
        fractions: of the parts; together below 1.
        priorities: random ranks [n]; the lowest are drawn first.

    Returns:
        Positions of each part, ascending.
    """
    first, members, counts = count_groups(labels, groups, num_classes)
    totals, sizes = counts.sum(0), counts.sum(1)
    shares = np.array([1 - sum(fractions), *fractions])
    targets = shares[:, None] * totals[None]  # [parts, C]
    missing = targets.copy()
    part_of = np.full(len(first), -1)
    for label in [c for c in np.argsort(totals, kind="stable") if totals[c] > 0]:
        holds = counts[:, label] > 0
        own = np.flatnonzero(holds & (part_of < 0))
        most_of_class = np.maximum(targets[:, label], np.median(counts[holds, label]))
        most_in_all = np.maximum(targets.sum(1), np.median(sizes))
        for group in own[np.argsort(priorities[first[own]])]:
            fits = (counts[group, label] <= most_of_class) & (sizes[group] <= most_in_all)
            fits[0] = True
            part_of[group] = np.argmax(np.where(fits, missing[:, label] / targets[:, label], -np.inf))
            missing[part_of[group]] -= counts[group]
    _exchange(part_of, counts, targets, np.argsort(priorities[first]))
    return [np.flatnonzero(part_of[members] == number) for number in range(1, len(shares))]


def _exchange(part_of: np.ndarray, counts: np.ndarray, targets: np.ndarray, order: np.ndarray) -> None:
    """Exchange, in place, two groups of two parts, or move one, each time those by which the errors shrink most.

    Errors are squared and taken relative to the targets. No part loses its last group of a class.

    Args:
        part_of: part of each group, changed in place.
        counts: samples of each group by class, [groups, C].
        targets: samples of each part by class, [parts, C].
        order: groups, the first to be tried first.
    """
    numbers = range(len(targets))
    weights = np.divide(1, targets, where=targets > 0, out=np.zeros(targets.shape))
    near = np.maximum(0.5, NEAR * targets.sum(1, keepdims=True))
    for _ in range(MAX_EXCHANGES):
        held = np.stack([counts[part_of == number].sum(0) for number in numbers])
        errors = held - targets
        if np.all(np.abs(errors) <= near):
            return
        tried, samples = [], []
        for number in numbers:
            own = order[part_of[order] == number]
            is_last = np.any((counts[own] == held[number]) & (counts[own] > 0), axis=1)
            tried.append(np.append(own[~is_last][:NUM_TRIED], -1))  # -1 stands for no group
            samples.append(np.vstack([counts[tried[-1][:-1]], np.zeros_like(counts[:1])]))
        best, swap = -1e-6, None
        for one, other in itertools.combinations(numbers, 2):
            # The change of the sum of weight · error² when d = samples[other] - samples[one] goes to the one part.
            slope, square = (
                2 * (weights[one] * errors[one] - weights[other] * errors[other]),
                weights[[one, other]].sum(0),
            )
            mine, theirs = samples[one], samples[other]
            change = (theirs @ slope + theirs**2 @ square)[None] + (mine**2 @ square - mine @ slope)[:, None]
            change = np.round(change - 2 * (mine * square) @ theirs.T, 6)  # the same on every machine
            row, column = np.unravel_index(np.argmin(change), change.shape)
            if change[row, column] < best:
                best, swap = change[row, column], (tried[one][row], other, tried[other][column], one)
        if swap is None:
            return
        for group, part in (swap[:2], swap[2:]):
            if group >= 0:
                part_of[group] = part


def count_groups(labels: np.ndarray, groups: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each group's first position, each sample's group, and the samples [groups, C] of each class."""
    _, first, members = np.unique(groups, return_index=True, return_inverse=True)
    counts = np.zeros((len(first), num_classes), np.int64)
    np.add.at(counts, (members, labels), 1)
    return first, members, counts
