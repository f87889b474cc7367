"""Every file below some folders, found in one walk, and an image's file found again by the name in a table."""

import os
from collections.abc import Sequence
from typing import NamedTuple

from jaxal.data.decoding import EXTENSIONS
from jaxal.data.problems import Problem

__all__ = ["FoundFiles", "ImageIndex", "find_files", "find_image", "image_stem", "index_images", "is_table", "name_of"]

# What a Mac puts into every zip file: one hidden file beside each of ours.
IGNORED_FOLDERS = frozenset({"__MACOSX"})
TABLE_ENDINGS, LIST_ENDINGS = frozenset({".csv", ".tsv", ".tab"}), frozenset({".txt"})
# HAM10000_metadata is a table whose name has lost its ending.
BARE_TABLES = ("metadata", "labels")


class FoundFiles(NamedTuple):
    """The files below a folder by their endings, absolute, in the order of a sorted walk."""

    images: list[str]
    tables: list[str]
    lists: list[str]
    problems: list[Problem]  # folders that cannot be read


class ImageIndex(NamedTuple):
    """Image files by the stems of their names."""

    roots: tuple[str, ...]
    files: list[str]  # absolute, distinct
    by_stem: dict[str, list[int]]


def find_files(top: str) -> FoundFiles:
    """Walk a folder once. Names that begin with a dot and __MACOSX are ignored.

    A folder with the ending of an image and no image in it is taken for a file that went wrong: it cannot be decoded,
    and so is told.

    Links to folders are followed after all that is really there, and no folder is read twice: a loop ends, and what is
    reached both ways is known by its real place.
    """
    found = FoundFiles([], [], [], [])
    seen: set[tuple[int, int]] = set()
    links, named_as_images = [top], []
    while links:
        waiting, links = sorted(links, reverse=True), []
        while waiting:
            folder = waiting.pop()
            try:
                status = os.stat(folder)
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                with os.scandir(folder) as entries:
                    listed = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                place = os.path.relpath(folder, top)
                found.problems.append(Problem(place, f"folder that cannot be read: {error.strerror}"))
                continue
            below = []
            for entry in listed:
                if entry.name.startswith(".") or entry.name in IGNORED_FOLDERS:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.path)
                    if os.path.splitext(entry.name)[1].lower() in EXTENSIONS:
                        named_as_images.append(entry.path)
                elif entry.is_symlink() and os.path.isdir(entry.path):
                    links.append(entry.path)
                else:
                    _sort_in(entry, found)
            waiting.extend(reversed(below))
    with_images = {os.path.dirname(path) + os.sep for path in found.images}
    for folder in named_as_images:
        if not any(each.startswith(folder + os.sep) for each in with_images):
            found.images.append(folder)
    return found


def is_table(path: str) -> bool:
    """Tell whether a file may be a table by its name; reading a pipe of that name would never end."""
    stem, ending = os.path.splitext(os.path.basename(path).lower())
    return (ending in TABLE_ENDINGS or (not ending and stem.endswith(BARE_TABLES))) and os.path.isfile(path)


def _sort_in(entry: os.DirEntry[str], found: FoundFiles) -> None:
    ending = os.path.splitext(entry.name)[1].lower()
    if ending in EXTENSIONS:
        found.images.append(entry.path)
    elif is_table(entry.path):
        found.tables.append(entry.path)
    elif ending in LIST_ENDINGS and entry.is_file():
        found.lists.append(entry.path)


def index_images(roots: Sequence[str], files: Sequence[str]) -> ImageIndex:
    """Index image files by their names without folder and ending; a file that is listed twice counts once."""
    distinct = list(dict.fromkeys(files))
    by_stem: dict[str, list[int]] = {}
    for number, file in enumerate(distinct):
        by_stem.setdefault(image_stem(os.path.basename(file)), []).append(number)
    return ImageIndex(tuple(roots), distinct, by_stem)


def image_stem(name: str) -> str:
    """Take the ending of an image off a name, in any case; other dots stay.

    >>> image_stem("a/ISIC_1.JPG"), image_stem("ISIC_2.v1")
    ('a/ISIC_1', 'ISIC_2.v1')
    """
    stem, ending = os.path.splitext(name)
    return stem if stem and ending.lower() in EXTENSIONS else name


def find_image(index: ImageIndex, name: str, *, is_path: bool, is_distinct: bool) -> list[int]:
    """Find the files that a name can mean: none, one, or several, which is for the user to decide.

    An ending in the name prefers files with that ending (in any case); a file with another will do. Folders in the name
    prefer files in folders of these names; if there are none, the name without them decides where it is distinct.

    Args:
        index: the files.
        name: with or without folders, with or without ending.
        is_path: some name of the table has folders in it, so that one without them lies in a root itself.
        is_distinct: no two names of the table are the same without folder and ending.
    """
    folder, base = os.path.split(name.replace("\\", "/") if "\\" in name else name)
    stem = image_stem(base)
    hits = index.by_stem.get(stem, []) or index.by_stem.get(base, [])
    if not hits:
        return []
    if is_path:
        inner = os.path.normpath(folder) if folder else "."
        exact = set(index.roots) if inner == "." else {os.path.join(root, inner) for root in index.roots}
        direct = [hit for hit in hits if os.path.dirname(index.files[hit]) in exact]
        inside = direct or [hit for hit in hits if _lies_in(index, hit, folder)]
        hits = inside or (hits if is_distinct or not folder else [])
    if stem != base:
        ending = os.path.splitext(base)[1].lower()
        hits = [hit for hit in hits if os.path.splitext(index.files[hit])[1].lower() == ending] or hits
    if len(hits) > 1 and len({os.path.realpath(index.files[hit]) for hit in hits}) == 1:
        return hits[:1]
    return hits


def _lies_in(index: ImageIndex, hit: int, folder: str) -> bool:
    """Tell whether a file's folder ends as the name's does, or the name's, absolute elsewhere, as the file's."""
    place = os.path.dirname(index.files[hit])
    wanted = os.path.normpath(folder) if folder else ""
    if not wanted or wanted == ".":
        return False
    if f"{place}/".endswith(f"/{wanted}/") or place == wanted:
        return True
    inner = next((os.path.relpath(place, root) for root in index.roots if f"{place}/".startswith(f"{root}/")), ".")
    return inner != "." and f"{wanted}/".endswith(f"/{inner}/")


def name_of(index: ImageIndex, hit: int) -> str:
    """Name a file by its path from the folder that was searched."""
    file = index.files[hit]
    root = next((root for root in index.roots if file.startswith(f"{root.rstrip('/')}/")), "")
    return os.path.relpath(file, root) if root else file
