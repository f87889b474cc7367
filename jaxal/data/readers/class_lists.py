"""A list of the classes to read, as subsets of ImageNet come with."""

import re
from collections import Counter
from pathlib import Path

from jaxal.data.problems import Problem, examples, shown
from jaxal.data.readers.drafts import Drafts
from jaxal.errors import DataError

__all__ = ["only_listed", "read_class_list"]

ClassList = dict[str, str]  # folder -> name to show, in the order of the list


def read_class_list(path: Path, known: frozenset[str]) -> tuple[ClassList, list[Problem]]:
    """Read a list of classes: a folder per line and, if wanted, a name to show after a blank, tab, comma or semicolon.

    A line that is the name of a known class is taken whole. Classes with the same name to show keep their folder in it.

    Args:
        path: of the list.
        known: classes that the data has.

    Returns:
        The classes, and what is wrong: a class that the data has not, or one listed twice.

    Raises:
        DataError: there is no such file, it is not UTF-8 text, or empty.
    """
    setting = f"data.source.class_list: {shown(str(path))}"
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{setting} is not UTF-8 text") from error
    except OSError as error:
        raise DataError(f"{setting}: cannot read it: {error.strerror}") from error
    classes: ClassList = {}
    problems = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        folder, name = _parse(text, known)
        place = f"{path.name} line {number} ({folder})"
        if folder not in known:
            problems.append(Problem(place, "listed class without an image"))
        if folder in classes:
            problems.append(Problem(place, "class listed twice"))
        classes.setdefault(folder, name)
    if not classes:
        raise DataError(f"{setting} is empty")
    repeated = {name for name, count in Counter(classes.values()).items() if count > 1}
    classes = {each: f"{name} ({each})" if name in repeated else name for each, name in classes.items()}
    return classes, problems


def only_listed(drafts: Drafts, path: Path) -> Drafts:
    """Keep the images of the listed classes, in the order of the list and under the names that it shows.

    Raises:
        DataError: as `read_class_list`.
    """
    labels = frozenset(row.label for row in drafts.rows)
    classes, problems = read_class_list(path, labels)
    others = sorted(labels - set(classes))
    rows = [row._replace(label=classes[row.label]) for row in drafts.rows if row.label in classes]
    left = [f"{len(others)} classes that {path.name} has not were left out: {examples(others)}"] if others else []
    return drafts._replace(
        rows=rows,
        problems=[*drafts.problems, *problems],
        notes=[*drafts.notes, *left],
        class_names=tuple(classes.values()),
    )


def _parse(text: str, known: frozenset[str]) -> tuple[str, str]:
    if text in known:
        return text, text
    folder, *name = re.split(r"[\s,;]+", text, maxsplit=1)
    return folder, name[0] if name and name[0] else folder
