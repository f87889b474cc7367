"""Random choices on the host that decide which sample is pool, validation, test, or labeled from the start."""

from collections.abc import Sequence

import numpy as np

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
        return _draw_groups(labels, groups, num_classes, fractions, priorities)
    counts = np.bincount(labels, minlength=num_classes)
    left = np.arange(len(labels))
    parts = []
    for fraction in fractions:
        wanted = [round_half_up(count * fraction) for count in counts]  # the class has fewer left: all of them
        parts.append(left[choose_per_class(labels[left], wanted, priorities[left])])
        left = np.setdiff1d(left, parts[-1])
    return parts


def _draw_groups(
    labels: np.ndarray, groups: np.ndarray, num_classes: int, fractions: Sequence[float], priorities: np.ndarray
) -> list[np.ndarray]:
    """Deal groups out, those that hold the rarest class first, in random order whatever their size.

    Each goes to the part (what is left over is one as well, and comes first among equals) that lacks the largest share
    of its own target of that class. So from three like groups on, a class is in pool, test and validation, and what is
    drawn misses its share of a class by about one group at most. A group that is larger than a part's whole target, and
    larger than most groups, is left over: one patient with most of the images cannot be the test.
    """
    first, members, counts = _count_groups(labels, groups, num_classes)
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
    return [np.flatnonzero(part_of[members] == number) for number in range(1, len(shares))]


def _count_groups(
    labels: np.ndarray, groups: np.ndarray, num_classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each group's first position, each sample's group, and the samples [groups, C] of each class."""
    _, first, members = np.unique(groups, return_index=True, return_inverse=True)
    counts = np.zeros((len(first), num_classes), np.int64)
    np.add.at(counts, (members, labels), 1)
    return first, members, counts


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
    first, members, counts = _count_groups(labels[rows], groups[rows], num_classes)
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
