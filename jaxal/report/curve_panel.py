"""One metric against the number of labels: the panel that every curve figure is made of, and its numbers as CSV."""

import csv
import io
from typing import Any, NamedTuple

from jaxal.evaluation.learning_curve import CurvePoint
from jaxal.report.drawing import ARM_COLORS, ARM_DASHES, ARM_MARKERS, FULL_DASHES, GRAY, GRID, INK, blank
from jaxal.report.wording import NOT_DEFINED, shortened

__all__ = ["METRICS", "Curves", "Metric", "any_defined", "curves_csv", "draw_panel", "legend_names", "legend_title"]

_LONGEST = 28  # letters of a name, so that a legend of one column fits

Curves = dict[str, list[CurvePoint]]


class Metric(NamedTuple):
    """What a curve shows."""

    key: str  # column of results.csv and file name
    title: str
    is_count: bool = False
    top: float | None = None  # the largest value possible, where the smallest is 0
    decimals: int = 3


METRICS = {
    metric.key: metric
    for metric in (
        Metric("auroc", "AUROC", top=1.0),
        Metric("average_precision", "Average precision", top=1.0),
        Metric("balanced_accuracy", "Balanced accuracy", top=1.0),
        Metric("accuracy", "Accuracy", top=1.0),
        Metric("minority_labeled", "Minority labels found", is_count=True, decimals=1),
        Metric("classes_found", "Classes found", is_count=True, decimals=1),
        Metric("imbalance_ratio", "Imbalance of the labels", decimals=1),
    )
}


def draw_panel(
    axes: Any,
    metric: Metric,
    curves: Curves,
    full_arms: frozenset[str],
    handles: dict[str, Any],
    reference: tuple[float | int, str] | None = None,
    has_percent: bool = False,
) -> None:
    """Draws means over seeds as lines and their 95 % intervals as bands; arms without any value are named.

    Args:
      axes: an empty panel.
      metric: what is drawn.
      curves: by arm, in the study's order, from which colors follow.
      full_arms: horizontal dashed lines, the upper bound.
      handles: receives one legend entry for each arm, defined here or not, and one for the reference.
      reference: a value to draw as a thin dotted line, and its words for the legend.
      has_percent: adds the share of the pool as a second scale above the panel.
    """
    from matplotlib.ticker import MaxNLocator

    axes.set_title(metric.title, loc="left", fontsize=10)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("labels")
    whole = {"steps": [1, 2, 5, 10], "integer": True, "min_n_ticks": 1}  # of two or more, fractions would be among them
    axes.xaxis.set_major_locator(MaxNLocator(6, **whole))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_locator(MaxNLocator(6, **whole) if metric.is_count else MaxNLocator(6, steps=[1, 2, 5, 10]))
    missing = [arm for arm, curve in curves.items() if not any_defined({arm: curve})]
    num_full = num_curves = 0
    for arm, curve in curves.items():
        means, lows, highs = ([_or_nan(point.interval[place]) for point in curve] for place in range(3))
        if arm in full_arms:
            style = {"color": GRAY, "dashes": FULL_DASHES[num_full % len(FULL_DASHES)]}
            num_full += 1
            handles[arm] = axes.axhline(means[-1], **style)
            if curve[-1].interval.low is not None:
                axes.axhspan(lows[-1], highs[-1], color=GRAY, alpha=0.12, linewidth=0)
            continue
        turn, place = divmod(num_curves, len(ARM_COLORS))
        color = ARM_COLORS[place]
        dashes = ARM_DASHES[turn % len(ARM_DASHES)]
        marker = ARM_MARKERS[num_curves % len(ARM_MARKERS)]
        num_curves += 1
        labels = [point.num_labeled for point in curve]
        (handles[arm],) = axes.plot(labels, means, color=color, linestyle=dashes, marker=marker)
        axes.fill_between(labels, lows, highs, color=color, alpha=0.13, linewidth=0)
    if not any_defined(curves):
        blank(axes, NOT_DEFINED)
        return
    if reference is not None:
        handles[reference[1]] = axes.axhline(reference[0], color=INK, linewidth=0.9, dashes=(1, 2))
    axes.set_xlim(*_widened(*axes.get_xlim()))
    low, high = _widened(*axes.get_ylim()) if metric.is_count else axes.get_ylim()
    axes.set_ylim(low, high)
    if metric.top is not None:  # the interval of two seeds can leave the possible and flatten every curve
        high = min(high, 1.02 * metric.top)
        axes.set_ylim(max(low, -0.02 * high), high)
    elif low < 0:
        axes.set_ylim(bottom=0)
    if missing:
        note = f"{NOT_DEFINED}: " + ", ".join(shortened(missing, _LONGEST))
        if len(note) > 60:
            note = f"{NOT_DEFINED} for {len(missing)} of {len(curves)} arms"
        ground = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1}
        place = {"transform": axes.transAxes, "ha": "right", "va": "bottom"}
        axes.text(1, 0.02, note, color=GRAY, fontsize=8, bbox=ground, **place)
    if num_curves == 0:  # nothing but horizontal lines, which lie at no number of labels
        axes.set(xticks=[], xlabel="")
    elif has_percent:
        _draw_percent(axes, curves)


def _widened(low: float, high: float) -> tuple[float, float]:
    """Gives a count that hardly changes room for the whole numbers around it."""
    middle = (low + high) / 2
    return min(low, middle - 1), max(high, middle + 1)


def any_defined(curves: Curves) -> bool:
    """Tells whether there is anything to draw."""
    return any(point.interval.mean is not None for curve in curves.values() for point in curve)


def _draw_percent(axes: Any, curves: Curves) -> None:
    """The pool has the same size in every round, so the share of it is a straight scale."""
    from matplotlib.ticker import MaxNLocator

    sizes = [
        point.num_labeled / point.labeled_fraction
        for curve in curves.values()
        for point in curve
        if point.labeled_fraction
    ]
    if not sizes:
        return
    scale = 100 / sizes[0]
    above = axes.secondary_xaxis("top", functions=(lambda labels: labels * scale, lambda share: share / scale))
    above.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    above.xaxis.set_major_formatter("{x:g} %")
    above.tick_params(labelsize=8, labelcolor=GRAY, color=GRAY, length=2, pad=1)
    above.spines["top"].set_visible(False)


def curves_csv(curves_of: dict[str, Curves]) -> str:
    """Writes the numbers behind a figure: one line for each metric, arm and round; empty where not defined."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["metric", "arm", "round", "num_labeled", "labeled_fraction", "mean", "low", "high", "seeds"])
    for metric, arms in curves_of.items():
        for arm, curve in arms.items():
            for point in curve:
                writer.writerow([metric, arm, point.round, point.num_labeled, point.labeled_fraction, *point.interval])
    return text.getvalue()


def legend_names(arms: list[str], full_arms: frozenset[str]) -> list[str]:
    """Returns the arms as a legend calls them."""
    names = zip(arms, shortened(arms, _LONGEST), strict=True)
    return [name + (" (every label)" if arm in full_arms else "") for arm, name in names]


def legend_title(curves_of: dict[str, Curves]) -> str:
    """Says what lines and bands are; the number of seeds is the largest behind any point drawn."""
    nums = (point.interval.num for arms in curves_of.values() for curve in arms.values() for point in curve)
    num_seeds = max(nums, default=0)
    return f"mean and 95 % interval over {num_seeds} seeds" if num_seeds > 1 else "one seed, no interval"


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
