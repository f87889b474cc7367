"""How balanced the labeled pool is, from the number of labels of each class."""

from collections.abc import Sequence

import numpy as np

from jaxal.errors import InputError


def pool_metrics(labeled_counts: Sequence[int] | np.ndarray) -> dict[str, int | float | None]:
    """Summarizes the class balance of the labels bought so far.

    Args:
      labeled_counts: Labeled samples n_c of every class of the experiment, undiscovered ones (n_c = 0) included.

    Returns:
      `classes_found`, the number of classes with a label; `imbalance_ratio`, max n_c / min n_c, None if a class has
      no label; `mean_per_class` μ and `std_per_class` σ of n_c over all classes, with ddof 0; `ir`, σ/μ (Aggarwal et
      al.), None if nothing is labeled.

    Raises:
      InputError: no class, a count below 0, or counts that are not one vector of integers.

    >>> pool_metrics([30, 10])
    {'classes_found': 2, 'imbalance_ratio': 3.0, 'mean_per_class': 20.0, 'std_per_class': 10.0, 'ir': 0.5}
    >>> pool_metrics([4, 0])
    {'classes_found': 1, 'imbalance_ratio': None, 'mean_per_class': 2.0, 'std_per_class': 2.0, 'ir': 1.0}
    """
    counts = np.asarray(labeled_counts)
    if counts.ndim != 1 or counts.size == 0 or not np.issubdtype(counts.dtype, np.integer):
        raise InputError(
            f"labeled_counts: expected one integer for each class, got shape {counts.shape} of {counts.dtype}"
        )
    if counts.min() < 0:
        raise InputError(f"labeled_counts: class {counts.argmin()} has {counts.min()} labels; counts start at 0")
    smallest, largest = int(counts.min()), int(counts.max())
    mean, deviation = float(counts.mean()), float(counts.std())
    return {
        "classes_found": int(np.count_nonzero(counts)),
        "imbalance_ratio": largest / smallest if smallest > 0 else None,
        "mean_per_class": mean,
        "std_per_class": deviation,
        "ir": deviation / mean if mean > 0 else None,
    }
