"""Which of the tables in a folder has the labels, and which image file each of its rows means."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxal.config.data import ImagesConfig
from jaxal.data.problems import shown
from jaxal.data.readers.column_names import plain_name
from jaxal.data.readers.csv_text import Table, read_header, read_table
from jaxal.data.readers.duplicates import pair_columns
from jaxal.data.readers.file_index import ImageIndex, find_image, image_stem
from jaxal.data.readers.label_columns import (
    ReadLabels,
    cells_of,
    group_columns,
    image_columns,
    part_column,
    read_labels,
    usual_names,
)
from jaxal.data.records import PART_NAMES
from jaxal.errors import DataError

__all__ = ["ImageTable", "LabelTable", "choose_tables", "find_rows", "read_tables", "words_of"]


class ImageTable(NamedTuple):
    """A table with a row per image."""

    table: Table
    image: str  # the column that names it
    hits: list[list[int]]  # the files that each row may mean, by their numbers in the index
    part: str | None  # the column of the part
    groups: dict[str, list[str]]  # the columns that say what belongs together
    labels: ReadLabels | None


class LabelTable(NamedTuple):
    """A table that is used for its labels."""

    rows: ImageTable
    labels: ReadLabels
    part_name: str | None = None  # the part of all its rows, where tables stand for parts


def read_tables(paths: Sequence[str], config: ImagesConfig, index: ImageIndex) -> tuple[list[ImageTable], list[str]]:
    """Read the tables that have a column for the image, except lists of pairs and forms for submissions.

    Returns:
        The tables, and notes of what is not used.

    Raises:
        DataError: such a table is no text, or it is not clear which of its columns is what.
    """
    names = usual_names(config)
    tables, notes = [], []
    for path in paths:
        header = read_header(Path(path), names)
        if pair_columns(header) or not image_columns(header, config):
            continue
        if "submission" in os.path.basename(path).lower() and not config.labels:
            notes.append(f"{os.path.basename(path)} is not used: a form for submissions, by its name")
            continue
        tables.append(_read(path, config, index))
    return tables, notes


def _read(path: str, config: ImagesConfig, index: ImageIndex) -> ImageTable:
    table = read_table(Path(path), path, usual_names(config))
    candidates = image_columns(table.header, config)
    groups, part = group_columns(table.header, config), part_column(table, config)
    in_use = [*candidates, *(column for columns in groups.values() for column in columns), part or ""]
    image, hits = _image_column(table, candidates, index)
    return ImageTable(table, image, hits, part, groups, read_labels(table, config, in_use))


def _image_column(table: Table, candidates: list[str], index: ImageIndex) -> tuple[str, list[list[int]]]:
    """Choose the column whose cells are names of files; several will do if they name the same."""
    found = {column: find_rows(cells_of(table, column), index) for column in candidates}
    named = [column for column in candidates if any(found[column])]
    if len(named) > 1:
        named = [column for column in named if column.strip().lower() != "id"]
    first = (named or candidates)[0]
    others = [column for column in named if found[column] != found[first]]
    if others:
        raise DataError(
            f"{shown(str(table.path))}: columns {', '.join(map(repr, [first, *others]))} name different image files;"
            " set data.source.image_column to one of them"
        )
    return first, found[first]


def find_rows(names: Sequence[str], index: ImageIndex) -> list[list[int]]:
    """Find the files that each name of a table may mean."""
    distinct = {image_stem(name.replace("\\", "/")) for name in names}
    is_path = any("/" in name for name in distinct)
    bare = {os.path.basename(name) for name in distinct}
    is_distinct = len(bare) == len(distinct)
    return [find_image(index, name, is_path=is_path, is_distinct=is_distinct) if name else [] for name in names]


def choose_tables(
    tables: Sequence[ImageTable], config: ImagesConfig, num_images: int
) -> tuple[list[LabelTable], list[str]]:
    """Choose the table with the labels: one, or one per part by their names; and say why the others are not used.

    Args:
        tables: with a row per image.
        config: which of them, where it says so.
        num_images: image files that there are.

    Raises:
        DataError: several tables may be it and do not say the same.
    """
    with_labels, notes = [], []
    for each in tables:
        if each.labels is not None and _is_mere_number(each, config, num_images):
            notes.append(
                f"{each.table.path.name} is not used: its column {each.image!r} names less than half of the images"
                f" (data.source.image_column = {each.image!r} takes it)"
            )
        elif each.labels is not None:
            with_labels.append(LabelTable(each, each.labels))
    usable = with_labels
    if any(any(each.rows.hits) for each in with_labels):
        usable = [each for each in with_labels if any(each.rows.hits)]
        empty = [_name(each) for each in with_labels if not any(each.rows.hits)]
        notes += [f"{name} is not used: none of its images is here" for name in empty]
    if len(usable) < 2:
        return usable, notes
    parts = [_part_of(_name(each)) for each in usable]
    rows = [hit for each in usable for hits in each.rows.hits for hit in hits]
    if None not in parts and len(set(parts)) == len(parts) and len(set(rows)) == len(rows):
        used = ", ".join(f"{_name(each)} ({part})" for each, part in zip(usable, parts, strict=True))
        notes.append(f"labels of all of {used}: each is a part by its name")
        return [each._replace(part_name=part) for each, part in zip(usable, parts, strict=True)], notes
    usable = _best_of_the_same(usable, notes)
    several = [each for each in usable if len(set(each.labels.cells)) > 1]
    if several and len(several) < len(usable):
        names = [_name(each) for each in usable if each not in several]
        notes += [f"{name} is not used: it has one class only" for name in names]
        usable = several
    if len(usable) > 1:
        places = [os.path.relpath(each.rows.table.path, Path(config.path).expanduser().absolute()) for each in usable]
        raise DataError(
            f"data.source.path: {shown(config.path)} has {len(usable)} tables with labels that differ:"
            f" {', '.join(map(shown, sorted(places)))}. Set data.source.labels to one of them."
        )
    return usable, notes


def _is_mere_number(table: ImageTable, config: ImagesConfig, num_images: int) -> bool:
    """Tell whether a column `id` may be that of something else, such as a list of classes."""
    if config.image_column or config.labels or plain_name(table.image) != "id":
        return False
    return 2 * len({hit for hits in table.hits for hit in hits}) < num_images


def _best_of_the_same(tables: list[LabelTable], notes: list[str]) -> list[LabelTable]:
    """Keep one of several tables that give the same images the same labels: that with fewer problems, more columns."""
    left = sorted(tables, key=lambda each: (len(each.labels.problems), -len(each.rows.table.header), _name(each)))
    best = left[0]
    truth = _label_of_file(best)
    same = [each for each in left[1:] if _agree(_label_of_file(each), truth)]
    notes += [f"{_name(each)} is not used: it says the same as {_name(best)}" for each in same]
    return [each for each in left if each not in same]


def _label_of_file(table: LabelTable) -> dict[int, str]:
    cells = enumerate(zip(table.rows.hits, table.labels.cells, strict=True))
    return {hits[0]: "" if row in table.labels.problems else cell for row, (hits, cell) in cells if hits}


def _agree(one: dict[int, str], other: dict[int, str]) -> bool:
    """Tell whether two tables have the same images and classes; where one has a problem, the other decides."""
    return one.keys() == other.keys() and all(other[file] == label or not label for file, label in one.items())


def _name(table: LabelTable) -> str:
    return table.rows.table.path.name


def _part_of(name: str) -> str | None:
    parts = {PART_NAMES[word] for word in words_of(name) if word in PART_NAMES}
    return parts.pop() if len(parts) == 1 else None


def words_of(name: str) -> list[str]:
    """Split a file's name into its words, in lower case.

    >>> words_of("ISIC2018_Task3_Training_GroundTruth.csv"), words_of("TrainImages.txt")
    (['isic', 'task', 'training', 'ground', 'truth'], ['train', 'images'])
    """
    stem = os.path.splitext(name)[0]
    words, word = [], ""
    for before, letter in zip(f" {stem}", stem, strict=False):
        if not letter.isalpha() or (letter.isupper() and before.islower()):
            words, word = [*words, word], ""
        word += letter if letter.isalpha() else ""
    return [each.lower() for each in [*words, word] if each]
