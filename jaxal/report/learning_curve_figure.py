"""The learning curves of a study in one picture: one SVG for people, one CSV with the numbers behind it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxal.evaluation.learning_curve import Row, learning_curves
from jaxal.report.curve_panel import Curves, Metric, curves_csv, draw_panel, legend_names, legend_title
from jaxal.report.drawing import add_legend, draw_figure, legend_height
from jaxal.report.external import shown_metrics
from jaxal.store.files import write_if_changed

_PANELS = ("auroc", "average_precision", "minority_labeled")
_WIDTH = 9.375  # inches of 72 points: 900 px in a browser


def draw_learning_curves(
    rows: list[Row], folder: Path, *, full_arms: frozenset[str] = frozenset(), external: Sequence[Row] = ()
) -> list[Path]:
    """Writes `figures/learning_curves.svg` and `figures/learning_curves.csv` of a study.

    One panel each for AUROC, average precision and minority labels found, against the number of labels; lines are
    means over seeds, bands the 95 % Student-t interval where at least two seeds define the value. A panel without
    any defined value says so, and so does a panel for each arm that it lacks. Equal rows give equal bytes.

    Args:
      rows: Typed rows of results.csv, keys as in its header; None where a cell is empty.
      folder: The run folder.
      full_arms: Arms trained once on every label: dashed horizontal lines, the upper bound.
      external: The same rows with the scores of an external test set, which get a second line of panels.

    Returns:
      The two paths, figure first.

    Raises:
      InputError: a row without one of the columns drawn, or two rows of one arm, seed and round.
    """
    shown = shown_metrics(rows, list(external), _PANELS)
    # Line by line: the internal test set above, the external one below.
    panels = [each.metric for part in ("test", "external") for each in shown if each.part == part]
    curves_of = {each.metric.key: learning_curves(each.rows, each.column) for each in shown}
    figure = folder / "figures" / "learning_curves.svg"
    numbers = figure.with_suffix(".csv")
    write_if_changed(figure, _draw(panels, curves_of, full_arms))
    write_if_changed(numbers, curves_csv(curves_of))
    return [figure, numbers]


def _draw(panels: list[Metric], curves_of: dict[str, Curves], full_arms: frozenset[str]) -> bytes:
    arms = list(next(iter(curves_of.values())))
    names = legend_names(arms, full_arms)
    num_lines = -(-len(panels) // len(_PANELS))

    def paint(figure: Any) -> None:
        handles: dict[str, Any] = {}
        places = figure.subplots(num_lines, len(_PANELS), squeeze=False).ravel()
        for axes, metric in zip(places, panels, strict=False):
            draw_panel(axes, metric, curves_of[metric.key], full_arms, handles)
        for axes in places[len(panels) :]:
            axes.set_axis_off()
        add_legend(figure, [handles[arm] for arm in arms], names, _WIDTH, title=legend_title(curves_of))

    return draw_figure(paint, _WIDTH, 2.9 * num_lines + legend_height(names, _WIDTH))
