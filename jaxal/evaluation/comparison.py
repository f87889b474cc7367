"""Comparing runs: with the model that has every label, and arm by arm with the same seeds."""

from collections.abc import Sequence

import numpy as np

from jaxal.errors import InputError
from jaxal.evaluation.learning_curve import Interval, Row, interval, require_columns

__all__ = ["active_learning_gain", "paired_difference"]


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
      Aggarwal, Popescu, Hudelot, WACV 2020: G_AL, there of percentages.

    >>> active_learning_gain([0.5, 0.75, None], 0.75)
    -0.5
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


def paired_difference(rows: list[Row], arm: str, other: str, metric: str, confidence: float = 0.95) -> Interval:
    """Averages arm - other over the seeds that both have finished, at the last round of each.

    Arms with the same seed share split and initial labels: their difference varies less than they do.

    Args:
      rows: Typed rows of results.csv; None where a cell is empty, which leaves its seed out.
      arm, other: Names of arms.
      metric: A column.
      confidence: Coverage of the Student-t interval over seeds.

    Raises:
      InputError: a row without a column that is needed, or an arm that has no row.

    >>> rows = [{"arm": a, "seed": s, "round": 0, "auroc": v} for a, s, v in [("x", 0, 0.75), ("y", 0, 0.5)]]
    >>> paired_difference(rows, "x", "y", "auroc").mean
    0.25
    """
    require_columns(rows, ("arm", "seed", "round", metric))
    last: dict[str, dict[int, float | None]] = {arm: {}, other: {}}
    for row in sorted(rows, key=lambda row: row["round"]):
        if row["arm"] in last:
            last[row["arm"]][row["seed"]] = row[metric]
    for name, values in last.items():
        if not values:
            raise InputError(
                f"rows: none is of arm {name}; there are {', '.join(sorted({row['arm'] for row in rows}))}"
            )
    pairs = [(value, last[other].get(seed)) for seed, value in last[arm].items()]
    return interval([one - two for one, two in pairs if one is not None and two is not None], confidence)
