"""Which columns of a table hold the image, the class, the group and the part, known by their usual names."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from jaxal.config.data import ImagesConfig
from jaxal.data.problems import Problem, shown
from jaxal.data.readers.column_names import by_names, plain_name
from jaxal.data.readers.csv_text import Table
from jaxal.data.readers.isic import benign_or_malignant, named_target
from jaxal.data.readers.one_hot import flag_columns, one_hot_columns, read_one_hot
from jaxal.data.records import PART_NAMES
from jaxal.errors import DataError

__all__ = [
    "SPELLINGS",
    "ReadLabels",
    "cells_of",
    "find_column",
    "group_columns",
    "image_columns",
    "part_column",
    "read_labels",
    "spelling_problems",
    "usual_names",
]

# In the order of preference where several name the same files; "id" may be a mere number.
IMAGE_NAMES = (
    *("image_name", "image_id", "isic_id", "image", "filename", "file_name", "file", "image_path", "file_path"),
    *("filepath", "path", "image_file", "image_filename", "img", "img_name", "img_path", "id"),
)
LABEL_NAMES = ("target", "label", "class", "dx", "benign_malignant")
# These stand beside a class more often than for one.
LATER_LABEL_NAMES = ("diagnosis", "diagnosis_1")
# These are it only where there are no columns of classes either.
LAST_LABEL_NAMES = ("category", "class_name", "label_name", "ground_truth", "y")
PATIENT = ("patient_id", "patient", "subject_id", "subject")
LESION, GROUP = ("lesion_id", "lesion"), ("group", "group_id")
# A fold or a tfrecord is a number that says nothing of its use.
PART_COLUMNS = ("split", "part", "set", "subset", "partition", "phase", "data_split", "dataset", "fold")
SPELLINGS = "class written in several ways"


class ReadLabels(NamedTuple):
    """The class of each row of a table."""

    columns: tuple[str, ...]  # that were read
    cells: list[str]  # one per row; "" where there is none
    problems: dict[int, str]  # row -> what is wrong with its class
    left_out: frozenset[int] = frozenset()  # rows that the user wants left out
    notes: tuple[str, ...] = ()


def usual_names(config: ImagesConfig) -> tuple[str, ...]:
    """List the names that headers are known by, and those that are set."""
    named = (config.image_column, config.label_column, config.group_column, config.split_column)
    labels = (*LABEL_NAMES, *LATER_LABEL_NAMES, *LAST_LABEL_NAMES)
    usual = (*IMAGE_NAMES, *labels, *PATIENT, *LESION, *GROUP, *PART_COLUMNS)
    return (*usual, *(name for name in named if name))


def find_column(header: Sequence[str], name: str) -> str | None:
    """Find a column that is named in the settings: as it is written, else in any case where that is only one."""
    if name in header:
        return name
    same = [column for column in header if plain_name(column) == plain_name(name)]
    return same[0] if len(same) == 1 else None


def cells_of(table: Table, column: str) -> list[str]:
    """Return a column's cells, one per row."""
    position = table.header.index(column)
    return [row.cells[position] for row in table.rows]


def image_columns(header: Sequence[str], config: ImagesConfig) -> list[str]:
    """Find the columns that may name the image, the likeliest first."""
    if config.image_column:
        column = find_column(header, config.image_column)
        return [column] if column else []
    return by_names(header, IMAGE_NAMES)


def group_columns(header: Sequence[str], config: ImagesConfig) -> dict[str, list[str]]:
    """Find the columns that say what belongs together: by "set", or by "patient", "lesion", "group"; none if unread."""
    if config.group_column is not None:
        column = find_column(header, config.group_column) if config.group_column else None
        return {"set": [column]} if column else {}
    found = {"patient": by_names(header, PATIENT), "lesion": by_names(header, LESION)}
    found["group"] = by_names(header, GROUP)
    for name, columns in found.items():
        if len(columns) > 1:
            raise DataError(_several(columns, f"the {name} of an image", "group_column"))
    return {name: columns for name, columns in found.items() if columns}


def part_column(table: Table, config: ImagesConfig) -> str | None:
    """Find the column of the part: one that is named, `split`, or another that holds nothing but names of parts."""
    if config.split_column is not None:
        return find_column(table.header, config.split_column) if config.split_column else None
    for column in by_names(table.header, PART_COLUMNS):
        is_safe = plain_name(column) == "split"
        if is_safe or {cell.lower() for cell in cells_of(table, column)} <= {*PART_NAMES, "pool"}:
            return column
    return None


def read_labels(table: Table, config: ImagesConfig, taken: Sequence[str]) -> ReadLabels | None:
    """Read the classes of a table's rows; None if it has no column for them.

    Args:
        table: of images.
        config: which column, where it says so, and what an unclear diagnosis counts as.
        taken: columns in use for something else.

    Raises:
        DataError: several columns may be the class and do not say the same.
    """
    if config.label_column:
        column = find_column(table.header, config.label_column)
        return None if column is None else ReadLabels((column,), cells_of(table, column), {})
    free = [column for column in table.header if column not in taken]
    found = by_names(free, LABEL_NAMES) or by_names(free, LATER_LABEL_NAMES)
    if not found:
        columns = one_hot_columns(table, free)
        if columns:
            return ReadLabels(tuple(columns), *read_one_hot(table, columns))
        found = by_names(free, LAST_LABEL_NAMES) or flag_columns(table, free)
    if not found:
        return None
    plain = {plain_name(column): cells_of(table, column) for column in found}
    if len(found) == 1:
        if not {"benign_malignant", "diagnosis_1"} & set(plain):
            return ReadLabels((found[0],), cells_of(table, found[0]), {})
        return ReadLabels((found[0],), *benign_or_malignant(cells_of(table, found[0]), config.unclear_diagnosis))
    if set(plain) == {"target", "benign_malignant"} and len(found) == 2:
        named = named_target(plain["target"], plain["benign_malignant"])
        if named is not None:
            return ReadLabels(tuple(found), *named)
    return ReadLabels(tuple(found), _the_same(table, found), {})


def spelling_problems(labels: Sequence[str]) -> list[Problem]:
    """Put down classes that differ in nothing but case, or in how a whole number is written (1 and 1.0)."""
    spellings: dict[str, list[str]] = {}
    for label, count in sorted(Counter(labels).items()):
        is_decimal = re.fullmatch(r"[+-]?[0-9]+\.0*", label)
        plain = label.partition(".")[0] if is_decimal else label.casefold()
        spellings.setdefault(plain, []).append(f"{label} ({count})")
    return [Problem(" and ".join(each), SPELLINGS) for each in spellings.values() if len(each) > 1]


def _the_same(table: Table, columns: list[str]) -> list[str]:
    """Return the cells of columns that say the same in other words: words rather than numbers."""
    cells = {column: cells_of(table, column) for column in columns}
    combined = set(zip(*cells.values(), strict=True))
    if any(len(set(each)) != len(combined) for each in cells.values()):
        raise DataError(f"{shown(str(table.path))}: {_several(columns, 'the class', 'label_column')}")
    words = [each for each in cells.values() if not all(re.fullmatch(r"[+-]?[0-9.]*", cell) for cell in each)]
    return (words or list(cells.values()))[0]


def _several(columns: Sequence[str], what: str, setting: str) -> str:
    return f"columns {', '.join(map(repr, columns))} may all be {what}; set data.source.{setting} to one of them"
