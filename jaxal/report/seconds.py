"""Where the time went: seconds of fitting, embedding and choosing for each arm."""

import csv
import io
from typing import Any, NamedTuple

import numpy as np

from jaxal.evaluation.learning_curve import Row
from jaxal.report.drawing import ARM_COLORS, GRID, PANEL_WIDTH, add_legend, blank, draw_figure, legend_height
from jaxal.report.inputs import ReportInputs
from jaxal.report.pictures import Picture
from jaxal.report.wording import number, percent, shortened

__all__ = ["ArmSeconds", "acquisition_share", "arm_seconds", "seconds_picture"]

_PHASES = {"train": ARM_COLORS[0], "embed": ARM_COLORS[5], "acquire": ARM_COLORS[1]}


class ArmSeconds(NamedTuple):
    """Seconds over all rounds, mean over the seeds that have begun."""

    arm: str
    train: float
    embed: float
    acquire: float
    num_seeds: int

    @property
    def total(self) -> float:
        """All three."""
        return self.train + self.embed + self.acquire

    @property
    def acquisition(self) -> str:
        """The share of it that choosing took, in percent."""
        return percent(self.acquire / self.total) if self.total else ""


def arm_seconds(rows: list[Row]) -> list[ArmSeconds]:
    """Sums each arm's seconds, in order of first appearance; an empty cell (round 0 asks nothing) adds nothing.

    Seeds without any number are left out, and so are arms.
    """
    sums: dict[str, dict[int, np.ndarray]] = {}
    for row in rows:
        spent = [row[f"seconds_{phase}"] for phase in _PHASES]
        if any(value is not None for value in spent):
            of_arm = sums.setdefault(row["arm"], {})
            of_arm[row["seed"]] = of_arm.get(row["seed"], 0.0) + np.array([value or 0.0 for value in spent])
    found = []
    for arm, of_seeds in sums.items():
        train, embed, acquire = np.mean(list(of_seeds.values()), axis=0).tolist()
        found.append(ArmSeconds(arm, train, embed, acquire, len(of_seeds)))
    return found


def acquisition_share(rows: list[Row], seconds_trunk: float = 0.0) -> str:
    """Says in a line how much of the time of a whole study choosing took; of arms that trained once, nothing counts.

    Args:
      rows: Typed rows of results.csv.
      seconds_trunk: What a frozen trunk's one pass over the images took, which is in no row; it counts as embedding.
    """
    asked = [row for row in rows if row["seconds_acquire"] is not None]
    spent = {phase: sum(row[f"seconds_{phase}"] or 0.0 for row in asked) for phase in _PHASES}
    spent["embed"] += seconds_trunk
    total = sum(spent.values())
    if not asked or not total:
        return "No query has been answered: nothing was chosen."
    once = f" ({seconds_trunk:.1f} s of it the frozen trunk's one pass)" if seconds_trunk else ""
    return (
        f"Choosing took {percent(spent['acquire'] / total)} of the {number(total)} s of the {number(len(asked))} rounds"
        f" that asked ({spent['acquire']:.1f} s); embedding the pool took {percent(spent['embed'] / total)}{once},"
        f" training {percent(spent['train'] / total)}."
    )


def seconds_picture(inputs: ReportInputs) -> Picture:
    """Draws a stacked bar for each arm."""
    arms = arm_seconds(inputs.rows)
    phases = list(_PHASES)

    def paint(figure: Any) -> None:
        from matplotlib.patches import Patch

        axes = figure.subplots()
        axes.set_title("Seconds for each seed, all rounds", loc="left", fontsize=10)
        if not arms:
            blank(axes, "nothing finished")
            return
        left = np.zeros(len(arms))
        places = list(range(len(arms)))
        for phase, color in _PHASES.items():
            widths = np.array([getattr(each, phase) for each in arms])
            axes.barh(places, widths, 0.62, left=left, color=color, edgecolor="white", linewidth=0.5)
            left = left + widths
        axes.set_yticks(places, shortened([each.arm for each in arms], 18))
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel("seconds")
        add_legend(figure, [Patch(facecolor=color) for color in _PHASES.values()], phases, PANEL_WIDTH)

    height = 0.9 + 0.28 * max(2, len(arms)) + legend_height(phases, PANEL_WIDTH, has_title=False)
    svg = draw_figure(paint, PANEL_WIDTH, height)
    told = "; ".join(f"{each.arm} {each.total:.1f} s" for each in arms) or "nothing finished yet"
    caption = f"{'Mean over seeds, all' if len(inputs.seeds) > 1 else 'All'} rounds together."
    caption += " Compiling the network is in the time of what ran first, compiling the choice in none."
    return Picture("seconds", svg, _csv(arms), caption, f"Seconds for each seed: {told}.")


def _csv(arms: list[ArmSeconds]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*ArmSeconds._fields[:-1], "seeds"))
    writer.writerows([[each.arm, *(f"{value:.3f}" for value in each[1:4]), each.num_seeds] for each in arms])
    return text.getvalue()
