"""Arms × subgroups of a test set after the last round, one table for each fact and metric."""

from typing import Any

from jaxal.data.subgroups import place_of
from jaxal.evaluation.learning_curve import interval
from jaxal.report.curve_panel import METRICS
from jaxal.report.external import titled
from jaxal.report.inputs import ReportInputs
from jaxal.report.round_tables import Cell, RoundTable
from jaxal.report.tables import last_rounds
from jaxal.report.wording import estimate, number

__all__ = ["subgroup_tables"]

_SHOWN = ("auroc", "average_precision", "balanced_accuracy")
Values = dict[tuple, list[Any]]  # (split, class, metric, arm) -> one for each seed


def subgroup_tables(inputs: ReportInputs) -> list[RoundTable]:
    """Lays out mean ± half of the 95 % interval over seeds, of each arm after the last round of each of its seeds.

    A column is a subgroup, with its images and those of the minority class (means over seeds); the first is the whole
    test set. A score that no seed defines, as where a class is absent, says so; where only some do, of how many.

    Returns:
      For "test" and then "external", for each fact (sex, age, site), one table for each metric; none where the data
      tells no such fact.
    """
    arms = _arms(inputs)
    ends = {(arm, seed): end for arm in arms for seed, end in last_rounds(inputs.rows, arm).items()}
    rows = [row for row in inputs.metric_rows if row["round"] == ends.get((row["arm"], row["seed"]))]
    values: Values = {}
    for row in rows:
        values.setdefault((row["split"], row["class"], row["metric"], row["arm"]), []).append(row["value"])
    tables = []
    has_external = any(split == "external" for split, *_ in values)
    parts = {"test": "Internal test" if has_external else "Test", "external": "External test"}
    for part, part_title in parts.items():
        groups = {split.partition(":")[2] for split, *_ in values if split.startswith(f"{part}:")}
        for fact in dict.fromkeys(name.partition("=")[0] for name in sorted(groups, key=place_of)):
            of_fact = sorted((name for name in groups if name.startswith(f"{fact}=")), key=place_of)
            columns = [part, *(f"{part}:{name}" for name in of_fact)]
            headings = tuple(_heading(inputs, values, split) for split in columns)
            for metric in (METRICS[name] for name in _SHOWN):
                lines = tuple(
                    (
                        arm,
                        tuple(
                            _cell(values.get((split, "", metric.key, arm), []), metric.decimals) for split in columns
                        ),
                        arm in inputs.full_arms,
                    )
                    for arm in arms
                )
                tables.append(RoundTable(titled(f"{part_title}, by {fact}", metric), headings, lines))
    return tables


def _arms(inputs: ReportInputs) -> list[str]:
    begun = {row["arm"] for row in inputs.rows}
    return [arm for arm in inputs.planned_rounds if arm in begun]


def _heading(inputs: ReportInputs, values: Values, split: str) -> tuple[str, str]:
    """Names a subgroup and counts its images, which are the same for every arm."""

    def mean(class_name: str, metric: str) -> float:
        # A seed whose test set has nobody of the subgroup has no row for it.
        of_arms = [each for key, each in values.items() if key[:3] == (split, class_name, metric)]
        return interval(max(of_arms, key=len, default=[])).mean or 0.0

    images, found = mean("", "num_samples"), mean(inputs.minority_name, "count")
    name = split.partition("=")[2] or "all"
    return name, f"{number(images)} images, {number(found)} of {inputs.minority_name}"


def _cell(values: list[Any], decimals: int) -> Cell:
    return Cell(estimate(interval(values), len(values), decimals) if values else "")
