"""Learning curves over seeds: means with Student-t intervals, from the rows of results.csv."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtrit

from jaxal.errors import InputError

Row = dict[str, Any]


class Interval(NamedTuple):
    """A mean over the `num` seeds where the value is defined; the limits need two of them, the mean one."""

    mean: float | None
    low: float | None
    high: float | None
    num: int


class CurvePoint(NamedTuple):
    """One round of one arm: what was labeled (means over seeds) and how the model did."""

    round: int
    num_labeled: float
    labeled_fraction: float | None
    interval: Interval


def interval(values: Sequence[float | int | None], confidence: float = 0.95) -> Interval:
    """Averages over seeds, with the interval mean ± t·s/√num (Student-t, num - 1 degrees of freedom, s with ddof 1).

    Args:
      values: One value for each seed; None or NaN where undefined, which is left out and shows in `num`.
      confidence: Two-sided coverage in (0, 1).

    Raises:
      InputError: a confidence outside (0, 1), or an infinite value.

    >>> interval([0.8, None])
    Interval(mean=0.8, low=None, high=None, num=1)
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence: {confidence} is not between 0 and 1; 0.95 is usual")
    defined = np.asarray([value for value in values if value is not None and not math.isnan(value)], np.float64)
    if not np.isfinite(defined).all():
        raise InputError(f"values: {int((~np.isfinite(defined)).sum())} of {len(values)} are infinite")
    num = defined.size
    if num == 0:
        return Interval(None, None, None, 0)
    mean = float(defined.mean())
    if num == 1:
        return Interval(mean, None, None, 1)
    half_width = float(stdtrit(num - 1, (1 + confidence) / 2) * defined.std(ddof=1) / math.sqrt(num))
    return Interval(mean, mean - half_width, mean + half_width, num)


def learning_curves(rows: list[Row], metric: str) -> dict[str, list[CurvePoint]]:
    """Builds one curve for each arm, in order of first appearance, with a point for each round.

    Args:
      rows: Typed rows of results.csv, keys as in its header; None where a cell is empty.
      metric: The column to follow.

    Raises:
      InputError: a row without a column that is needed, or two rows of one arm, seed and round (an interval would
        count the seed twice).
    """
    require_columns(rows, ("arm", "seed", "round", "num_labeled", "labeled_fraction", metric))
    rounds: dict[str, dict[int, list[Row]]] = {}
    seen = set()
    for number, row in enumerate(rows, start=1):
        run = (row["arm"], row["seed"], row["round"])
        if run in seen:
            raise InputError(f"rows: row {number} repeats arm {run[0]}, seed {run[1]}, round {run[2]}; remove one")
        seen.add(run)
        rounds.setdefault(row["arm"], {}).setdefault(row["round"], []).append(row)
    return {arm: [_point(of_arm[r], metric) for r in sorted(of_arm)] for arm, of_arm in rounds.items()}


def require_columns(rows: list[Row], columns: Sequence[str]) -> None:
    """Refuses rows that lack one of the columns, naming the first.

    Raises:
      InputError: which row lacks what.
    """
    for number, row in enumerate(rows, start=1):
        missing = [column for column in columns if column not in row]
        if missing:
            raise InputError(f"rows: row {number} of {len(rows)} lacks {', '.join(missing)}; it has {', '.join(row)}")


def _point(rows: list[Row], metric: str) -> CurvePoint:
    num_labeled = float(np.mean([row["num_labeled"] for row in rows]))
    fraction = interval([row["labeled_fraction"] for row in rows]).mean
    return CurvePoint(rows[0]["round"], num_labeled, fraction, interval([row[metric] for row in rows]))
