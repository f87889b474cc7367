"""Arms × labeled shares, one table for each metric."""

from typing import NamedTuple

from jaxal.evaluation.learning_curve import CurvePoint, Interval, Row, interval, learning_curves
from jaxal.report.external import external_rows, shown_metrics
from jaxal.report.inputs import ReportInputs
from jaxal.report.wording import estimate, number, percent

__all__ = ["Cell", "RoundTable", "round_tables"]

_SHOWN = ("auroc", "average_precision", "balanced_accuracy", "minority_labeled")


class Cell(NamedTuple):
    """One mean; empty text where the arm has not got there."""

    text: str
    is_best: bool = False


class RoundTable(NamedTuple):
    """One metric: a row for each arm in the config's order, a column for each round, then one for all labels."""

    title: str
    columns: tuple[tuple[str, str], ...]  # ("10 %", "2,002 labels"), the second smaller
    rows: tuple[tuple[str, tuple[Cell, ...], bool], ...]  # arm, its cells, whether it trains on every label


def round_tables(inputs: ReportInputs) -> list[RoundTable]:
    """Lays out mean ± half of the 95 % interval over seeds; of an external test set, if any, next to the internal one.

    Of the active arms whose value is defined in the most seeds of a round, two at least, the highest mean is marked
    where no other is printed the same. An arm that trains on every label has a value in the last column only; without
    such an arm there is no such column. Where only the last round is scored, scores have no columns of others.

    Raises:
      InputError: two rows of one arm, seed and round.
    """
    active = set(inputs.active_arms)
    external = external_rows(inputs.rows, inputs.metric_rows)
    finished = sorted({row["round"] for row in inputs.rows if row["arm"] in active})
    last = max((inputs.planned_rounds[arm] - 1 for arm in active), default=0)
    full_rows = [row for row in inputs.rows if row["arm"] in inputs.full_arms]
    tables = []
    for metric, column, values, _ in shown_metrics(inputs.rows, external, _SHOWN):
        curves, decimals = learning_curves(values, column), metric.decimals
        rounds = [r for r in finished if r == last or metric.is_count or not inputs.scores_last]
        columns = [_heading([row for row in inputs.rows if row["arm"] in active and row["round"] == r]) for r in rounds]
        columns += [_heading(full_rows)] if full_rows else []
        best = {
            r: _best({arm: _at(curve, r) for arm, curve in curves.items() if arm in active}, decimals) for r in rounds
        }
        rows = []
        for arm in inputs.planned_rounds:
            curve = curves.get(arm, [])
            if arm in inputs.full_arms:
                cells = [Cell("")] * len(rounds) + [_cell(inputs, arm, curve[-1] if curve else None, decimals)]
            else:
                cells = [_cell(inputs, arm, _at(curve, r), decimals, is_best=best[r] == arm) for r in rounds]
                cells += [Cell("")] * bool(full_rows)
            rows.append((arm, tuple(cells[: len(columns)]), arm in inputs.full_arms))
        tables.append(RoundTable(metric.title, tuple(columns), tuple(rows)))
    return tables


def _heading(rows: list[Row]) -> tuple[str, str]:
    """Writes the share and the number of labels; a range where arms or seeds differ, as skipped images make them."""
    share = interval([row["labeled_fraction"] for row in rows]).mean
    sizes = [row["num_labeled"] for row in rows]
    low, high = number(min(sizes)), number(max(sizes))
    return percent(share or 0.0), f"{low if low == high else f'{low}–{high}'} labels"


def _at(curve: list[CurvePoint], round_: int) -> CurvePoint | None:
    return next((point for point in curve if point.round == round_), None)


def _cell(inputs: ReportInputs, arm: str, point: CurvePoint | None, decimals: int, is_best: bool = False) -> Cell:
    if point is None:
        return Cell("")
    num_seeds = sum(row["arm"] == arm and row["round"] == point.round for row in inputs.rows)
    num_seeds += sum(of == arm and last < point.round for (of, _), last in inputs.stopped.items())
    return Cell(estimate(point.interval, num_seeds, decimals), is_best)


def _best(points: dict[str, CurvePoint | None], decimals: int) -> str | None:
    intervals: dict[str, Interval] = {arm: point.interval for arm, point in points.items() if point is not None}
    most = max((each.num for each in intervals.values()), default=0)
    means = {
        arm: round(each.mean, decimals) for arm, each in intervals.items() if each.mean is not None and each.num == most
    }
    highest = [arm for arm, mean in means.items() if mean == max(means.values())]
    return highest[0] if len(means) > 1 and len(highest) == 1 else None
