"""Figures of what was asked: class shares of every query, and minority found per 100 labels."""

from typing import Any

from jaxal.evaluation.learning_curve import learning_curves
from jaxal.report.asked import (
    AskedRound,
    ShownClasses,
    asked_classes_csv,
    asked_rounds,
    minority_rate_rows,
    shown_classes,
)
from jaxal.report.curve_figures import curve_picture
from jaxal.report.curve_panel import Metric
from jaxal.report.drawing import INK, PANEL_WIDTH, add_legend, blank, draw_figure, legend_height
from jaxal.report.inputs import ReportInputs
from jaxal.report.pictures import Picture, data_uri
from jaxal.report.wording import number, share, shortened

__all__ = ["arm_panels", "asked_classes_picture", "class_colors", "has_minority_counts", "minority_rate_picture"]

_MINORITY, _MINORITY_INK = "#D55E00", "#B34700"
# Neighbors in a stack differ in lightness, so that they part in gray print too.
_CLASSES = ("#B9C7D4", "#6F8FAF", "#D7DFC4", "#8DA36B", "#E5D9B6", "#B59A5B", "#D3C5DE", "#8D76A6", "#C9E1E0")
_OTHER = "#E4E4E4"
_LEAST_SHARE = 0.09  # of a bar, below which its count does not fit in
_MOST_BARS = 8  # beyond which only the minority's counts fit, up to _MOST_COUNTED
_MOST_COUNTED = 13
_LONGEST = 40  # letters of a panel's title


def class_colors(shown: ShownClasses) -> tuple[str, ...]:
    """Returns the color of each class shown: the minority stands out."""
    rest = [
        _OTHER if len(group) > 1 else _CLASSES[place % len(_CLASSES)] for place, group in enumerate(shown.groups[1:])
    ]
    return (_MINORITY, *rest)


def has_minority_counts(arms: dict[str, list[AskedRound]]) -> bool:
    """Tells whether there are bars and those of every arm leave room for the minority's counts above them."""
    return 0 < max(map(len, arms.values()), default=0) < _MOST_COUNTED


def asked_classes_picture(inputs: ReportInputs) -> Picture:
    """Draws all arms side by side, with a legend, for the file."""
    arms, shown = asked_rounds(inputs), shown_classes(inputs)
    names = shortened(shown.names, 24)
    titles = shortened(list(arms), _LONGEST)
    columns = min(3, max(1, len(arms)))
    lines = max(1, -(-len(arms) // columns))
    width = 3.2 * columns

    def paint(figure: Any) -> None:
        from matplotlib.patches import Patch

        axes = figure.subplots(lines, columns, squeeze=False).flatten()
        for panel, title, rounds in zip(axes, titles, arms.values(), strict=False):
            _draw_shares(panel, inputs, title, rounds, shown, has_minority_counts(arms))
        for panel in axes[len(arms) :]:
            blank(panel, "" if arms else "nothing asked")
        handles = [Patch(facecolor=color) for color in class_colors(shown)]
        add_legend(figure, handles, names, width)

    svg = draw_figure(paint, width, 2.4 * lines + legend_height(names, width))
    return Picture("asked_classes", svg, asked_classes_csv(inputs), "Classes of what was asked", "")


def arm_panels(inputs: ReportInputs) -> list[tuple[str, str]]:
    """Draws one panel for each arm, for the page, where they wrap; the legend stands beside them once.

    Returns:
      The address of each panel and its words.
    """
    shown, arms = shown_classes(inputs), asked_rounds(inputs)
    panels = []
    for title, (arm, rounds) in zip(shortened(list(arms), _LONGEST), arms.items(), strict=True):

        def paint(figure: Any, title: str = title, rounds: list[AskedRound] = rounds) -> None:
            _draw_shares(figure.subplots(), inputs, title, rounds, shown, has_minority_counts(arms))

        svg = draw_figure(paint, PANEL_WIDTH, 2.4)
        told = [
            f"round {each.round}: {number(each.counts[inputs.minority])} of {number(sum(each.counts))}"
            for each in rounds
        ]
        alt = f"{arm}, answers of class {inputs.minority_name}: {'; '.join(told) or 'nothing asked yet'}."
        panels.append((data_uri(svg, "image/svg+xml"), alt))
    return panels


def _draw_shares(
    axes: Any, inputs: ReportInputs, title: str, rounds: list[AskedRound], shown: ShownClasses, is_counted: bool
) -> None:
    """Draws a bar of class shares for the pool and for each round, counts inside where they fit."""
    axes.set_title(title, loc="left", fontsize=10, pad=16)
    pool = inputs.part_counts.get("pool", {})
    bars = [("pool", tuple(float(pool.get(name, 0)) for name in inputs.class_names))]
    bars += [(str(each.round), each.counts) for each in rounds]
    if not rounds:
        blank(axes, "nothing asked")
        return
    positions = [0.0, *(place + 1.4 for place in range(len(rounds)))]
    bottoms = [0.0] * len(bars)
    for group, color in zip(shown.groups, class_colors(shown), strict=True):
        counts = [sum(bar[index] for index in group) for _, bar in bars]
        shares = [count / sum(bar) if sum(bar) else 0.0 for count, (_, bar) in zip(counts, bars, strict=True)]
        axes.bar(positions, shares, 0.84, bottom=bottoms, color=color, edgecolor="white", linewidth=0.4)
        for x, part, bottom, count in zip(positions, shares, bottoms, counts, strict=True):
            words = number(count) if count < 1000 else f"{count / 1000:.3g}k"
            if color == _MINORITY and is_counted:
                size = 8
                if len(bars) > _MOST_BARS:
                    size, words = 7, f"{count:.0f}" if 10 <= count < 1000 else words
                axes.text(x, 1.015, words, ha="center", va="bottom", fontsize=size, weight="bold", color=_MINORITY_INK)
            elif color != _MINORITY and part >= _LEAST_SHARE and len(bars) <= _MOST_BARS:
                axes.text(x, bottom + part / 2, words, ha="center", va="center", fontsize=7, color=INK)
        bottoms = [bottom + part for bottom, part in zip(bottoms, shares, strict=True)]
    # Of many rounds every second, third … is named.
    step = -(-len(rounds) // 10)
    named = [0, *range(1, len(bars), step)]
    axes.set_xticks([positions[place] for place in named], [bars[place][0] for place in named])
    axes.set_xlabel("round" + ("; pool of the first seed" if inputs.sizes_vary else ""), labelpad=1)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    axes.tick_params(length=2)


def minority_rate_picture(inputs: ReportInputs) -> Picture:
    """Draws minority found per 100 labels of each query, beside the pool's own rate."""
    pool = inputs.part_counts.get("pool", {})
    total = sum(pool.values())
    rate = 100 * pool.get(inputs.minority_name, 0) / total if total else None
    reference = None if rate is None else (rate, f"in the pool: {share(rate, 100, 1)}{inputs.of_first_seed}")
    metric = Metric("minority_per_100", "Minority per 100 labels of the query", top=100.0, decimals=1)
    curves = learning_curves(minority_rate_rows(inputs), "minority_per_100")
    caption = f"Images of class {inputs.minority_name} among 100 labels of each query."
    return curve_picture(metric, curves, frozenset(), reference=reference, caption=caption)
