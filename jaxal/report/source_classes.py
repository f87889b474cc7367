"""The figure of a source model's predicted classes: how evenly it spreads the pool over them."""

from collections.abc import Sequence
from typing import Any

from jaxal.report.drawing import ARM_COLORS, GRID, PANEL_HEIGHT, PANEL_WIDTH, draw_figure
from jaxal.report.pictures import Picture
from jaxal.report.wording import number, percent

__all__ = ["KEY", "source_classes_csv", "source_classes_picture"]

KEY = "source_classes"


def source_classes_picture(shares: Sequence[float]) -> Picture:
    """Draws the shares of the pool's images by the rank of the source class that is predicted for them.

    Args:
      shares: of at least one class, descending.
    """

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.set_title("Images per predicted source class", loc="left", fontsize=10)
        axes.plot(range(1, len(shares) + 1), shares, color=ARM_COLORS[0], drawstyle="steps-mid")
        axes.set(xlabel="rank of the source class", ylabel="share of the pool", ylim=(0, None))
        axes.grid(axis="y", color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)

    predicted = sum(each > 0 for each in shares)
    caption = (
        f"The pool's images by the class that the source model predicts for them (first seed): {number(predicted)} of"
        f" its {number(len(shares))} classes, {percent(shares[0])} of the images in the largest."
    )
    svg = draw_figure(paint, PANEL_WIDTH, PANEL_HEIGHT)
    return Picture(KEY, svg, source_classes_csv(shares), caption, caption)


def source_classes_csv(shares: Sequence[float]) -> str:
    r"""Writes a line for each class, rank from 1; shares by repr.

    >>> source_classes_csv([0.75, 0.25])
    'rank,share\n1,0.75\n2,0.25\n'
    """
    return "rank,share\n" + "".join(f"{rank},{float(share)!r}\n" for rank, share in enumerate(shares, start=1))
