"""Folders of classes somewhere below a folder: the lowest folder that holds more than one folder with images."""

import os
from collections.abc import Sequence

from jaxal.data.problems import Problem
from jaxal.data.readers.drafts import Draft, Drafts
from jaxal.data.readers.file_index import ImageIndex
from jaxal.data.readers.folder import find_folder

__all__ = ["class_root", "draft_folders"]


def draft_folders(tops: Sequence[str], index: ImageIndex, only: frozenset[str] | None) -> Drafts:
    """Make drafts of the images in folders of classes.

    Args:
        tops: folders that hold them, at any depth.
        index: all image files in them.
        only: classes to look at, all where None.

    Raises:
        DataError: it is not clear whether folders are parts or classes.
    """
    number_of = {file: number for number, file in enumerate(index.files)}
    drafts = Drafts("folder per class", "the folders of classes", [], [], [], set())
    for top in tops:
        found = find_folder(class_root(top, index), only)
        drafts = drafts._replace(form=found.form)
        drafts.problems.extend(found.problems)
        drafts.notes.extend(found.notes)
        for record in found.records:
            # A folder that is mounted twice is walked once.
            file = number_of.get(record.path, number_of.get(os.path.realpath(record.path)))
            drafts.rows.append(Draft(record.id, file, record.label, record.part, {}, {}))
            drafts.used.update(() if file is None else (file,))
    parts = {row.part is None for row in drafts.rows}
    if len(parts) > 1:
        drafts.problems.append(Problem(", ".join(tops), "folders with parts beside folders without"))
    return drafts


def class_root(top: str, index: ImageIndex) -> str:
    """Go down from a folder as long as all images lie in one folder of it."""
    folders = {os.path.dirname(file) for file in index.files}
    root = top
    while True:
        start = root.rstrip("/") + "/"
        below = {folder[len(start) :].split("/")[0] for folder in folders if folder.startswith(start)}
        if root in folders or len(below) != 1:
            return root
        root = start + below.pop()
