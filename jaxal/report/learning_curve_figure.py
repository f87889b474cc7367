"""The learning curves of a study: one SVG for people, one CSV with the numbers behind it."""

import csv
import io
from pathlib import Path
from typing import Any

from jaxal.evaluation.learning_curve import CurvePoint, Row, learning_curves
from jaxal.store.files import write_if_changed

_PANELS = {
    "auroc": "AUROC",
    "average_precision": "Average precision",
    "minority_labeled": "Minority labels found",
}
# Okabe and Ito's palette without its yellow, which is lost on white; markers differ too, for print and color vision.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_GRAY = "#666666"
_FULL_DASHES = ((4, 2), (1, 1.5), (6, 2, 1, 2))
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "jaxal",  # element ids otherwise change with every drawing
    "svg.fonttype": "path",  # looks the same where the font is missing
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.0,
}
_WIDTH = 9.375  # inches of 72 points: 900 px in a browser

Curves = dict[str, list[CurvePoint]]


def draw_learning_curves(rows: list[Row], folder: Path, *, full_arms: frozenset[str] = frozenset()) -> list[Path]:
    """Writes `figures/learning_curves.svg` and `figures/learning_curves.csv` of a study.

    One panel each for AUROC, average precision and minority labels found, against the number of labels; lines are
    means over seeds, bands the 95 % Student-t interval where at least two seeds define the value. A panel without
    any defined value says so, and so does a panel for each arm that it lacks. Equal rows give equal bytes.

    Args:
      rows: Typed rows of results.csv, keys as in its header; None where a cell is empty.
      folder: The run folder.
      full_arms: Arms trained once on every label: dashed horizontal lines, the upper bound.

    Returns:
      The two paths, figure first.

    Raises:
      InputError: a row without one of the columns drawn, or two rows of one arm, seed and round.
    """
    curves = {metric: learning_curves(rows, metric) for metric in _PANELS}
    figure = folder / "figures" / "learning_curves.svg"
    numbers = figure.with_suffix(".csv")
    figure.parent.mkdir(parents=True, exist_ok=True)
    write_if_changed(figure, _draw(curves, full_arms))
    write_if_changed(numbers, _numbers(curves))
    return [figure, numbers]


def _numbers(curves: dict[str, Curves]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["metric", "arm", "round", "num_labeled", "labeled_fraction", "mean", "low", "high", "seeds"])
    for metric, arms in curves.items():
        for arm, curve in arms.items():
            for point in curve:
                writer.writerow([metric, arm, point.round, point.num_labeled, point.labeled_fraction, *point.interval])
    return text.getvalue()


def _draw(curves: dict[str, Curves], full_arms: frozenset[str], file_format: str = "svg") -> bytes:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    arms = list(next(iter(curves.values())))
    columns = _legend_columns(arms)
    num_lines = -(-len(arms) // columns)
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a reader's own matplotlibrc must not change the bytes
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(figsize=(_WIDTH, 2.9 + 0.2 * (num_lines + 1)), layout="constrained")
        FigureCanvasAgg(figure)
        handles: dict[str, Any] = {}
        for axes, (metric, title) in zip(figure.subplots(1, len(_PANELS)), _PANELS.items(), strict=True):
            axes.set_title(title, loc="left", fontsize=10)
            axes.grid(axis="y", color="#E5E5E5", linewidth=0.6)
            axes.set_axisbelow(True)
            axes.set_xlabel("labels")
            axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
            axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=metric == "minority_labeled"))
            _draw_panel(axes, curves[metric], full_arms, handles)
            if metric != "minority_labeled":  # the interval of two seeds can leave [0, 1] and flatten every curve
                low, high = axes.get_ylim()
                axes.set_ylim(max(low, -0.02), min(high, 1.02))
        if arms:
            legend = figure.legend(
                [handles[arm] for arm in arms],
                [str(number) for number in range(len(arms))],
                loc="outside lower center",
                ncols=columns,
                frameon=False,
                title=_legend_title(curves),
                title_fontproperties={"size": 8},
            )
            legend.get_title().set_color(_GRAY)
            # Matplotlib hides labels that begin with an underscore, which an arm's name may.
            for text, arm in zip(legend.get_texts(), arms, strict=True):
                text.set_text(f"{arm} (every label)" if arm in full_arms else arm)
        drawn = io.BytesIO()
        metadata = {"Date": None} if file_format == "svg" else {}
        figure.savefig(drawn, format=file_format, metadata=metadata)
    return drawn.getvalue()


def _draw_panel(axes: Any, curves: Curves, full_arms: frozenset[str], handles: dict[str, Any]) -> None:
    """Draws one metric; `handles` collects one legend entry for each arm, defined here or not."""
    missing = []
    num_full = num_curves = 0
    for arm, curve in curves.items():
        means = [_or_nan(point.interval.mean) for point in curve]
        lows = [_or_nan(point.interval.low) for point in curve]
        highs = [_or_nan(point.interval.high) for point in curve]
        if all(point.interval.mean is None for point in curve):
            missing.append(arm)
        if arm in full_arms:
            style = {"color": _GRAY, "dashes": _FULL_DASHES[num_full % len(_FULL_DASHES)]}
            num_full += 1
            handles[arm] = axes.axhline(means[-1], **style)
            if curve[-1].interval.low is not None:
                axes.axhspan(lows[-1], highs[-1], color=_GRAY, alpha=0.12, linewidth=0)
            continue
        color, marker = _COLORS[num_curves % len(_COLORS)], _MARKERS[num_curves % len(_MARKERS)]
        num_curves += 1
        labels = [point.num_labeled for point in curve]
        (handles[arm],) = axes.plot(labels, means, color=color, marker=marker)
        axes.fill_between(labels, lows, highs, color=color, alpha=0.15, linewidth=0)
    if len(missing) == len(curves):
        axes.set(xticks=[], yticks=[], xlabel="")
        axes.spines[:].set_visible(False)
        axes.text(0.5, 0.5, "not defined", transform=axes.transAxes, ha="center", va="center", color=_GRAY)
    elif missing:
        note = "not defined: " + ", ".join(missing)
        axes.text(1, 0.02, note, transform=axes.transAxes, ha="right", va="bottom", color=_GRAY, fontsize=8)


def _legend_title(curves: dict[str, Curves]) -> str:
    """Says what lines and bands are; the number of seeds is the largest behind any point drawn."""
    nums = (point.interval.num for arms in curves.values() for curve in arms.values() for point in curve)
    num_seeds = max(nums)
    return f"mean and 95 % interval over {num_seeds} seeds" if num_seeds > 1 else "one seed, no interval"


def _legend_columns(arms: list[str]) -> int:
    """Returns how many names stand side by side: about 120 characters fit, of which handle and gap take 12."""
    return max(1, min(len(arms), 120 // (12 + max(map(len, arms), default=0))))


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
