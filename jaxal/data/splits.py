"""Random choices on the host that decide which sample is pool, validation, test, or labeled from the start."""

from collections.abc import Sequence

import numpy as np

from jaxal.data.split_groups import count_groups, draw_groups

__all__ = ["choose_per_class", "draw_parts", "draw_priorities", "hold_out", "max_held_out", "round_half_up"]


def draw_priorities(num_samples: int, seed: int, purpose: str) -> np.ndarray:
    """Draw a random rank for each sample; each purpose has its own stream, so one choice never moves another."""
    return np.random.default_rng([seed, *purpose.encode()]).permutation(num_samples)


def round_half_up(value: float) -> int:
    """Round to the nearest whole number, halves up: 0.5 → 1, 2.5 → 3."""
    return int(np.floor(value + 0.5))


def choose_per_class(labels: np.ndarray, counts: Sequence[int] | np.ndarray, priorities: np.ndarray) -> np.ndarray:
    """Choose counts[c] samples of each class, those of the lowest priority; positions ascending."""
    order = np.argsort(priorities)
    ordered = labels[order]
    chosen = [order[ordered == label][:count] for label, count in enumerate(counts)]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def draw_parts(
    labels: np.ndarray, groups: np.ndarray | None, num_classes: int, fractions: Sequence[float], priorities: np.ndarray
) -> list[np.ndarray]:
    """Draw disjoint parts, each with its fraction of each class; what is in none of them is left over.

    Without groups, each class gives round_half_up(n_c · fraction) samples: the sizes depend on the counts alone, not on
    the seed. With groups, every group goes whole into one part or stays; a class is met as closely as groups allow.

    Args:
        labels: int [n], 0 … C-1.
        groups: what belongs together, [n]; None where every sample stands alone.
        num_classes: C.
        fractions: of the parts; together below 1.
        priorities: random ranks [n]; the lowest are drawn first.

    Returns:
        Positions of each part, ascending.
    """
    if groups is not None:
        return draw_groups(labels, groups, num_classes, fractions, priorities)
    counts = np.bincount(labels, minlength=num_classes)
    left = np.arange(len(labels))
    parts = []
    for fraction in fractions:
        wanted = [round_half_up(count * fraction) for count in counts]  # the class has fewer left: all of them
        parts.append(left[choose_per_class(labels[left], wanted, priorities[left])])
        left = np.setdiff1d(left, parts[-1])
    return parts


def hold_out(labels: np.ndarray, groups: np.ndarray | None, num_classes: int, fraction: float, seed: int) -> np.ndarray:
    """Choose the labeled samples that validate instead of training, from the labels bought so far.

    Of each class its fraction, at least one where it has two, never all; with groups, whole groups, the rarest class
    served first, until so many samples are held out, and never the last group of a class.

    Args:
        labels: int [N], negative where there is no label.
        groups: [N] or None.
        num_classes: C.
        fraction: share of the labels.
        seed: of the choice: it does not change from round to round.

    Returns:
        Positions, ascending; none where no class can spare a sample.
    """
    rows = np.flatnonzero(labels >= 0)
    priorities = draw_priorities(len(labels), seed, "hold out")[rows]
    totals = np.bincount(labels[rows], minlength=num_classes)
    wanted = np.minimum(np.maximum([round_half_up(count * fraction) for count in totals], 1), np.maximum(totals - 1, 0))
    if groups is None:
        return rows[choose_per_class(labels[rows], wanted, priorities)]
    first, members, counts = count_groups(labels[rows], groups[rows], num_classes)
    order = np.argsort(priorities[first])
    is_held, missing, spare = np.zeros(len(first), bool), wanted.astype(np.int64), totals - np.minimum(totals, 1)
    for label in np.argsort(totals, kind="stable"):
        for group in order[counts[order, label] > 0]:
            is_enough = missing[label] <= 0 or counts[is_held].sum() >= wanted.sum()
            if is_enough:
                break
            if not is_held[group] and np.all(counts[group] <= spare):
                is_held[group] = True
                missing, spare = missing - counts[group], spare - counts[group]
    return rows[is_held[members]]


def max_held_out(num_labeled: int, groups: np.ndarray | None, num_classes: int, fraction: float) -> int:
    """Bound what `hold_out` can choose of so many labels, so that shapes can be fixed for a whole run.

    With groups the last one taken can exceed what was wanted by all but one of its samples.
    """
    overshoot = 0 if groups is None else int(max(np.unique(groups, return_counts=True)[1], default=1)) - 1
    return min(num_labeled, int(np.ceil(num_labeled * fraction)) + num_classes + overshoot)
