"""The report of a study: one HTML file that needs no other, and the figures beside it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxal.report.asked import asked_rounds, shown_classes
from jaxal.report.asked_figures import (
    arm_panels,
    asked_classes_picture,
    class_colors,
    has_minority_counts,
    minority_rate_picture,
)
from jaxal.report.contact_sheet import contact_sheets
from jaxal.report.curve_figures import curve_pictures
from jaxal.report.inputs import ReportInputs
from jaxal.report.pictures import write_picture
from jaxal.report.round_seconds import round_seconds
from jaxal.report.round_tables import round_tables
from jaxal.report.seconds import acquisition_share, arm_seconds, seconds_picture
from jaxal.report.source_classes import source_classes_picture
from jaxal.report.subgroup_tables import subgroup_tables
from jaxal.report.summary import summarize
from jaxal.report.templates import template
from jaxal.report.wording import encoded, number, percent, share
from jaxal.store.files import write_if_changed

__all__ = ["write_report"]

_PARTS = ("pool", "validation", "test", "external")


def write_report(inputs: ReportInputs, folder: Path) -> Path:
    """Writes `report.html` and the figures with their numbers into a run folder, where they are not up to date.

    The page loads nothing, runs no script and holds every name escaped; equal inputs give equal bytes. An unfinished
    or degenerate study has a page too, which says what is missing.

    Args:
      inputs: the study.
      folder: the run folder.

    Returns:
      The page's path.

    Raises:
      InputError: two result rows of one arm, seed and round.
      StoreError: a file could not be written.
    """
    curves = curve_pictures(inputs)
    rate = minority_rate_picture(inputs)
    seconds = seconds_picture(inputs)
    source_classes = source_classes_picture(inputs.source_shares) if inputs.source_shares else None
    for picture in (
        *curves,
        asked_classes_picture(inputs),
        rate,
        seconds,
        *([source_classes] if source_classes else []),
    ):
        write_picture(picture, folder)
    shown = shown_classes(inputs)
    page = template("page.html").render(
        name=inputs.name,
        summary=summarize(inputs),
        facts=_facts(inputs),
        missing=_missing(inputs),
        num_seeds=len(inputs.seeds),
        has_stops=bool(inputs.stopped),
        sizes_vary=inputs.sizes_vary,
        paper_tables=inputs.paper_tables,
        scores_last=inputs.scores_last,
        curves=curves,
        tables=round_tables(inputs),
        classes=list(zip(shown.names, class_colors(shown), strict=True)),
        arm_panels=arm_panels(inputs),
        has_minority_counts=has_minority_counts(asked_rounds(inputs)),
        rate=rate,
        sheets=contact_sheets(inputs),
        minority=inputs.minority_name,
        seconds=seconds,
        arm_seconds=arm_seconds(inputs.rows),
        acquisition_share=acquisition_share(inputs.rows),
        round_seconds=round_seconds(inputs),
        subgroups=subgroup_tables(inputs),
        parts=[part for part in _PARTS if part in inputs.part_counts],
        class_rows=_class_rows(inputs),
        source_classes=source_classes,
        notes=inputs.notes,
        config_text=inputs.config_text,
        versions=list(_flat(inputs.environment)),
    )
    path = folder / "report.html"
    write_if_changed(path, encoded(page))
    return path


def _facts(inputs: ReportInputs) -> list[tuple[str, str]]:
    """Lists what a reader asks first."""
    facts = [("arms", number(len(inputs.planned_rounds))), ("seeds", number(len(inputs.seeds)))]
    for part in _PARTS:
        if part in inputs.part_counts:
            counts = inputs.part_counts[part]
            total = sum(counts.values())
            minority = counts.get(inputs.minority_name, 0)
            rate = f" ({percent(minority / total)})" if total else ""
            told = f"{number(total)}; {number(minority)}{rate} of class {inputs.minority_name}"
            facts.append((f"{part} images{inputs.of_first_seed}", told))
    return facts


def _missing(inputs: ReportInputs) -> list[str]:
    """Says which arms have not finished what was planned."""
    told = []
    for arm, rounds in inputs.planned_rounds.items():
        finished = sum(row["arm"] == arm for row in inputs.rows)
        planned = sum(inputs.stopped.get((arm, seed), rounds - 1) + 1 for seed in inputs.seeds)
        if finished < planned:
            told.append(f"{arm}: {number(finished)} of {number(planned)} rounds finished")
    return told


def _class_rows(inputs: ReportInputs) -> list[dict[str, Any]]:
    """Counts each class in each part, with its prevalence in the test set; a last row has the sums."""
    parts = [inputs.part_counts[part] for part in _PARTS if part in inputs.part_counts]
    test = inputs.part_counts.get("test", {})
    total = sum(test.values())
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "is_minority": index == inputs.minority,
            "counts": [number(counts.get(name, 0)) for counts in parts],
            "prevalence": share(test.get(name, 0) / total) if total else "not defined",
        }
        for index, name in enumerate(inputs.class_names)
    ]
    sums = [number(sum(counts.values())) for counts in parts]
    return [*rows, {"name": "all", "is_minority": False, "counts": sums, "prevalence": "1.000" if total else ""}]


def _flat(node: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Walks a nested description as dotted names and plain values; a dash where there is none."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        elif isinstance(value, list | tuple):
            yield f"{before}{key}", ", ".join(map(str, value))
        else:
            yield f"{before}{key}", "–" if value is None else str(value)
