"""A CSV file with one row per image: its file, its class, and what else is known of it."""

import difflib
import functools
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from jaxal.config.data import CSVConfig
from jaxal.data.decoding import EXTENSIONS
from jaxal.data.host_memory import without_cycle_search
from jaxal.data.listeners import OnImages
from jaxal.data.problems import Problem, shown
from jaxal.data.readers.csv_text import Row, Table, read_table
from jaxal.data.readers.image_files import make_source
from jaxal.data.records import PART_NAMES, Cells, ImageRecord, LabeledFiles
from jaxal.data.source import TRAIN, ImageSource
from jaxal.errors import DataError

__all__ = ["PARTS", "find_csv", "further_columns", "nearest_column", "order_classes", "read_csv"]

PARTS = {**PART_NAMES, "pool": TRAIN}
# A column with a longer cell is text to read, not a fact to select by; as an array it would take this for every row.
LONGEST_CELL = 256


class _Roles(NamedTuple):
    """The names of the columns that are read."""

    image: str
    label: str
    group: str | None
    split: str | None


def read_csv(config: CSVConfig, on_images: OnImages | None = None) -> ImageSource:
    """Read a CSV file of images, classes and, where there are such columns, groups and parts.

    The file is UTF-8 text, with commas, semicolons or tabs, as its first line shows. Cells are stripped; nothing else
    is made of them: NA is a class, 01 and 1 are two. Names in the image column are absolute or relative to
    config.images; the ending of an image file may be left out. Classes are in the order of their numbers if all are
    whole numbers, else of their names. Every other column is kept in `ImageSource.columns`.

    Args:
        config: the file, its columns, size and color, how many image files may be left out.
        on_images: told how far decoding is.

    Raises:
        DataError: there is no such file, it is no such text or has not the columns; rows are ragged, without image,
            label or group, of an unknown part, or of an image that another row has (all such rows in one refusal); or
            more image files than max_bad cannot be used.
    """
    found, roles = _find(config)
    unread = " and ".join(
        f'data.source.{name}_column = ""' for name in ("group", "split") if getattr(roles, name) is not None
    )
    advice = "Correct these lines; none was used." + (f" {unread} leaves such a column unread." if unread else "")
    return make_source(found, config, advice=advice, on_images=on_images)


def find_csv(config: CSVConfig) -> LabeledFiles:
    """Find the images of a CSV file as `read_csv` does, without opening any; they are in the order of the rows.

    Raises:
        DataError: there is no such file, it is no such text, has not the columns, or no rows.
    """
    return _find(config)[0]


@without_cycle_search()
def _find(config: CSVConfig) -> tuple[LabeledFiles, _Roles]:
    path = Path(config.path).expanduser().absolute()
    table = read_table(path, config.path, (config.image_column, config.label_column))
    roles = _roles(table, config)
    folder = Path(config.images).expanduser().absolute() if config.images else path.parent
    kept, notes = further_columns(table, roles)
    problems = list(table.problems)
    records = list(_records(table, roles, kept, folder, problems))
    if not records and not problems:
        raise DataError(f"data.source.path: {shown(str(path))} has a header but no rows")
    class_names = order_classes({record.label for record in records})
    return LabeledFiles("label table", records, class_names, tuple(problems), notes), roles


def _roles(table: Table, config: CSVConfig) -> _Roles:
    wanted = {"image_column": config.image_column, "label_column": config.label_column}
    wanted |= {"group_column": config.group_column} if config.group_column else {}
    wanted |= {"split_column": config.split_column} if config.split_column else {}
    columns = [name for name in table.header if name]
    missing = [
        f"data.source.{setting} = {name!r}: no such column{nearest_column(name, columns)}"
        for setting, name in wanted.items()
        if name not in columns
    ]
    if missing:
        raise DataError(
            "\n".join([*missing, f"{shown(str(table.path))} has the columns {', '.join(map(repr, columns))}"])
        )
    if len(set(wanted.values())) < len(wanted):
        named = ", ".join(f"{setting} = {name!r}" for setting, name in wanted.items())
        raise DataError(f"data.source: each of {named} needs a column of its own")
    free = set(columns) - set(wanted.values())
    return _Roles(
        config.image_column,
        config.label_column,
        _optional(config.group_column, "group", free),
        _optional(config.split_column, "split", free),
    )


def _optional(setting: str | None, usual: str, free: set[str]) -> str | None:
    """Return the column of that name, the usual one where nothing is set, none where the setting is empty."""
    return (setting or None) if setting is not None else usual if usual in free else None


