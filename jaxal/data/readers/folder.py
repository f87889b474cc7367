"""A folder of one's own images: a sub-folder per class, or one per part with such in it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxal.config.data import FolderConfig
from jaxal.data.decoding import EXTENSIONS
from jaxal.data.listeners import OnImages
from jaxal.data.problems import Problem, examples, shown
from jaxal.data.readers.image_files import make_source
from jaxal.data.records import PART_NAMES, ImageRecord, LabeledFiles
from jaxal.data.source import ImageSource
from jaxal.errors import DataError

__all__ = ["find_folder", "folder_advice", "read_folder"]

LAYOUT = "Expected are sub-folders with the names of the classes and images below them, such as {folder}/cat/1.jpg."

# What a Mac puts into every zip file: one hidden file beside each of ours.
MAC_FILES = "__MACOSX"


class _Found(NamedTuple):
    """What a folder holds, in the order of reading."""

    records: list[ImageRecord]
    strays: list[str]  # images that lie in no class
    others: list[str]  # files that are no images by their names
    links: list[str]  # links to folders, which are not followed
    problems: list[Problem]


def read_folder(config: FolderConfig, on_images: OnImages | None = None) -> ImageSource:
    """Read a folder of images; the class of an image is the name of its sub-folder, however deep it lies below that.

    Where all sub-folders have names of parts (train or training; val, valid or validation; test or testing) and there
    are at least two, classes lie below them. Images are files with the ending of one; other files are counted in the
    notes. Names that begin with a dot and __MACOSX are ignored, links to folders are not followed. Classes are in the
    order of their names, images in the order of theirs; an image's id is its path from the folder, with slashes.

    Args:
        config: the folder, size and color, how many files may be left out.
        on_images: told how far decoding is.

    Raises:
        DataError: there is no such folder, a class without images, an image outside of the classes, parts beside other
            folders, a folder that cannot be read; or more files than max_bad cannot be used.
    """
    return make_source(find_folder(config.path), config, advice=folder_advice(config.path), on_images=on_images)


def find_folder(path: str, only: frozenset[str] | None = None) -> LabeledFiles:
    """Find the images of a folder as `read_folder` does, without opening any.

    Args:
        path: of the folder.
        only: names of the classes to look at; the others are as if they were not there. All where None.

    Raises:
        DataError: there is no such folder, or it is not clear whether its folders are parts.
    """
    top = Path(path).expanduser().absolute()
    if not top.is_dir():
        raise DataError(
            f"data.source.path = {path!r}: no such folder; looked at {shown(str(top))} "
            f"(current directory {Path.cwd()}). " + folder_advice(path)
        )
    found = _Found([], [], [], [], [])
    parts = _parts(top, found)
    for folder, part in parts if parts else [(top, None)]:
        classes = [name for name in _list(top, folder, found) if only is None or name in only]
        for name in classes:
            _read_class(top, folder / name, part, found)
        if not classes:
            found.problems.append(Problem(_id(top, folder), "no class folders in it"))
    strays = [Problem(stray, "image that lies in no class folder") for stray in found.strays]
    return LabeledFiles(
        form="folder per class in folders of parts" if parts else "folder per class",
        records=found.records,
        class_names=tuple(sorted({record.label for record in found.records})),
        problems=(*found.problems, *strays),
        notes=(
            *_note(found.others, "not read, no image by its name", "not read, no images by their names"),
            *_note(found.links, "link to a folder not followed", "links to folders not followed"),
        ),
    )


def folder_advice(path: str) -> str:
    """Say how a folder of images is to be arranged."""
    return LAYOUT.format(folder=path)


def _parts(top: Path, found: _Found) -> list[tuple[Path, str]]:
    """Find the folders of parts; none if the sub-folders are classes."""
    names = _list(top, top, _Found([], [], [], [], []))
    parts = {name: PART_NAMES[name.lower()] for name in names if name.lower() in PART_NAMES}
    if len(parts) < 2:
        return []
    if len(parts) < len(names):
        others = [name for name in names if name not in parts]
        raise DataError(
            f"data.source.path: {shown(str(top))} has the parts {', '.join(parts)} and beside them {examples(others)}: "
            "it is not clear whether these are parts or classes. Move the others away, or rename the parts."
        )
    if len(set(parts.values())) < len(parts):
        raise DataError(
            f"data.source.path: {shown(str(top))} has several folders for one part: {', '.join(parts)}. Join them."
        )
    _list(top, top, found)
    return [(top / name, part) for name, part in parts.items()]


def _list(top: Path, folder: Path, found: _Found) -> list[str]:
    """Return a folder's sub-folders by name, and put down what else lies directly in it."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        found.problems.append(Problem(_id(top, folder), f"folder that cannot be read: {error.strerror}"))
        return []
    names = []
    for entry in entries:
        if entry.name.startswith(".") or entry.name == MAC_FILES:
            continue
        if entry.is_dir(follow_symlinks=False):
            names.append(entry.name)
        elif os.path.isdir(entry.path):
            found.problems.append(Problem(_id(top, Path(entry)), "link to a folder, which is not followed"))
        else:
            (found.strays if _is_image(entry.name) else found.others).append(_id(top, Path(entry)))
    return names


def _read_class(top: Path, folder: Path, part: str | None, found: _Found) -> None:
    def unreadable(error: OSError) -> None:
        found.problems.append(Problem(_id(top, Path(error.filename)), f"folder that cannot be read: {error.strerror}"))

    ids, named_as_images = [], []
    num_problems = len(found.problems)
    for place, folders, files in os.walk(folder, onerror=unreadable):
        visible = [name for name in folders if not name.startswith(".") and name != MAC_FILES]
        links = [name for name in visible if os.path.islink(os.path.join(place, name))]
        found.links.extend(_id(top, Path(place, name)) for name in links)
        folders[:] = sorted(set(visible) - set(links))
        named_as_images += [_id(top, Path(place, name)) for name in folders if _is_image(name)]
        for name in files:
            if not name.startswith("."):
                (ids if _is_image(name) else found.others).append(_id(top, Path(place, name)))
    # A folder in the place of a file: it cannot be decoded, and so is told.
    ids += [each for each in named_as_images if not any(name.startswith(f"{each}/") for name in ids)]
    if not ids and len(found.problems) == num_problems:
        found.problems.append(Problem(_id(top, folder), "class folder without an image"))
    label = folder.name
    found.records.extend(ImageRecord(each, str(top / each), label, part=part) for each in sorted(ids))


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in EXTENSIONS


def _id(top: Path, path: Path) -> str:
    return path.relative_to(top).as_posix()


def _note(names: Sequence[str], one: str, several: str) -> tuple[str, ...]:
    return (f"{len(names)} {one if len(names) == 1 else several}: {examples(names)}",) if names else ()
