"""Records in the making: what rows of tables, lines of lists and folders of classes have in common."""

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxal.data.problems import Problem, examples
from jaxal.data.readers.column_names import plain_name
from jaxal.data.readers.csv_table import PARTS, further_columns
from jaxal.data.readers.file_index import ImageIndex, image_stem, name_of
from jaxal.data.readers.isic import form_of
from jaxal.data.readers.label_tables import LabelTable

__all__ = ["AMBIGUOUS", "UNKNOWN_PART", "Draft", "Drafts", "draft_tables", "make_ids", "unused_images"]

UNKNOWN_PART = f"split is none of {', '.join(PARTS)}"
AMBIGUOUS = "image name that several files have"
# Kinds of groups whose column is kept beside the group, which may be of a wider kind.
GROUPS = ("set", "patient", "lesion", "group")


class Draft(NamedTuple):
    """One image: its name as it is written, and what is said of it there."""

    name: str
    file: int | None  # its number in the index; None where it is missing
    label: str
    part: str | None
    cells: Mapping[str, str]  # further columns
    groups: Mapping[str, str]  # kind -> cell


class Drafts(NamedTuple):
    """All images of a data set, with what is wrong."""

    form: str
    source: str  # what says the labels, for people
    rows: list[Draft]
    problems: list[Problem]
    notes: list[str]
    used: set[int]  # files that something is said of
    class_names: tuple[str, ...] | None = None  # where their order is not that of their names


def draft_tables(tables: Sequence[LabelTable], index: ImageIndex) -> Drafts:
    """Make drafts of the rows of tables and put down what is wrong with them."""
    first = tables[0]
    header = [plain_name(column) for column in first.rows.table.header]
    stem = os.path.splitext(first.rows.table.path.name)[0]
    form = form_of(header, [plain_name(column) for column in first.labels.columns], stem)
    source = ", ".join(each.rows.table.path.name for each in tables)
    drafts = Drafts(form, source, [], [], [], set())
    seen: dict[str, tuple[str, str]] = {}
    for each in tables:
        _draft_table(each, index, drafts, seen, prefix=f"{each.rows.table.path.name} " if len(tables) > 1 else "")
    return drafts


def _draft_table(
    chosen: LabelTable, index: ImageIndex, drafts: Drafts, seen: dict[str, tuple[str, str]], prefix: str
) -> None:
    rows, labels = chosen.rows, chosen.labels
    table = rows.table
    groups = {kind: columns[0] for kind, columns in rows.groups.items()}
    widest = next((groups[kind] for kind in GROUPS if kind in groups), None)
    kept, notes = further_columns(table, [rows.image, rows.part, widest, *labels.columns])
    empty = [column for column in labels.columns if column not in labels.cells]
    if len(empty) < len(labels.columns) and set(labels.cells) <= {*labels.columns, ""}:
        drafts.notes.extend(f"class {column} has no image and is left out" for column in empty)
    drafts.notes.extend([*_columns_note(chosen, list(groups.values()), prefix), *notes, *labels.notes])
    drafts.problems.extend(Problem(f"{prefix}{each.where}", each.kind) for each in table.problems)
    for number, row in enumerate(table.rows):
        cells = dict(zip(table.header, row.cells, strict=True))
        name, label, hits = cells[rows.image], labels.cells[number], rows.hits[number]
        drafts.used.update(hits)
        if number in labels.left_out:
            continue
        place = f"{prefix}line {row.line}"
        if row.cells == table.header:
            drafts.problems.append(Problem(place, "the header again"))
            continue
        is_named = bool(os.path.basename(name.replace("\\", "/")))  # a folder is no image
        place += f" ({name})" if name else ""
        wrong = [] if is_named else [Problem(place, "no image")]
        if number in labels.problems:
            wrong.append(Problem(place, labels.problems[number]))
        elif not label:
            wrong.append(Problem(place, "no label"))
        if len(hits) > 1:
            files = examples([name_of(index, hit) for hit in hits])
            wrong.append(Problem(f"{place}: {files}", AMBIGUOUS))
        part = chosen.part_name
        if rows.part:
            part = PARTS.get(cells[rows.part].lower())
            if part is None:
                wrong.append(Problem(f"{place}: {cells[rows.part]!r}", UNKNOWN_PART))
        if is_named:
            key = index.files[hits[0]] if hits else f"missing {name}"
            where, other = seen.setdefault(key, (f"{prefix}line {row.line}", label))
            if where != f"{prefix}line {row.line}":
                kind = "image of an earlier row" + (", with another label" if label != other else "")
                wrong.append(Problem(f"{place}, {where}", kind))
        drafts.problems.extend(wrong)
        if not wrong:
            facts = {kind: cells[column] for kind, column in groups.items()}
            further = {column: cells[column] for column in kept}
            drafts.rows.append(Draft(name, hits[0] if hits else None, label, part, further, facts))


def _columns_note(chosen: LabelTable, groups: list[str], prefix: str) -> list[str]:
    rows = chosen.rows
    roles = {"image": [rows.image], "class": chosen.labels.columns, "group": groups, "part": [rows.part or ""]}
    said = [f"{role} from {' and '.join(columns)}" for role, columns in roles.items() if any(columns)]
    name = prefix.strip() or rows.table.path.name
    return [f"columns of {name}: {', '.join(said)}"]


def make_ids(names: Sequence[str]) -> list[str]:
    """Make ids of names: without folders and ending where these stay distinct, else without ending, else as they are.

    >>> make_ids(["train/a.jpg", "b"]), make_ids(["x/a.jpg", "y/a.jpg"])
    (['a', 'b'], ['x/a', 'y/a'])
    """
    distinct = set(names)
    for shorten in (lambda name: image_stem(os.path.basename(name)), image_stem):
        short = {name: shorten(name.replace("\\", "/")) for name in distinct}
        if len(set(short.values())) == len(distinct):
            return [short[name] for name in names]
    return list(names)


def unused_images(drafts: Drafts, index: ImageIndex) -> list[str]:
    """Say how many images there are that nothing is said of."""
    unused = [number for number in range(len(index.files)) if number not in drafts.used]
    if not unused:
        return []
    what = "1 image on disk has" if len(unused) == 1 else f"{len(unused)} images on disk have"
    return [f"{what} no label in {drafts.source}: {examples([name_of(index, each) for each in unused[:4]])}"]
