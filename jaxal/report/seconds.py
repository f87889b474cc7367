"""Where the time went: seconds of fitting, embedding and choosing for each arm."""

import csv
import io
from typing import Any, NamedTuple

import numpy as np

from jaxal.evaluation.learning_curve import Row
from jaxal.report.drawing import GRID, PANEL_WIDTH, add_legend, blank, draw_figure, legend_height
from jaxal.report.inputs import ReportInputs
from jaxal.report.pictures import Picture
from jaxal.report.wording import visible

__all__ = ["ArmSeconds", "arm_seconds", "seconds_picture"]

_CAPTION = "Mean over seeds, all rounds together. Compilation is in the time of what ran first."
_PHASES = {"train": "#0072B2", "embed": "#56B4E9", "acquire": "#D55E00"}


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


def arm_seconds(inputs: ReportInputs) -> list[ArmSeconds]:
    """Sums each arm's seconds; an empty cell (round 0 asks nothing) adds nothing. Arms without rows are left out."""
    found = []
    for arm in inputs.planned_rounds:
        of_seeds: dict[int, list[Row]] = {}
        for row in inputs.rows:
            if row["arm"] == arm:
                of_seeds.setdefault(row["seed"], []).append(row)
        if of_seeds:
            sums = [
                [sum(row[f"seconds_{phase}"] or 0.0 for row in rows) for phase in _PHASES] for rows in of_seeds.values()
            ]
            train, embed, acquire = np.mean(sums, axis=0).tolist()
            found.append(ArmSeconds(arm, train, embed, acquire, len(of_seeds)))
    return found


def seconds_picture(inputs: ReportInputs) -> Picture:
    """Draws a stacked bar for each arm."""
    arms = arm_seconds(inputs)
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
        axes.set_yticks(places, [visible(each.arm, 18) for each in arms])
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel("seconds")
        add_legend(figure, [Patch(facecolor=color) for color in _PHASES.values()], phases, PANEL_WIDTH)

    height = 0.9 + 0.28 * max(2, len(arms)) + legend_height(phases, PANEL_WIDTH, has_title=False)
    svg = draw_figure(paint, PANEL_WIDTH, height)
    told = "; ".join(f"{each.arm} {each.total:.1f} s" for each in arms) or "nothing finished yet"
    return Picture("seconds", svg, _csv(arms), _CAPTION, f"Seconds for each seed: {told}.")


def _csv(arms: list[ArmSeconds]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*ArmSeconds._fields[:-1], "seeds"))
    writer.writerows([[each.arm, *(f"{value:.3f}" for value in each[1:4]), each.num_seeds] for each in arms])
    return text.getvalue()
