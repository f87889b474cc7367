"""What is wrong with the entries of a data set, told all at once: grouped, counted, with examples."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jaxal.errors import DataError

__all__ = ["Problem", "counted", "examples", "group_by_kind", "refusal", "shown"]

# Of each kind so many are named; the count says how many there are.
NUM_EXAMPLES = 3


class Problem(NamedTuple):
    """One thing that is wrong."""

    where: str  # a file or a line, as the user knows it
    kind: str  # a few words that are the same for all problems of a sort


def refusal(problems: Sequence[Problem], *, heading: str, advice: str) -> DataError:
    """Make one refusal of all problems: a table of kinds, the most frequent first, each with its first places.

    >>> problems = [Problem("a.jpg", "empty file"), Problem("b.jpg", "empty file"), Problem("c.jpg", "missing")]
    >>> print(refusal(problems, heading="photos", advice="Repair them."))
    photos: 3 problems
      2 × empty file: a.jpg, b.jpg
      1 × missing: c.jpg
    Repair them.

    Args:
        problems: at least one, in the order in which places are to be named.
        heading: what the problems are of, such as a folder.
        advice: what to do.
    """
    kinds = group_by_kind(problems)
    width = len(str(max(map(len, kinds.values()))))
    lines = [f"  {len(places):>{width}} × {kind}: {examples(places)}" for kind, places in kinds.items()]
    count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
    return DataError("\n".join([f"{heading}: {count}", *lines, advice]))


def group_by_kind(problems: Iterable[Problem]) -> dict[str, list[str]]:
    """Group the places by kind: the most frequent kind first, then by name; places keep their order."""
    kinds: dict[str, list[str]] = {}
    for problem in problems:
        kinds.setdefault(problem.kind, []).append(problem.where)
    return dict(sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0])))


def counted(number: int, one: str, several: str = "") -> str:
    """Say how many there are: of one as `one` has it, else as `several`, which is one with an s where absent.

    >>> counted(1, "image"), counted(2, "image"), counted(0, "class is empty", "classes are empty")
    ('1 image', '2 images', '0 classes are empty')
    """
    return f"{number} {one if number == 1 else several or one + 's'}"


def examples(places: Sequence[str]) -> str:
    r"""Name the first places, and say so if there are more.

    >>> examples(["a.jpg", "two\nlines.jpg", "c.jpg", "d.jpg"])
    "a.jpg, 'two\\nlines.jpg', c.jpg, …"
    """
    return ", ".join([shown(place) for place in places[:NUM_EXAMPLES]] + ["…"] * (len(places) > NUM_EXAMPLES))


def shown(name: str) -> str:
    """Return a name as it is, or escaped and quoted if it has control characters or bytes that are no UTF-8."""
    return name if name.isprintable() else ascii(name)
