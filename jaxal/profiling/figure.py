"""Seconds against the size of the pool, both logarithmic: a line for each strategy, a panel for each D, C and Q."""

from collections.abc import Sequence
from typing import Any

from jaxal.profiling.measurement import Measurement
from jaxal.report.drawing import (
    ARM_COLORS,
    ARM_DASHES,
    ARM_MARKERS,
    GRID,
    PANEL_WIDTH,
    add_legend,
    draw_figure,
    legend_height,
)

__all__ = ["seconds_figure"]

PANELS_A_ROW = 3
MARGIN = 1.4


def seconds_figure(rows: Sequence[Measurement]) -> bytes:
    """Draw the medians as SVG, the spread as bars; equal rows give equal bytes."""
    names = list(dict.fromkeys(row.strategy for row in rows))
    panels = list(dict.fromkeys((row.width, row.num_classes, row.query_size) for row in rows))
    columns = min(len(panels), PANELS_A_ROW)
    lines = -(-len(panels) // columns)
    # One panel alone is drawn wide: some twenty lines need the room.
    width = max(columns, 2) * PANEL_WIDTH

    def paint(figure: Any) -> None:
        handles: dict[str, Any] = {}
        axes_of = list(figure.subplots(lines, columns, squeeze=False, sharey=True).flat)
        for axes, panel in zip(axes_of, panels, strict=False):
            _paint_panel(axes, panel, rows, names, handles)
        for axes in axes_of[len(panels) :]:
            axes.remove()
        add_legend(figure, [handles[name] for name in names], names, width)

    return draw_figure(paint, width, lines * 4.0 + legend_height(names, width, has_title=False))


def _paint_panel(
    axes: Any, panel: tuple[int, int, int], rows: Sequence[Measurement], names: list[str], handles: dict[str, Any]
) -> None:
    axes.set(xscale="log", yscale="log", xlabel="N, samples of the pool", ylabel="seconds a query")
    # Limits before anything is drawn: of a single point matplotlib would make an axis without length.
    axes.set_xlim(min(row.num_rows for row in rows) / MARGIN, max(row.num_rows for row in rows) * MARGIN)
    axes.set_ylim(min(row.seconds_min for row in rows) / MARGIN, max(row.seconds_max for row in rows) * MARGIN)
    axes.set_title("D {}, C {}, Q {}".format(*panel), loc="left", fontsize=10)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for place, name in enumerate(names):
        found = [row for row in rows if row.strategy == name and (row.width, row.num_classes, row.query_size) == panel]
        found.sort(key=lambda row: row.num_rows)
        turn, color = divmod(place, len(ARM_COLORS))
        sizes, seconds = [row.num_rows for row in found], [row.seconds for row in found]
        style = {"color": ARM_COLORS[color], "linestyle": ARM_DASHES[turn % len(ARM_DASHES)]}
        (handles[name],) = axes.plot(sizes, seconds, marker=ARM_MARKERS[place % len(ARM_MARKERS)], **style)
        axes.vlines(
            sizes, [row.seconds_min for row in found], [row.seconds_max for row in found], color=style["color"], lw=0.8
        )
