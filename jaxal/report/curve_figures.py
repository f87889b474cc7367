"""The learning curves of a study, one figure for each metric."""

from typing import Any

from jaxal.evaluation.learning_curve import learning_curves
from jaxal.report.curve_panel import (
    METRICS,
    Curves,
    Metric,
    any_defined,
    curves_csv,
    draw_panel,
    legend_names,
    legend_title,
)
from jaxal.report.drawing import PANEL_HEIGHT, PANEL_WIDTH, add_legend, draw_figure, legend_height
from jaxal.report.external import external_rows, shown_metrics
from jaxal.report.inputs import ReportInputs
from jaxal.report.pictures import Picture
from jaxal.report.wording import estimate, number, share

__all__ = ["curve_picture", "curve_pictures", "prevalence"]


def curve_pictures(inputs: ReportInputs) -> list[Picture]:
    """Draws every metric of results.csv, and next to it that of an external test set where there is one.

    `classes_found` is left out for two classes. Average precision carries the prevalence.

    Raises:
      InputError: two rows of one arm, seed and round.
    """
    columns = tuple(key for key in METRICS if key != "classes_found" or len(inputs.class_names) > 2)
    external = external_rows(inputs.rows, inputs.metric_rows)
    pictures = []
    for metric, column, rows, part in shown_metrics(inputs.rows, external, columns):
        curves = learning_curves(rows, column)
        reference = prevalence(inputs, part) if column == "average_precision" else None
        on = "On the external test set. " if part == "external" else ""
        caption = on + metric_caption(inputs, column, part)
        pictures.append(curve_picture(metric, curves, inputs.full_arms, reference=reference, caption=caption))
    return pictures


def curve_picture(
    metric: Metric,
    curves: Curves,
    full_arms: frozenset[str],
    *,
    reference: tuple[float | int, str] | None = None,
    caption: str,
) -> Picture:
    """Draws one metric of every arm, with its legend and the share of the pool as a second scale."""
    names = legend_names(list(curves), full_arms)
    names += [reference[1]] if reference is not None and any_defined(curves) else []

    def paint(figure: Any) -> None:
        handles: dict[str, Any] = {}
        draw_panel(figure.subplots(), metric, curves, full_arms, handles, reference, has_percent=True)
        title = legend_title({metric.key: curves})
        add_legend(figure, list(handles.values()), names, PANEL_WIDTH, title=title)

    height = PANEL_HEIGHT + legend_height(names, PANEL_WIDTH)
    drawn = draw_figure(paint, PANEL_WIDTH, height)
    return Picture(metric.key, drawn, curves_csv({metric.key: curves}), caption, _alt(metric, curves))


def _alt(metric: Metric, curves: Curves) -> str:
    ends = [
        f"{arm} {estimate(curve[-1].interval, curve[-1].interval.num, metric.decimals)}"
        for arm, curve in curves.items()
    ]
    return f"{metric.title} against the number of labels. At the last round: {'; '.join(ends) or 'nothing yet'}."


def metric_caption(inputs: ReportInputs, column: str, part: str) -> str:
    """Says in a sentence what a metric means, for a reader who does not know it."""
    name = inputs.minority_name
    counts = inputs.part_counts.get(part, {})
    has_two = len(inputs.class_names) == 2
    of_all = "" if has_two else " Mean over all classes, each against the rest."
    one = f"of class {name}" if has_two else "of the class"
    match column:
        case "auroc":
            return f"How often an image {one} is ranked above one that is not; 0.5 by chance.{of_all}"
        case "average_precision":
            dotted = "the prevalence" if has_two else "the mean share of a class"
            return f"Precision down the ranking, averaged over the images {one}; dotted: {dotted}.{of_all}"
        case "balanced_accuracy":
            return "Mean of the recalls of all classes: the rare class counts as much as the others."
        case "accuracy":
            largest = max(counts.values(), default=0) / max(1, sum(counts.values()))
            always = "" if inputs.sizes_vary else f"; naming the largest class always reaches {share(largest)}"
            return f"Share of images classified rightly{always}."
        case "minority_labeled":
            found = number(inputs.part_counts.get("pool", {}).get(inputs.minority_name, 0))
            holds = "" if inputs.sizes_vary else f"; the pool holds {found}"
            return f"Images of class {name} among the labels so far, the initial ones included{holds}."
        case "classes_found":
            return f"Classes with at least one label, of {len(inputs.class_names)}."
        case _:
            return "Labels of the largest class for each of the smallest; not defined while a class has none."


def prevalence(inputs: ReportInputs, part: str) -> tuple[float, str] | None:
    """Returns the share of what is ranked first, which stands beside every average precision, and its words.

    For two classes that is the minority's; for more, where average precision is the mean over one class against the
    rest, it is the mean share of a class, 1/C. None where the part is empty.
    """
    counts = inputs.part_counts.get(part, {})
    total = sum(counts.values())
    if total == 0:
        return None
    if len(inputs.class_names) == 2:
        value = counts.get(inputs.minority_name, 0) / total
        return value, f"prevalence {share(value)}{inputs.of_first_seed}"
    value = 1 / len(inputs.class_names)
    return value, f"mean share of a class {share(value)}"
