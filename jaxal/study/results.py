"""The result files of a study, made anew from its journals: results.csv and metrics.csv."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxal.config.study import ArmConfig, StudyConfig
from jaxal.data.schedule import query_sizes
from jaxal.evaluation.comparison import active_learning_gain
from jaxal.evaluation.rows import MetricRow
from jaxal.store.files import write_if_changed
from jaxal.study.rounds import recorded_rounds
from jaxal.study.stopping import final_round, is_finished

__all__ = [
    "METRIC_COLUMNS",
    "RESULT_COLUMNS",
    "class_prevalences",
    "count_rounds",
    "has_finished",
    "metric_rows",
    "recorded_metrics",
    "result_rows",
    "run_folder",
    "write_results",
]

# results.csv: column -> the journal's (split, metric) over all classes.
_METRICS = {
    "num_labeled": ("pool", "num_labeled"),
    "labeled_fraction": ("pool", "labeled_fraction"),
    "auroc": ("test", "auroc"),
    "average_precision": ("test", "average_precision"),
    "balanced_accuracy": ("test", "balanced_accuracy"),
    "accuracy": ("test", "accuracy"),
    "minority_labeled": ("pool", "minority_labeled"),
    "classes_found": ("pool", "classes_found"),
    "imbalance_ratio": ("pool", "imbalance_ratio"),
}
_SECONDS = ("train", "embed", "acquire")
RESULT_COLUMNS = ("arm", "seed", "round", *_METRICS, *(f"seconds_{name}" for name in _SECONDS))
METRIC_COLUMNS = ("arm", "seed", "round", "split", "class", "metric", "value")


def run_folder(workdir: Path, arm: str, seed: int) -> Path:
    """Return where one arm with one seed keeps its journal and checkpoints."""
    return workdir / arm / f"seed-{seed}"


def _recorded(study: StudyConfig, workdir: Path) -> Iterator[tuple[str, int, int, dict[str, Any]]]:
    """Walk the finished rounds: arms in the config's order, then seeds in its order, then rounds."""
    for arm in study.arms:
        for seed in study.seeds:
            for number, event in sorted(recorded_rounds(run_folder(workdir, arm.name, seed)).items()):
                yield arm.name, seed, number, event


def result_rows(study: StudyConfig, workdir: Path) -> list[dict[str, Any]]:
    """Read results.csv's rows from the journals, typed; None where a value is not defined."""
    rows = []
    for arm, seed, number, event in _recorded(study, workdir):
        overall = {(split, metric): value for split, class_name, metric, value in event["metrics"] if class_name == ""}
        row: dict[str, Any] = {"arm": arm, "seed": seed, "round": number}
        row |= {column: overall.get(source) for column, source in _METRICS.items()}  # not every round is scored
        row |= {f"seconds_{name}": event["seconds"][name] for name in _SECONDS}
        rows.append(row)
    return rows


def count_rounds(study: StudyConfig, workdir: Path) -> tuple[int, int]:
    """Count the rounds that are finished, of all arms and seeds, and those that are planned; needs no data.

    Rounds that a run leaves out because it has plateaued are not planned any more.
    """
    num_done = num_planned = 0
    for arm in study.arms:
        for seed in study.seeds:
            rounds = recorded_rounds(run_folder(workdir, arm.name, seed))
            last = final_round(study.schedule, rounds, _num_rounds(study, arm))
            num_done += sum(number in rounds for number in range(last + 1))
            num_planned += last + 1
    return num_done, num_planned


def has_finished(study: StudyConfig, arm: ArmConfig, seed: int, workdir: Path) -> bool:
    """Tell whether one arm with one seed has all its rounds; needs no data."""
    return is_finished(study.schedule, recorded_rounds(run_folder(workdir, arm.name, seed)), _num_rounds(study, arm))


def _num_rounds(study: StudyConfig, arm: ArmConfig) -> int:
    """Count the rounds planned after round 0, of a pool of any size."""
    return len(query_sizes(study.schedule, 0, 0)) if arm.kind == "active" else 0


