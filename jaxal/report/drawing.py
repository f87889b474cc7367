"""How every figure looks, and how it becomes bytes that do not depend on the reader's settings."""

import io
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

# Okabe and Ito's palette without its yellow, its orange and sky blue darkened: at least 3:1 on white, and apart in
# every color vision. Markers differ too, for print; where colors come again, dashes differ.
ARM_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#804D00", "#0091F2", "#000000")
ARM_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
ARM_DASHES = ("-", (0, (2, 1)), (0, (0.7, 0.7)), (0, (3, 1, 0.7, 1)))
FULL_DASHES = ((4, 2), (6, 2, 1, 2), (8, 3))
GRAY = "#666666"
GRID = "#E5E5E5"
INK = "#222222"
PANEL_WIDTH, PANEL_HEIGHT = 4.0, 2.75  # inches of 96 px: a single panel is legible on a telephone as it is
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "jaxal",  # element ids otherwise change with every drawing
    "svg.fonttype": "path",  # looks the same where the font is missing
    "text.parse_math": False,  # a name may hold a dollar sign
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.0,
}


def draw_figure(paint: Callable[[Any], None], width: float, height: float) -> bytes:
    """Draws one figure as SVG; equal paints give equal bytes, whatever matplotlibrc says.

    Args:
      paint: called with an empty matplotlib figure.
      width: inches.
      height: inches.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box; the page says the name beside the figure as well.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        matplotlib.rcdefaults()  # a reader's own matplotlibrc must not change the bytes
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        paint(figure)
        _lay_out(figure)
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()


def _lay_out(figure: Any) -> None:
    """Moves the panels to where they stay: matplotlib would do it twice, and draw all for nothing in between."""
    figure.get_layout_engine().execute(figure)
    figure.set_layout_engine(None)


def add_legend(figure: Any, handles: Sequence[Any], names: Sequence[str], width: float, **settings: Any) -> Any:
    """Puts a legend below the panels, in as many columns as fit into `width` inches."""
    if not names:
        return None
    legend = figure.legend(
        handles,
        [str(place) for place in range(len(names))],
        loc="outside lower center",
        ncols=legend_columns(names, width),
        frameon=False,
        title_fontproperties={"size": 8},
        **{"columnspacing": 1.4, "handletextpad": 0.6, **settings},
    )
    legend.get_title().set_color(GRAY)
    # Matplotlib hides labels that begin with an underscore, which a name may.
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(name)
    return legend


def legend_columns(names: Iterable[str], width: float) -> int:
    """Counts the names that stand side by side: about 15.5 letters an inch, of which handle and gap take 8."""
    names = list(names)
    return max(1, min(len(names), int(15.5 * width) // (8 + max(map(len, names), default=0))))


def legend_height(names: Sequence[str], width: float, has_title: bool = True) -> float:
    """Inches that a legend takes."""
    lines = -(-len(names) // legend_columns(names, width)) if names else 0
    return 0.2 * (lines + has_title)


def blank(axes: Any, words: str) -> None:
    """Says in an empty panel why it is empty."""
    axes.set(xticks=[], yticks=[], xlabel="")
    axes.spines[:].set_visible(False)
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=GRAY)
