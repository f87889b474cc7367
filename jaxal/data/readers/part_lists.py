"""Folders of classes with a list of files per part, as Food-101 and MIT Indoor 67 have."""

import os
from collections.abc import Sequence

from jaxal.data.problems import Problem, examples, shown
from jaxal.data.readers.drafts import Draft, Drafts
from jaxal.data.readers.file_index import ImageIndex
from jaxal.data.readers.label_tables import find_rows, words_of
from jaxal.data.records import PART_NAMES
from jaxal.data.source import TEST, TRAIN
from jaxal.errors import DataError

__all__ = ["find_part_lists"]


def find_part_lists(lists: Sequence[str], index: ImageIndex) -> Drafts | None:
    """Read lists of files, one per part by their names (train.txt, TestImages.txt), each line CLASS/FILE.

    Returns:
        None where there is no list for train or none for test whose files are here.

    Raises:
        DataError: several lists are of one part.
    """
    found: dict[str, tuple[str, list[tuple[int, str]], list[list[int]]]] = {}
    for path in lists:
        parts = {PART_NAMES[word] for word in words_of(os.path.basename(path)) if word in PART_NAMES}
        lines = _read_lines(path) if len(parts) == 1 else []
        if not lines or not all("/" in line for _, line in lines):
            continue
        hits = find_rows([line for _, line in lines], index)
        if not any(hits):
            continue
        part = parts.pop()
        if part in found:
            raise DataError(
                f"data.source.path: {shown(found[part][0])} and {shown(path)} are both lists of the {part} part; move"
                " one of them away"
            )
        found[part] = (path, lines, hits)
    if not {TRAIN, TEST} <= set(found):
        return None
    names = sorted(os.path.basename(path) for path, _, _ in found.values())
    drafts = Drafts(_form(names), " and ".join(names), [], [], [f"parts from {', '.join(names)}"], set())
    seen: dict[int | str, str] = {}
    for part, (path, lines, hits) in found.items():
        for (number, line), files in zip(lines, hits, strict=True):
            place = f"{os.path.basename(path)} line {number} ({line})"
            drafts.used.update(files)
            if len(files) > 1:
                several = examples([index.files[each] for each in files])
                drafts.problems.append(Problem(f"{place}: {several}", "image name that several files have"))
                continue
            earlier = seen.setdefault(files[0] if files else line, place)
            if earlier != place:
                drafts.problems.append(Problem(f"{place}, {earlier}", "image of an earlier line"))
                continue
            label = os.path.basename(os.path.dirname(line))
            drafts.rows.append(Draft(line, files[0] if files else None, label, part, {}, {}))
    return drafts


def _form(names: list[str]) -> str:
    if [name.lower() for name in names] == ["testimages.txt", "trainimages.txt"]:
        return "MIT Indoor 67"
    return "folder per class with lists of parts (as Food-101)"


def _read_lines(path: str) -> list[tuple[int, str]]:
    """Read the lines that are not empty, with their numbers; none where it is no UTF-8 text."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    return [(number, line.strip().replace("\\", "/")) for number, line in enumerate(lines, 1) if line.strip()]
