"""Image data in any usual form: found by its columns and folders, and brought to the same records whatever the form."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxal.config.data import ImagesConfig
from jaxal.data.build_folder import is_build_folder
from jaxal.data.host_memory import without_cycle_search
from jaxal.data.listeners import OnImages
from jaxal.data.problems import Problem, counted, examples, shown
from jaxal.data.readers.class_folders import draft_folders
from jaxal.data.readers.class_lists import only_listed, read_class_list
from jaxal.data.readers.csv_table import nearest_column
from jaxal.data.readers.csv_text import read_header, read_table
from jaxal.data.readers.drafts import AMBIGUOUS, UNKNOWN_PART, Drafts, draft_tables
from jaxal.data.readers.file_index import FoundFiles, ImageIndex, find_files, index_images, is_table
from jaxal.data.readers.image_files import make_source
from jaxal.data.readers.isic import UNCLEAR
from jaxal.data.readers.label_columns import SPELLINGS, spelling_problems, usual_names
from jaxal.data.readers.label_tables import ImageTable, choose_tables, read_tables
from jaxal.data.readers.part_lists import find_part_lists
from jaxal.data.readers.pool_records import OUTSIDE, make_records, stray_finder
from jaxal.data.records import LabeledFiles
from jaxal.data.source import ImageSource
from jaxal.errors import DataError

__all__ = ["find_labels", "label_advice", "read_images"]


class _Search(NamedTuple):
    """Where to look, and what lies there."""

    folder: str  # the path, or that of the table
    tables: list[str]  # that may have labels
    beside: list[str]  # tables that may say more of the images
    lists: list[str]
    files: ImageIndex
    problems: list[Problem]


def read_images(config: ImagesConfig, on_images: OnImages | None = None) -> ImageSource:
    """Read image data in any form that `find_labels` knows.

    Raises:
        DataError: as `find_labels`; anything is wrong with the labels; or more image files than max_bad cannot be used.
    """
    found = find_labels(config)
    return make_source(found, config, advice=label_advice(found.problems), on_images=on_images)


@without_cycle_search()
def find_labels(config: ImagesConfig) -> LabeledFiles:
    """Find the images, classes, groups and parts of a data set without opening an image.

    In this order: a table with a column for the image and one for the class (or one per class); folders of classes
    with lists of files for train and test; folders of classes. Names in a table are found in all image folders, with
    or without ending and folders. Ids are names without folders and ending where these stay distinct, records are in
    the order of ids, classes in that of their names: the same images and labels are the same records whatever the form.
    Groups are patients, else lesions, else a column `group`. Of copies the second is dropped.

    Args:
        config: the path, and what decides where several readings are possible.

    Returns:
        The records, with all that is wrong with them; files that are not there are told apart.

    Raises:
        DataError: there is no such path, it is a built folder, nothing in it is recognized, none of the images is
            there, a table is no text, or several tables or columns may be meant.
    """
    path = Path(config.path).expanduser().absolute()
    if is_build_folder(path):
        raise DataError(
            f"data.source.path: {shown(str(path))}: a folder made by `jaxal data build`, not the image files. A study "
            f'reads it with [data.source] kind = "built", path = "{config.path}"'
        )
    search = _search(config)
    drafts, facts = _drafts(search, config)
    drafts.problems.extend(search.problems)
    if not drafts.rows and not drafts.problems:
        raise DataError(f"data.source.path: {shown(config.path)}: {drafts.source} has a header but no rows")
    if config.class_list:
        drafts = only_listed(drafts, Path(_resolve(config.class_list, search.folder, "class_list")))
    copies = [*search.tables, *search.beside]
    if config.duplicates_file:
        copies = [_resolve(config.duplicates_file, search.folder, "duplicates_file")]
    return make_records(drafts, facts, copies, search.files, config)


def label_advice(problems: Sequence[Problem]) -> str:
    """Say what to do about problems with labels."""
    kinds = {problem.kind for problem in problems}
    advice = ["Correct these; none was used."]
    if {AMBIGUOUS, OUTSIDE} & kinds:
        advice.append("data.source.images names the folders to look in.")
    if SPELLINGS in kinds:
        advice.append("data.source.label_column takes any column as it is, each spelling a class.")
    if any(kind.startswith(UNCLEAR) for kind in kinds):
        advice.append(
            'data.source.unclear_diagnosis = "benign" counts unclear diagnoses as the ISIC 2020 challenge did,'
            ' "leave_out" leaves these images out; data.source.label_column takes any column as it is.'
        )
    if UNKNOWN_PART in kinds:
        advice.append('data.source.split_column = "" leaves the column of parts unread.')
    return " ".join(advice)


def _search(config: ImagesConfig) -> _Search:
    place = Path(config.path).expanduser().absolute()
    if not place.exists():
        raise DataError(
            f"data.source.path = {config.path!r}: no such folder or file; looked at {shown(str(place))} (current"
            f" directory {Path.cwd()})"
        )
    folder = str(place if place.is_dir() else place.parent)
    roots = [_resolve(each, folder, "images") for each in config.images] or [folder]
    walked = {*roots, folder} if place.is_dir() else {*roots}
    found = {root: find_files(root) for root in sorted(walked)}
    index = index_images(roots, [file for root in roots for file in found[root].images])
    here = found.get(folder) or FoundFiles([], [], [], [])
    tables = here.tables if place.is_dir() else _tables_in(folder)
    chosen = str(place) if place.is_file() else _resolve(config.labels, folder, "labels") if config.labels else ""
    return _Search(
        folder=folder,
        tables=[chosen] if chosen else tables,
        beside=[each for each in tables if each != chosen] if chosen else [],
        lists=here.lists,
        files=index,
        problems=[problem for each in found.values() for problem in each.problems],
    )


def _resolve(setting: str, folder: str, name: str) -> str:
    """Find what a setting names: from where the command runs, else from the data's folder."""
    given = Path(setting).expanduser()
    for path in (given.absolute(), Path(folder, given)):
        if path.exists():
            return os.path.normpath(path)
    raise DataError(
        f"data.source.{name} = {setting!r}: no such {'folder' if name == 'images' else 'file'}, neither in"
        f" {shown(str(Path.cwd()))} nor in {shown(folder)}"
    )