def write_results(study: StudyConfig, workdir: Path) -> list[dict[str, Any]]:
    """Write results.csv and metrics.csv where they are not up to date; return the rows of the former.

    Raises:
        StoreError: a journal is damaged, or the folder cannot be written.
    """
    rows = result_rows(study, workdir)
    write_if_changed(workdir / "results.csv", _csv(RESULT_COLUMNS, [_cells(row) for row in rows]))
    metrics = _metrics(study, workdir, rows)
    write_if_changed(
        workdir / "metrics.csv", _csv(METRIC_COLUMNS, [[_cell(value) for value in row] for row in metrics])
    )
    return rows


def recorded_metrics(study: StudyConfig, workdir: Path) -> list[dict[str, Any]]:
    """Read metrics.csv's rows from the journals, typed; None where a value is not defined."""
    rows = _metrics(study, workdir, result_rows(study, workdir))
    return [dict(zip(METRIC_COLUMNS, row, strict=True)) for row in rows]


def _metrics(study: StudyConfig, workdir: Path, rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """List the values of METRIC_COLUMNS; `rows` are those of results.csv."""
    gains = _gains(study, rows)
    return [
        (arm, seed, number, *MetricRow(*row))
        for arm, seed, number, event in _recorded(study, workdir)
        for row in [*event["metrics"], *gains.get((arm, seed, number), ())]
    ]


def _gains(study: StudyConfig, rows: list[dict[str, Any]]) -> dict[tuple[str, int, int], list[MetricRow]]:
    """Compare each run with the first arm that has every label and the same seed: G_AL over the rounds so far.

    Of balanced accuracy on the test set. Nothing where no such arm is finished, or of the arm itself.
    """
    full_arm = next((arm.name for arm in study.arms if arm.kind == "full"), None)
    full = {row["seed"]: row["balanced_accuracy"] for row in rows if row["arm"] == full_arm}
    so_far: dict[tuple[str, int], list[float | None]] = {}
    gains = {}
    for row in rows:
        arm, seed = row["arm"], row["seed"]
        if arm != full_arm and full.get(seed) is not None:
            accuracies = so_far.setdefault((arm, seed), [])
            accuracies.append(row["balanced_accuracy"])
            gain = active_learning_gain(accuracies, full[seed])
            gains[arm, seed, row["round"]] = [MetricRow("test", "", "active_learning_gain", gain)]
    return gains


def metric_rows(workdir: Path) -> list[dict[str, Any]]:
    """Read metrics.csv, typed; None where a value is not defined."""
    with open(workdir / "metrics.csv", newline="", encoding="utf-8") as file:
        return [
            row
            | {"seed": int(row["seed"]), "round": int(row["round"])}
            | {"value": float(row["value"]) if row["value"] else None}
            for row in csv.DictReader(file)
        ]


def class_prevalences(workdir: Path, split: str = "test") -> dict[str, float]:
    """Read each class's share of a test set from metrics.csv: what an average precision has to be held against.

    The mean over seeds, whose test sets differ a little where whole groups are drawn; empty without such a set.
    """
    rows = [row for row in metric_rows(workdir) if (row["split"], row["metric"]) == (split, "prevalence")]
    shares = {(row["class"], row["seed"]): row["value"] for row in rows}
    of_class: dict[str, list[float]] = {}
    for (name, _), share in shares.items():
        of_class.setdefault(name, []).append(share)
    return {name: sum(each) / len(each) for name, each in of_class.items()}


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        f"{value:.3f}" if column.startswith("seconds_") and value is not None else _cell(value)
        for column, value in row.items()
    ]


def _cell(value: Any) -> str:
    """Empty for what is not defined; floats by repr, so that they read back to the same number."""
    if value is None:
        return ""
    return repr(value) if isinstance(value, float) else str(value)


def _csv(columns: tuple[str, ...], rows: list[list[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
