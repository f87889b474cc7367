"""A table of ours beside a paper's: its figures, as CSV, as Markdown and in the words of the report."""

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

from jaxal.evaluation.learning_curve import Interval
from jaxal.report.wording import estimate, number, visible

__all__ = ["LaidCell", "LaidTable", "ShownCell", "ShownRow", "ShownTable", "markdown", "tables_text"]

_COLUMNS = ("table", "row", "column", "paper", "ours", "low", "high", "seeds", "difference")


class ShownCell(NamedTuple):
    """A cell in words; empty where there is nothing."""

    ours: str  # "0.912 ± 0.013"
    paper: str
    difference: str  # with its sign


class ShownRow(NamedTuple):
    """A row in words."""

    heading: str
    is_quoted: bool  # marked so: it has the paper's figures alone, and its heading does not say so itself
    cells: tuple[ShownCell, ...]


class ShownTable(NamedTuple):
    """A table in words."""

    title: str
    source: str  # "CB-DAL, table 2 ISIC2020 AUROC"; empty without a paper
    columns: tuple[str, ...]
    rows: tuple[ShownRow, ...]
    foot: tuple[str, ...]  # lines: what is what, then the table's note


class LaidCell(NamedTuple):
    """A figure that the paper prints, ours, and the difference."""

    paper: float | None  # as printed
    ours: Interval | None  # over seeds, on the paper's scale; None: no figure of ours is meant, or none is there yet
    difference: float | None  # mean of ours minus the paper's
    seeds: int  # that have begun the runs which ours needs; ours.num of them define it


class LaidTable(NamedTuple):
    """Ours beside the paper's, in its rows and columns."""

    title: str
    paper: str
    table: str
    note: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[LaidCell, ...], ...]  # by row, then column
    quoted: frozenset[str]  # rows for which no figure of ours is meant
    decimals: tuple[int, ...]  # shown, by column

    @property
    def shown(self) -> ShownTable:
        """The table in words."""
        return ShownTable(
            self.title,
            f"{self.paper}, table {self.table}" if self.paper else "",
            self.columns,
            tuple(
                ShownRow(
                    row,
                    row in self.quoted and "quoted" not in row.lower(),
                    tuple(_shown_cell(cell, digits) for cell, digits in zip(cells, self.decimals, strict=True)),
                )
                for row, cells in zip(self.rows, self.cells, strict=True)
            ),
            tuple(_foot(self)),
        )


def tables_text(laid: Sequence[LaidTable]) -> str:
    """Writes every cell of the tables as CSV: table,row,column,paper,ours,low,high,seeds,difference.

    `ours` is a mean, low and high its 95 % interval, seeds how many define it. Floats by repr; empty where there is
    none; lines end with LF.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for table in laid:
        for row, cells in zip(table.rows, table.cells, strict=True):
            for column, cell in zip(table.columns, cells, strict=True):
                ours = cell.ours or Interval(None, None, None, 0)
                values = (cell.paper, ours.mean, ours.low, ours.high)
                place = (table.title, row, column)
                writer.writerow([*place, *map(_cell_text, values), ours.num, _cell_text(cell.difference)])
    return text.getvalue()


def markdown(laid: LaidTable) -> str:
    """Writes a table as Markdown: its title, cells "ours ± half (paper, difference)", and what is what below it."""
    shown = laid.shown
    lines = [["", *shown.columns], [":--", *(["--:"] * len(shown.columns))]]
    for row in shown.rows:
        heading = f"{row.heading} (quoted)" if row.is_quoted else row.heading
        lines.append([heading, *(_in_brackets(cell) for cell in row.cells)])
    body = "".join(f"| {' | '.join(map(_safe, cells))} |\n" for cells in lines)
    source = f" (beside {shown.source})" if shown.source else ""
    return f"**{visible(shown.title)}**{source}\n\n{body}\n" + "".join(f"{visible(line)}\n" for line in shown.foot)


def _safe(text: str) -> str:
    return visible(text).replace("|", "\\|")


def _cell_text(value: float | None) -> str:
    return "" if value is None else repr(float(value))


def _shown_cell(cell: LaidCell, decimals: int) -> ShownCell:
    # Adding 0.0 turns what rounds to a negative zero into zero.
    signed = "" if cell.difference is None else f"{round(cell.difference, decimals) + 0.0:+,.{decimals}f}"
    return ShownCell(
        "" if cell.ours is None else estimate(cell.ours, cell.seeds, decimals),
        "" if cell.paper is None else f"{cell.paper:,.{decimals}f}",
        signed,
    )


def _in_brackets(cell: ShownCell) -> str:
    brackets = ", ".join(text for text in (cell.paper, cell.difference) if text)
    return " ".join(text for text in (cell.ours, f"({brackets})" if brackets else "") if text)


def _foot(laid: LaidTable) -> list[str]:
    """Say what each figure is, and what it is not."""
    nums = sorted({cell.ours.num for cells in laid.cells for cell in cells if cell.ours is not None and cell.ours.num})
    if not nums:
        told = "Of ours there is no figure yet."
    elif nums == [1]:
        told = "Ours: one seed, so there are no intervals."
    else:
        span = number(nums[0]) if len(nums) == 1 else f"{number(nums[0])} to {number(nums[-1])}"
        alone = "; a figure of one seed has none" if nums[0] == 1 else ""
        told = f"Ours: mean over {span} seeds ± half of the 95 % Student-t interval{alone}."
    if laid.paper:
        told += " Then the single figure that the paper prints, and ours minus it; a difference is no test."
    if any(row in laid.quoted and "quoted" not in row.lower() for row in laid.rows):
        told += " Quoted: the paper's figures alone."
    return [told, *([laid.note] if laid.note else [])]
