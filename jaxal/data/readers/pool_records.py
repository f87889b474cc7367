"""Drafts to records: ids, groups, copies dropped, missing files told apart."""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from jaxal.config.data import ImagesConfig
from jaxal.data.problems import Problem, examples
from jaxal.data.readers.column_names import plain_name
from jaxal.data.readers.copies import find_copies
from jaxal.data.readers.csv_table import order_classes
from jaxal.data.readers.drafts import Drafts, make_ids, unused_images
from jaxal.data.readers.file_index import ImageIndex, image_stem
from jaxal.data.readers.image_groups import join_groups, read_facts
from jaxal.data.readers.label_tables import ImageTable
from jaxal.data.records import ImageRecord, LabeledFiles
from jaxal.errors import DataError

__all__ = ["OUTSIDE", "make_records", "stray_file"]

OUTSIDE = "image outside of the image folders"


def make_records(
    drafts: Drafts, tables: Sequence[ImageTable], copies: Sequence[str], index: ImageIndex, config: ImagesConfig
) -> LabeledFiles:
    """Make the records of a data set.

    Args:
        drafts: its images.
        tables: without labels, which may say what belongs together.
        copies: paths of tables that may be lists of duplicates.
        index: the image files.
        config: what to read and what to drop.

    Raises:
        DataError: the column of the group or of the part that is set is nowhere, or a list of duplicates is no text.
    """
    ids = make_ids([row.name for row in drafts.rows])
    labels = {name: row.label for name, row in zip(ids, drafts.rows, strict=True)}
    problems, notes = list(drafts.problems), list(drafts.notes)
    problems += [Problem(name, "id that several images have") for name, count in Counter(ids).items() if count > 1]
    id_of = _id_maker(labels)
    dropped = find_copies(copies, config, labels, _marks(drafts, ids), id_of)
    kept = [(name, row) for name, row in zip(ids, drafts.rows, strict=True) if name not in dropped.ids]
    kept = sorted({name: (name, row) for name, row in kept}.values(), key=lambda each: each[0])
    own = {kind for _, row in kept[:1] for kind in row.groups}
    facts = read_facts(tables, frozenset(labels), id_of, own)
    kinds = {kind: [row.groups.get(kind, "") for _, row in kept] for kind in own}
    for kind, column in facts.groups.items():
        kinds[kind] = [facts.cells.get(name, {}).get(column, "") for name, _ in kept]
    if config.group_column and "set" not in kinds:
        raise DataError(f"data.source.group_column = {config.group_column!r}: no such column in {drafts.source}")
    if config.split_column and all(row.part is None for _, row in kept) and not problems:
        raise DataError(f"data.source.split_column = {config.split_column!r}: no such column in {drafts.source}")
    groups, group_notes = join_groups([name for name, _ in kept], kinds)
    further = [column for column in facts.columns if column not in facts.groups.values()]
    columns = list(dict.fromkeys([*(column for _, row in kept for column in row.cells), *further]))
    if groups is None and columns and config.group_column is None:
        notes.append(
            f"no column of {drafts.source} is known to say what belongs together: every image stands alone;"
            f" data.source.group_column may be one of {examples(columns)}"
        )
    records, missing = [], []
    for number, (name, row) in enumerate(kept):
        path = stray_file(index, row.name) if row.file is None else index.files[row.file]
        if path is None:
            missing.append(Problem(row.name, "missing"))
            path = os.path.join(index.roots[0], row.name)
        elif row.file is None and not _lies_below(path, index.roots):
            problems.append(Problem(row.name, OUTSIDE))
        known = {**facts.cells.get(name, {}), **row.cells}
        records.append(
            ImageRecord(
                name,
                path,
                row.label,
                group=None if groups is None else groups[number],
                part=row.part,
                columns={column: known.get(column, "") for column in columns},
            )
        )
    present = {record.label for record in records}
    return LabeledFiles(
        form=drafts.form,
        records=records,
        class_names=tuple(name for name in drafts.class_names or order_classes(present) if name in present),
        problems=(*problems, *facts.problems, *dropped.problems),
        notes=(*notes, *facts.notes, *group_notes, *dropped.notes, *unused_images(drafts, index)),
        missing=tuple(missing),
    )


def stray_file(index: ImageIndex, name: str) -> str | None:
    """Find a file that the name is a path of, though it is not in the index: elsewhere, or with an odd ending."""
    paths = (os.path.join(root, name) for root in index.roots)
    return next((path for path in paths if name and "\0" not in name and os.path.isfile(path)), None)


def _lies_below(path: str, roots: Sequence[str]) -> bool:
    """Tell whether a path, as it is written, stays below one of some folders; links in them may lead anywhere."""
    plain = os.path.normpath(path)
    return any(plain.startswith(f"{root.rstrip('/')}/") for root in roots)


def _marks(drafts: Drafts, ids: Sequence[str]) -> dict[str, str]:
    """Return the cells of the column that marks duplicates in the resized form of ISIC 2020."""
    columns = [column for row in drafts.rows[:1] for column in row.cells if plain_name(column) == "tfrecord"]
    if not drafts.form.startswith("ISIC 2020") or not columns:
        return {}
    return {name: row.cells.get(columns[0], "") for name, row in zip(ids, drafts.rows, strict=True)}


def _id_maker(labels: Mapping[str, str]) -> Callable[[str], str]:
    """Make the function that finds the id of a name in another table, with or without folders and ending."""
    by_base: dict[str, list[str]] = {}
    for name in labels:
        by_base.setdefault(image_stem(os.path.basename(name)), []).append(name)

    def id_of(name: str) -> str:
        plain = name.replace("\\", "/")
        for each in (name, image_stem(plain)):
            if each in labels:
                return each
        base = image_stem(os.path.basename(plain))
        found = by_base.get(base, [])
        return found[0] if len(found) == 1 else base

    return id_of
