"""Which images of a data set are second copies: by the list that lies there, else by the mark of the resized form."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxal.config.data import ImagesConfig
from jaxal.data.problems import Problem, shown
from jaxal.data.readers.csv_text import read_header, read_table
from jaxal.data.readers.duplicates import PAIRS, Copies, pair_columns, pairs_of, second_copies
from jaxal.data.readers.isic import is_marked_duplicate
from jaxal.errors import DataError

__all__ = ["Dropped", "find_copies"]


class Dropped(NamedTuple):
    """The images to leave out, and what is to be said."""

    ids: frozenset[str]
    notes: list[str]
    problems: list[Problem]


def find_copies(
    tables: Sequence[str],
    config: ImagesConfig,
    labels: Mapping[str, str],
    marks: Mapping[str, str],
    id_of: Callable[[str], str],
) -> Dropped:
    """Find the second copies.

    Args:
        tables: that may be lists of pairs.
        config: which of them, and whether copies are dropped.
        labels: the class of each image, by id.
        marks: the cell of the column tfrecord by id; empty where there is none.
        id_of: makes an id of a name.

    Raises:
        DataError: a list is no text, or the one that is set has not two columns.
    """
    lists: dict[str, tuple[Copies, list[tuple[str, str]]]] = {}
    problems = []
    for path in tables:
        columns = pair_columns(read_header(Path(path), PAIRS[0] + PAIRS[1]))
        if columns is None and config.duplicates_file:
            columns = _only_columns(path)
        if columns is not None:
            table = read_table(Path(path), path, columns)
            problems += [Problem(f"{table.path.name} {each.where}", each.kind) for each in table.problems]
            pairs = pairs_of(table, columns)
            lists[path] = second_copies(pairs, labels.keys(), id_of), pairs
    marked = frozenset(name for name, mark in marks.items() if is_marked_duplicate(mark))
    if not lists:
        return Dropped(*_said(marked, "tfrecord = -1", config), problems) if marked else Dropped(marked, [], problems)
    (path, (copies, pairs)), *others = lists.items()
    differing = [each for each, (other, _) in others if other.second != copies.second]
    if differing:
        names = ", ".join(shown(each) for each in [path, *differing])
        problems.append(
            Problem(names, "lists of duplicates that disagree; set data.source.duplicates_file to one of them")
        )
    ids, notes = _said(copies.second, Path(path).name, config)
    notes += _remarks(copies, len(pairs), Path(path).name)
    first = {id_of(two): id_of(one) for one, two in pairs}
    num_other = sum(labels.get(first.get(name, name), labels[name]) != labels[name] for name in copies.second)
    if num_other:
        notes.append(f"{num_other} of the duplicates have another label than the image that they are a copy of")
    unlisted = len(marked - copies.second)
    if unlisted:
        notes.append(f"{unlisted} images with tfrecord = -1 are not in {Path(path).name} and stay")
    return Dropped(ids, notes, problems)


def _said(second: frozenset[str], source: str, config: ImagesConfig) -> tuple[frozenset[str], list[str]]:
    if config.duplicates == "keep":
        return frozenset(), [f'{len(second)} duplicates kept, as duplicates = "keep" says ({source})']
    return second, [f"{len(second)} duplicates dropped ({source})"]


def _remarks(copies: Copies, num_pairs: int, source: str) -> list[str]:
    remarks = []
    if copies.num_single:
        remarks.append(f"{copies.num_single} images in {source} stay: what they are a copy of is not in the labels")
    if copies.num_elsewhere:
        remarks.append(
            f"{copies.num_elsewhere} of {num_pairs} pairs in {source} are of images that are not in the labels"
        )
    if copies.num_self:
        remarks.append(f"{copies.num_self} pairs in {source} are of an image with itself and say nothing")
    return remarks


def _only_columns(path: str) -> tuple[str, str]:
    header = read_table(Path(path), path, ()).header
    if len(header) != 2:
        raise DataError(
            f"data.source.duplicates_file: {shown(path)} has the columns {', '.join(map(repr, header))}; expected are"
            " two, such as image_name_1,image_name_2"
        )
    return header[0], header[1]
