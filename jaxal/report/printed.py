"""The figures that the papers print, as shipped with the package."""

import csv
import difflib
import functools
import importlib.resources
from collections.abc import Mapping
from typing import NamedTuple

from jaxal.errors import ConfigError

__all__ = ["PrintedTable", "printed_table", "printed_tables"]


class PrintedTable(NamedTuple):
    """A table of a paper; a cell that it leaves blank is not among the values."""

    rows: tuple[str, ...]  # headings, in order
    columns: tuple[str, ...]
    values: Mapping[tuple[str, str], float]  # (row, column) -> the figure as printed, percent where it prints percent
    decimals: Mapping[str, int]  # column -> the most digits after the point that any of its figures has


def printed_table(paper: str, table: str) -> PrintedTable:
    """Looks a table up.

    Args:
      paper: Its short name.
      table: Its number in the paper and what it shows.

    Raises:
      ConfigError: there is no such table, with the nearest and all there are.

    >>> printed_table("Aggarwal", "1 datasets").columns
    ('classes', 'images', 'mean', 'std', 'ir')
    """
    tables = printed_tables()
    if (paper, table) in tables:
        return tables[paper, table]
    names = {f"{each!r}, {of!r}".lower(): f"{each!r}, {of!r}" for each, of in tables}
    matches = difflib.get_close_matches(f"{paper!r}, {table!r}".lower(), names, n=1, cutoff=0.5)
    hint = f" (did you mean {names[matches[0]]}?)" if matches else ""
    raise ConfigError(f"paper {paper!r} has no table {table!r}{hint}; paper, table can be {'; '.join(names.values())}")


@functools.cache
def printed_tables() -> Mapping[tuple[str, str], PrintedTable]:
    """Reads every table that is shipped, by (paper, table), in order; headings in order of first appearance."""
    text = importlib.resources.files("jaxal.report").joinpath("paper_tables.csv").read_text(encoding="utf-8")
    cells: dict[tuple[str, str], dict[tuple[str, str], str]] = {}
    for row in csv.DictReader(text.splitlines()):
        cells.setdefault((row["paper"], row["table"]), {})[row["row"], row["column"]] = row["value"]
    return {name: _table(of_table) for name, of_table in cells.items()}


def _table(cells: Mapping[tuple[str, str], str]) -> PrintedTable:
    decimals: dict[str, int] = {}
    for (_, column), text in cells.items():
        decimals[column] = max(decimals.get(column, 0), len(text.partition(".")[2]))
    values = {place: float(text) for place, text in cells.items()}
    return PrintedTable(tuple(dict.fromkeys(row for row, _ in cells)), tuple(decimals), values, decimals)