def nearest_column(name: str, columns: Iterable[str]) -> str:
    """Say which column has a name most like this one, if any has."""
    lower = {column.lower(): column for column in columns}
    matches = difflib.get_close_matches(name.lower(), list(lower), n=1, cutoff=0.5)
    return f" (nearest: {lower[matches[0]]!r})" if matches else ""


def further_columns(table: Table, roles: Collection[str | None]) -> tuple[list[str], tuple[str, ...]]:
    """Name the columns to keep besides those in use, and say which are not kept."""
    kept, notes = [], []
    for position, name in enumerate(table.header):
        longest = max((len(row.cells[position]) for row in table.rows), default=0)
        if not name:
            notes.append("a column without a name was not kept")
        elif name not in roles and longest > LONGEST_CELL:
            notes.append(f"column {name!r} was not kept: cells of up to {longest} characters, {LONGEST_CELL} are kept")
        elif name not in roles:
            kept.append(name)
    return kept, tuple(notes)


def _records(
    table: Table, roles: _Roles, kept: list[str], folder: Path, problems: list[Problem]
) -> Iterator[ImageRecord]:
    """Make records of the rows and put down what is wrong with them."""
    find, real_path = _finder(folder), _real_path_finder()
    seen: dict[str, tuple[int, str]] = {}
    all_positions = {column: position for position, column in enumerate(table.header)}
    positions = {column: all_positions[column] for column in kept}
    wanted = {"image": roles.image, "label": roles.label, "group": roles.group}
    for row in table.rows:
        cells = Cells(all_positions, row.cells)
        name, label = cells[roles.image], cells[roles.label]
        wrong = [Problem(_line(row), f"no {what}") for what, column in wanted.items() if column and not cells[column]]
        part = None
        if roles.split:
            part = PARTS.get(cells[roles.split].lower())
            if part is None:
                known = ", ".join(PARTS)
                wrong.append(Problem(f"{_line(row)} ({cells[roles.split]!r})", f"split is none of {known}"))
        file, ambiguous = find(name) if name else ("", False)
        if ambiguous:
            wrong.append(Problem(f"{_line(row)} ({name})", "image name that several files have with an ending"))
        if name:
            line, other = seen.setdefault(real_path(file), (row.line, label))
            if line != row.line:
                kind = "image of an earlier row" + (", with another label" if label != other else "")
                wrong.append(Problem(f"{_line(row)} ({name}, line {line})", kind))
        problems.extend(wrong)
        if not wrong:
            group = cells[roles.group] if roles.group else None
            yield ImageRecord(name, file, label, group, part, Cells(positions, row.cells))


def _finder(folder: Path) -> Callable[[str], tuple[str, bool]]:
    """Make the function that finds a name's file, with the ending left out or not, and says if several could be it."""

    @functools.cache
    def by_stem(place: str) -> dict[str, list[str]]:
        stems: dict[str, list[str]] = {}
        try:
            files = sorted(os.listdir(place))
        except (OSError, ValueError):
            return stems
        for file in files:
            stem, ending = os.path.splitext(file)
            if ending.lower() in EXTENSIONS:
                stems.setdefault(stem, []).append(file)
        return stems

    def find(name: str) -> tuple[str, bool]:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            return path, False
        place, stem = os.path.split(path)
        files = by_stem(place).get(stem, [])
        return (os.path.join(place, files[0]) if files else path), len(files) > 1

    return find


def _real_path_finder() -> Callable[[str], str]:
    """Make os.path.realpath of many files in few folders: each folder is looked up once, not with each file."""
    real_folder = functools.cache(os.path.realpath)

    def real_path(file: str) -> str:
        place, name = os.path.split(file)
        if name in ("", os.curdir, os.pardir) or os.path.islink(file):
            return os.path.realpath(file)
        return os.path.join(real_folder(place), name)

    return real_path


def _line(row: Row) -> str:
    return f"line {row.line}"


def order_classes(labels: Iterable[str]) -> tuple[str, ...]:
    """Put class names in the order of their numbers if all are whole numbers (2 or 2.0), else of their names."""
    names = set(labels)
    if all(re.fullmatch(r"[+-]?[0-9]{1,18}(\.0*)?", name) for name in names):
        return tuple(sorted(names, key=lambda name: (int(name.partition(".")[0]), name)))
    return tuple(sorted(names))
