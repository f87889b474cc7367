"""Folds of the labeled set, and what a classifier scores on the rows that it has not seen."""

import jax
import numpy as np

from jaxal.typing import Int32, PRNGKey

__all__ = ["MAX_FOLDS", "balanced_accuracy", "fold_seed", "stratified_folds"]

MAX_FOLDS = 10


def fold_seed(key: PRNGKey) -> int:
    """Draw the seed of `stratified_folds` from a key that may be folded with the folds' own numbers beside."""
    return int(jax.random.randint(jax.random.fold_in(key, MAX_FOLDS), (), 0, 2**31 - 1))


def stratified_folds(labels: np.ndarray, seed: int) -> tuple[Int32[np.ndarray, " L"], int]:
    """Deal rows into folds, each class evenly: 10, or as many as the rarest class that occurs has labels.

    Args:
        labels: class of each row.
        seed: of the shuffling, below 2³¹.

    Returns:
        (the fold of each row, the number of folds): -1 and 0 where a class has a single label, or nothing is labeled.
        So every class that occurs is in every fold, and outside of it.
    """
    from sklearn.model_selection import StratifiedKFold

    counts = np.unique(labels, return_counts=True)[1]
    num_folds = min(MAX_FOLDS, int(np.min(counts, initial=MAX_FOLDS))) if len(counts) else 0
    fold_of = np.full(len(labels), -1, np.int32)
    if num_folds < 2:
        return fold_of, 0
    folds = StratifiedKFold(num_folds, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(folds.split(labels, labels)):
        fold_of[held_out] = fold
    return fold_of, num_folds


def balanced_accuracy(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Average over the classes that occur the share of their rows that is predicted rightly."""
    return float(np.mean([np.mean(predicted[labels == each] == each) for each in np.unique(labels)]))
