"""Random choices on the host that decide which sample is pool, validation, test, or labeled from the start."""

from typing import NamedTuple

import numpy as np

from jaxal.config.data import SplitConfig

__all__ = ["Split", "choose_per_class", "draw_priorities", "round_half_up", "stratified_split"]


class Split(NamedTuple):
    """Source indices of each part, ascending; disjoint."""

    pool: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def draw_priorities(num_samples: int, seed: int, purpose: str) -> np.ndarray:
    """Draw a random rank for each sample; each purpose has its own stream, so one choice never moves another."""
    return np.random.default_rng([seed, *purpose.encode()]).permutation(num_samples)


def round_half_up(value: float) -> int:
    """Round to the nearest whole number, halves up: 0.5 → 1, 2.5 → 3."""
    return int(np.floor(value + 0.5))


def choose_per_class(labels: np.ndarray, counts: np.ndarray, priorities: np.ndarray) -> np.ndarray:
    """Choose counts[c] samples of each class, those of the lowest priority; positions ascending."""
    order = np.argsort(priorities)
    chosen = [order[labels[order] == label][:count] for label, count in enumerate(counts)]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def stratified_split(labels: np.ndarray, num_classes: int, config: SplitConfig, seed: int) -> Split:
    """Split so that each class is represented in each part by its share, rounded half up.

    The sizes of the parts depend on the counts alone, not on the seed: every seed compiles to the same shapes.
    """
    counts = np.bincount(labels, minlength=num_classes)
    test_counts = np.array([round_half_up(count * config.test_fraction) for count in counts])
    validation_counts = np.array([round_half_up(count * config.validation_fraction) for count in counts])
    validation_counts = np.minimum(validation_counts, counts - test_counts)
    priorities = draw_priorities(len(labels), seed, "split")
    test = choose_per_class(labels, test_counts, priorities)
    rest = np.setdiff1d(np.arange(len(labels)), test)
    validation = rest[choose_per_class(labels[rest], validation_counts, priorities[rest])]
    return Split(pool=np.setdiff1d(rest, validation), validation=validation, test=test)
