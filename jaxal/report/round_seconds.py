"""Where the time of each round went: train, embed, acquire, and acquisition's share of the round."""

import numpy as np

from jaxal.evaluation.learning_curve import Row
from jaxal.report.inputs import ReportInputs
from jaxal.report.round_tables import Cell, RoundTable
from jaxal.report.wording import percent

__all__ = ["round_seconds"]

_PHASES = {"train": "Seconds of training", "embed": "Seconds of embedding", "acquire": "Seconds of choosing"}


def round_seconds(inputs: ReportInputs) -> list[RoundTable]:
    """Lays out the seconds of each phase, arms × rounds, means over seeds, and what share of the round choosing took.

    A round is the query that bought its labels and the fit that follows; round 0 asks nothing. Arms that train on
    every label have that one fit. Empty where an arm has not got there.
    """
    rounds = sorted({row["round"] for row in inputs.rows})
    columns = tuple((f"round {number}", "initial labels" if number == 0 else "") for number in rounds)
    tables = []
    for phase, title in _PHASES.items():
        tables.append((title, lambda rows, phase=phase: _seconds(rows, phase)))
    tables.append(("Choosing, as a share of its round", _share))
    return [
        RoundTable(
            title,
            columns,
            tuple(
                (arm, tuple(Cell(tell(_at(inputs.rows, arm, number))) for number in rounds), arm in inputs.full_arms)
                for arm in inputs.planned_rounds
            ),
        )
        for title, tell in tables
    ]


def _at(rows: list[Row], arm: str, number: int) -> list[Row]:
    return [row for row in rows if (row["arm"], row["round"]) == (arm, number)]


def _mean(rows: list[Row], phase: str) -> float | None:
    spent = [row[f"seconds_{phase}"] for row in rows if row[f"seconds_{phase}"] is not None]
    return float(np.mean(spent)) if spent else None


def _seconds(rows: list[Row], phase: str) -> str:
    mean = _mean(rows, phase)
    if mean is None:
        return ""
    return f"{mean:,.1f}" if mean >= 10 else f"{mean:.3f}"


def _share(rows: list[Row]) -> str:
    spent = {phase: _mean(rows, phase) for phase in _PHASES}
    if spent["acquire"] is None:
        return ""
    total = sum(each or 0.0 for each in spent.values())
    return percent(spent["acquire"] / total) if total else ""
