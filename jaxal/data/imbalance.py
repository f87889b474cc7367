"""Induced imbalance: how many samples of each class of a part are kept, and which."""

import math
from fractions import Fraction

import numpy as np

from jaxal.config.data import CountsImbalanceConfig, ImbalanceConfig, ProfileImbalanceConfig, RatioImbalanceConfig
from jaxal.data.profile import profile_counts
from jaxal.data.splits import choose_per_class, draw_priorities
from jaxal.errors import DataError

__all__ = ["named_counts", "prune", "ratio_counts", "share_counts"]

HALF = Fraction(1, 2)


def prune(
    config: ImbalanceConfig,
    labels: np.ndarray,
    class_names: tuple[str, ...],
    minority: int,
    seed: int,
    purpose: str,
    like: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Choose the samples of a part that are kept: how many of each class hangs on the class counts, which on the seed.

    Args:
        config: of the imbalance.
        labels: of the part, [n], 0 … C-1; none gives none.
        class_names: C.
        minority: the class that a ratio is about.
        seed: of the choice.
        purpose: name of the part; parts are pruned independently.
        like: for a part other than the pool, the pool's class counts before and after its own pruning: a ratio is then
            applied without its total, counts and profiles as the same share of each class.

    Returns:
        Positions kept, int64, ascending.

    Raises:
        DataError: the part does not hold what is asked for.
    """
    if len(labels) == 0:
        return np.zeros(0, np.int64)
    available = np.bincount(labels, minlength=len(class_names))
    draw = f" {config.draw}" if isinstance(config, ProfileImbalanceConfig) and config.draw else ""
    priorities = draw_priorities(len(labels), seed, f"imbalance {purpose}{draw}")
    if isinstance(config, RatioImbalanceConfig):
        is_minority = (labels == minority).astype(np.int32)
        num_minority = int(available[minority])
        total = config.total if like is None else None
        kept = ratio_counts(num_minority, len(labels) - num_minority, config.ratio, total, purpose)
        return choose_per_class(is_minority, np.array(kept[::-1]), priorities)
    if like is not None:
        counts = share_counts(available, *like)
    elif isinstance(config, CountsImbalanceConfig):
        counts = named_counts(available, config, class_names)
    else:
        counts = profile_counts(available, config.ir, config.total)
    return choose_per_class(labels, counts, priorities)


def ratio_counts(num_minority: int, num_others: int, ratio: float, total: int | None, part: str) -> tuple[int, int]:
    """Count the largest subset with `ratio` others per minority sample: m and round(m·ratio), halves up.

    m = min(M, floor(O / ratio)); with a total, m = round(total / (1 + ratio)). Computed exactly for the decimal number
    that the ratio is written as: 33 others at 1.1 keep 30.

    Args:
        num_minority: M, minority samples there.
        num_others: O, samples of all other classes there.
        ratio: others per minority sample, from 1.
        total: of samples to keep, about; None keeps as many as there are.
        part: for messages.

    Returns:
        Minority samples and others to keep.

    Raises:
        DataError: not one minority sample can be kept, or the total is larger than what there is at this ratio.
    """
    exact = Fraction(repr(float(ratio)))
    here = f"the {part} part has {num_minority} samples of the minority class and {num_others} others"
    most = min(num_minority, math.floor(num_others / exact))
    if most < 1:
        advice = "" if part == "pool" else '; data.imbalance.parts = "pool" leaves this part as it is'
        needed = f"at least 1 and {math.ceil(exact)} are needed"
        raise DataError(f"data.imbalance.ratio = {ratio:g}: {here}; {needed}{advice}")
    if total is None:
        return most, _round(most * exact)
    largest = most + _round(most * exact)
    kept = _round(total / (1 + exact))
    if total > largest or kept < 1:
        why = f"at most {largest}" if kept else f"at least {math.ceil((1 + exact) / 2)}"
        raise DataError(f"data.imbalance.total = {total}: {here}; at ratio {ratio:g} {why} can be kept")
    return kept, _round(kept * exact)


def _round(value: Fraction) -> int:
    return math.floor(value + HALF)


def named_counts(available: np.ndarray, config: CountsImbalanceConfig, class_names: tuple[str, ...]) -> np.ndarray:
    """Look up how many of each class are kept; classes that are not named stay whole.

    Raises:
        DataError: names every class that does not exist, and every class that has fewer than asked for.
    """
    unknown = [name for name in config.counts if name not in class_names]
    wrong = [f"no class {', '.join(map(repr, unknown))} (there are {', '.join(class_names)})"] if unknown else []
    counts = available.copy()
    for name, count in config.counts.items():
        if name in class_names:
            counts[class_names.index(name)] = count
    short = np.flatnonzero(counts > available)
    wrong += [f"{counts[c]} of {class_names[c]!r} asked for, the pool has {available[c]}" for c in short]
    if wrong:
        raise DataError(f"data.imbalance.counts: {'; '.join(wrong)}")
    return counts


def share_counts(available: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Keep the share of each class that another part kept: n·after/before, rounded half up, at least 1 if any was kept.

    Args:
        available: class counts of the part to prune, [C].
        before: class counts of the other part before its pruning, [C]; a class of none has no share and stays whole.
        after: the same after its pruning, [C].
    """
    available, before, after = (counts.astype(np.int64) for counts in (available, before, after))
    shares = (2 * available * after + before) // np.maximum(2 * before, 1)
    kept = np.where(after > 0, np.maximum(shares, np.minimum(available, 1)), 0)
    return np.where(before > 0, kept, available)
