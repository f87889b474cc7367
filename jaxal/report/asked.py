"""What each arm asked for: how many of which class, round by round, as means over seeds."""

import csv
import io
from typing import NamedTuple

import numpy as np

from jaxal.evaluation.learning_curve import Row
from jaxal.report.inputs import Asked, ReportInputs

__all__ = ["AskedRound", "ShownClasses", "asked_classes_csv", "asked_rounds", "minority_rate_rows", "shown_classes"]

_MOST_SHOWN = 10
OTHER = "other"


class AskedRound(NamedTuple):
    """The answers that one arm got in one round."""

    round: int
    counts: tuple[float, ...]  # by class, mean over seeds
    skipped: float  # asked, but not answered with a class
    num_seeds: int


class ShownClasses(NamedTuple):
    """What a figure with few colors shows: the minority first, then by frequency in the pool, then all others."""

    names: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]  # classes behind each name


def asked_rounds(inputs: ReportInputs) -> dict[str, list[AskedRound]]:
    """Averages the class counts of every query over the seeds that have it, by active arm in the config's order."""
    found: dict[str, dict[int, list[Asked]]] = {arm: {} for arm in inputs.active_arms}
    for query in inputs.asked:
        found.setdefault(query.arm, {}).setdefault(query.round, []).append(query)
    return {arm: [_mean(rounds[r], len(inputs.class_names)) for r in sorted(rounds)] for arm, rounds in found.items()}


def _mean(queries: list[Asked], num_classes: int) -> AskedRound:
    counts = np.stack([class_counts(query.labels, num_classes) for query in queries]).mean(axis=0)
    skipped = float(np.mean([sum(label < 0 for label in query.labels) for query in queries]))
    return AskedRound(queries[0].round, tuple(counts.tolist()), skipped, len(queries))


def class_counts(labels: tuple[int, ...], num_classes: int) -> np.ndarray:
    """Counts answers by class, int64 [C]; negative ones count nowhere."""
    answered = np.array([label for label in labels if label >= 0], np.int64)
    return np.bincount(answered, minlength=num_classes)


def shown_classes(inputs: ReportInputs) -> ShownClasses:
    """Chooses the classes that a figure names: all of up to ten, else the minority, the eight largest, and the rest."""
    pool = inputs.part_counts.get("pool", {})
    rest = [index for index in range(len(inputs.class_names)) if index != inputs.minority]
    rest.sort(key=lambda index: (-pool.get(inputs.class_names[index], 0), index))
    others: list[int] = []
    if len(rest) >= _MOST_SHOWN:
        rest, others = rest[: _MOST_SHOWN - 2], rest[_MOST_SHOWN - 2 :]
    names = tuple(inputs.class_names[index] for index in (inputs.minority, *rest))
    groups = tuple((index,) for index in (inputs.minority, *rest))
    if not others:
        return ShownClasses(names, groups)
    return ShownClasses((*names, f"{OTHER} ({len(others)} classes)"), (*groups, tuple(sorted(others))))


def asked_classes_csv(inputs: ReportInputs) -> str:
    """Writes every class of every query: mean count over seeds, its share of the answers, and the skipped."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["arm", "round", "class", "count", "share", "skipped", "seeds"])
    for arm, rounds in asked_rounds(inputs).items():
        for query in rounds:
            total = sum(query.counts)
            for name, count in zip(inputs.class_names, query.counts, strict=True):
                share = count / total if total else None
                writer.writerow([arm, query.round, name, count, share, query.skipped, query.num_seeds])
    return text.getvalue()


def minority_rate_rows(inputs: ReportInputs) -> list[Row]:
    """Lists, for each query, how many of 100 answers were of the minority: `minority_per_100`, None without answers.

    The other columns are those that a learning curve needs; labels are counted after the query.
    """
    labeled = {(row["arm"], row["seed"], row["round"]): row for row in inputs.rows}
    rows = []
    for query in inputs.asked:
        row = labeled.get((query.arm, query.seed, query.round))
        if row is None:  # the fit after it is not finished
            continue
        counts = class_counts(query.labels, len(inputs.class_names))
        total = int(counts.sum())
        rate = 100 * int(counts[inputs.minority]) / total if total else None
        kept = {key: row[key] for key in ("arm", "seed", "round", "num_labeled", "labeled_fraction")}
        rows.append({**kept, "minority_per_100": rate})
    places = {arm: place for place, arm in enumerate(inputs.planned_rounds)}
    return sorted(rows, key=lambda row: places.get(row["arm"], len(places)))
