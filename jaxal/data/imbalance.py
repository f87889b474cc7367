"""Induced imbalance: which samples of a part are kept."""

import numpy as np

from jaxal.data.splits import choose_per_class, draw_priorities, round_half_up

__all__ = ["prune_to_ratio"]


def prune_to_ratio(
    labels: np.ndarray, num_classes: int, minority: int, ratio: float, seed: int, purpose: str
) -> np.ndarray:
    """Keep all samples but those of the minority class, and of these one per `ratio` others, rounded half up.

    Args:
        labels: of the part to prune.
        num_classes: C.
        minority: the class to thin out; where it is rarer than asked for already, nothing is pruned.
        ratio: samples of all other classes together per minority sample.
        seed: of the choice.
        purpose: name of the part, so that parts are pruned independently.

    Returns:
        Positions kept, ascending.
    """
    counts = np.bincount(labels, minlength=num_classes)
    num_others = counts.sum() - counts[minority]
    counts[minority] = min(counts[minority], round_half_up(num_others / ratio))
    return choose_per_class(labels, counts, draw_priorities(len(labels), seed, f"imbalance {purpose}"))
