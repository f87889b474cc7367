"""Comparing runs that ask for labels with the model that has all of them."""

from collections.abc import Sequence

import numpy as np

from jaxal.errors import InputError

__all__ = ["active_learning_gain"]


def active_learning_gain(accuracies: Sequence[float | None], full: float | Sequence[float]) -> float | None:
    """Averages (acc - acc_full) / (1 - acc_full), G_AL: 0 for runs as good as the full one, smaller for worse.

    Args:
      accuracies: Of runs or rounds, as shares in [0, 1]; None where not defined, which is left out.
      full: Accuracy with every label: one for all, or one for each run (of its data set, say).

    Returns:
      The mean; None where no accuracy is defined, or where an accuracy with every label is 1, which nothing exceeds.

    Raises:
      InputError: values outside [0, 1], or as many full accuracies as neither one nor the runs.

    References:
      Aggarwal, Popescu, Hudelot, WACV 2020, Eq. 10, there of percentages.

    >>> active_learning_gain([0.5, 0.7, None], 0.8)
    -1.0
    """
    runs = np.array([np.nan if each is None else each for each in accuracies], np.float64)
    whole = np.asarray(full, np.float64)
    if whole.shape not in ((), runs.shape):
        raise InputError(f"full: {whole.size} accuracies for {runs.size} runs; give one for all, or one for each")
    for name, values in (("accuracies", runs), ("full", whole)):
        if np.any((values < 0) | (values > 1)):
            raise InputError(f"{name}: expected shares between 0 and 1, got {np.nanmin(values)} … {np.nanmax(values)}")
    if np.any(whole == 1) or np.isnan(runs).all():
        return None
    return float(np.nanmean((runs - whole) / (1 - whole)))