def _tables_in(folder: str) -> list[str]:
    paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if not name.startswith(".")]
    return [path for path in paths if is_table(path)]


def _drafts(search: _Search, config: ImagesConfig) -> tuple[Drafts, list[ImageTable]]:
    """Read the labels from the form that is there; and the tables that may say more."""
    tables, notes = read_tables(search.tables, config, search.files)
    chosen, more = choose_tables(tables, config, len(search.files.files))
    used = {each.rows.table.path for each in chosen}
    facts = [each for each in tables if each.table.path not in used]
    for path in search.beside:
        try:
            read, _ = read_tables([path], config, search.files)
        except DataError as error:
            notes.append(f"{os.path.basename(path)} is not used: {str(error).splitlines()[0]}")
        else:
            facts += read
    has_images = any(any(each.rows.hits) for each in chosen)
    is_table = bool(config.labels or config.image_column or config.label_column or not os.path.isdir(config.path))
    if not has_images and not is_table:
        folders = find_part_lists(search.lists, search.files) or _folders(search, config)
        if folders is not None and folders.rows:
            more += [f"{each.rows.table.path.name} is not used: none of its images is here" for each in chosen]
            folders.notes[:0] = [*notes, *more]
            return folders, facts
    if not chosen:
        raise _nothing(search, config)
    drafts = draft_tables(chosen, search.files)
    drafts.notes.extend([*notes, *more])
    if not config.label_column:
        drafts.problems.extend(spelling_problems([row.label for row in drafts.rows]))
    if drafts.rows and not has_images and not any(map(stray_finder(search.files), (row.name for row in drafts.rows))):
        raise DataError(
            f"data.source.path: {drafts.source} has {counted(len(drafts.rows), 'image')}, of which none was found among"
            f" the {counted(len(search.files.files), 'image file')} in {examples(search.files.roots)}:"
            f" {drafts.rows[0].name}, …. Set data.source.images to the folders that hold them."
        )
    return drafts, facts


def _folders(search: _Search, config: ImagesConfig) -> Drafts | None:
    """Read folders of classes, if there is more than one folder with images in it."""
    only = None
    if config.class_list:
        path = Path(_resolve(config.class_list, search.folder, "class_list"))
        names = {name for file in search.files.files for name in os.path.dirname(file).split(os.sep)}
        only = frozenset(read_class_list(path, frozenset(names))[0])
    if not search.files.files:
        return None
    return draft_folders(search.files.roots, search.files, only)


def _nothing(search: _Search, config: ImagesConfig) -> DataError:
    """Say what was looked for and what there is instead."""
    lines = [f"data.source.path: {shown(config.path)}: no images with labels are recognized"]
    tables = [(path, read_header(Path(path), usual_names(config))) for path in search.tables]
    for setting in ("image_column", "label_column"):
        name = getattr(config, setting)
        if name:
            near = nearest_column(name, [column for _, header in tables for column in header if column])
            lines.append(f"data.source.{setting} = {name!r} is not in a table with both columns{near}")
    for path, header in tables[:10]:
        name = shown(os.path.relpath(path, search.folder))
        said = f"has the columns {', '.join(map(repr, header))}" if header else _why_no_table(path)
        lines.append(f"  {name} {said}")
    lines += [f"  … and {counted(len(tables) - 10, 'table')} more"] if len(tables) > 10 else []
    lines.append(f"  {counted(len(search.files.files), 'image file')} in {examples(search.files.roots)}")
    lines.append(
        "Expected is a CSV file with a column for the image (image_name, image, file, …) and one for its class (target,"
        " label, class, dx, …; data.source.image_column and label_column name others), or a folder per class."
    )
    return DataError("\n".join(lines))


def _why_no_table(path: str) -> str:
    try:
        read_table(Path(path), path, ())
    except DataError as error:
        return f"cannot be read: {error}"
    return "has a header that is longer than any that is read"
