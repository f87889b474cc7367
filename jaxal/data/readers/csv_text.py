"""The text of a CSV file to rows of cells, with what is wrong with its form."""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jaxal.data.problems import Problem
from jaxal.errors import DataError

__all__ = ["Row", "Table", "read_header", "read_table"]

DELIMITERS = ",;\t"
# A header is looked for in so many bytes.
HEADER_BYTES = 2**16
# A line with its end, or the last one without; csv must be given the ends as they are.
LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")


class Row(NamedTuple):
    """One row."""

    line: int  # where it begins, from 1
    cells: list[str]


class Table(NamedTuple):
    """A CSV file; every row has as many cells as the header."""

    path: Path
    header: list[str]
    rows: list[Row]
    problems: list[Problem]  # rows that have not


def read_table(path: Path, given: str, expected: tuple[str, ...], setting: str = "data.source.path") -> Table:
    """Read a CSV file: UTF-8 with or without a byte order mark, any line ends, empty lines ignored, cells stripped.

    Args:
        path: of the file, absolute.
        given: the path as the user wrote it.
        expected: names in the header, in any case; the delimiter is that of , ; and tab which shows the most of them.
        setting: that gives the path, for refusals.

    Raises:
        DataError: no such file, not UTF-8, NUL bytes, broken quotes, no header, or a header that has a name twice.
    """
    text = _read_text(path, given, setting)
    delimiter = max(DELIMITERS, key=lambda each: _fit(text, each, expected))
    try:
        rows = list(_rows(text, delimiter))
    except csv.Error as error:
        advice = "Is a quotation mark left open, or not doubled within its cell?"
        raise DataError(f"{setting}: {path}: {error}. {advice}") from error
    if not rows:
        raise DataError(f"{setting}: {path} is empty; expected a header such as {','.join(expected)}")
    header = rows[0].cells
    doubled = [name for name, count in Counter(header).items() if name and count > 1]
    if doubled:
        raise DataError(f"{setting}: {path} has several columns {', '.join(map(repr, doubled))}; rename them")
    good, problems = [], []
    for row in rows[1:]:
        if len(row.cells) == len(header):
            good.append(row)
        else:
            few = "few" if len(row.cells) < len(header) else "many"
            problems.append(Problem(f"line {row.line}", f"too {few} cells (the header has {len(header)})"))
    return Table(path, header, good, problems)


def read_header(path: Path, expected: tuple[str, ...]) -> tuple[str, ...]:
    """Read the names in the first line of what may be a CSV file; none where it cannot be one.

    Args:
        path: of the file.
        expected: as of `read_table`.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(HEADER_BYTES)
    except OSError:
        return ()
    text = start.decode("utf-8-sig", errors="replace")
    lines = text.splitlines(keepends=True)
    if "\0" in text or not lines:
        return ()
    if len(start) == HEADER_BYTES:  # what was cut off may be half of a quoted cell
        text = next((line for line in lines if line.strip()), "")
    try:
        delimiter = max(DELIMITERS, key=lambda each: _fit(text, each, expected))
        return tuple(next(_rows(text, delimiter)).cells)
    except (csv.Error, StopIteration):
        return ()


def _read_text(path: Path, given: str, setting: str) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(
            f"{setting} = {given!r}: no such file; looked at {path} (current directory {Path.cwd()})"
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"{setting} = {given!r}: cannot read {path}: {error}") from error
    nul = data.find(b"\0")
    if nul >= 0 and data[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{setting}: {path} has NUL bytes, the first in line {_line(data, nul)}: not a text file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{setting}: {path} is not UTF-8 text (line {_line(data, error.start)}). Save it as CSV UTF-8."
        ) from error


def _line(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


def _fit(text: str, delimiter: str, expected: tuple[str, ...]) -> tuple[int, int]:
    """Count the expected names in the header as it reads with a delimiter, then its cells."""
    try:
        cells = next(_rows(text, delimiter)).cells
    except (csv.Error, StopIteration):
        return 0, 0
    names = {name.casefold() for name in expected}
    return len({cell.casefold() for cell in cells} & names), len(cells)


def _rows(text: str, delimiter: str) -> Iterator[Row]:
    # Not from a StringIO, which takes four bytes per character; and one object for all cells that are the same.
    reader = csv.reader((found[0] for found in LINE.finditer(text)), delimiter=delimiter, strict=True)
    same: dict[str, str] = {}
    line = 1
    try:
        for cells in reader:
            stripped = [same.setdefault(cell, cell) for cell in map(str.strip, cells)]
            if any(stripped):
                yield Row(line, stripped)
            line = reader.line_num + 1
    except csv.Error as error:
        raise csv.Error(f"line {line}: {error}") from error
