"""What belongs together: the images of a patient, else of a lesion; from the table of labels or from one beside it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from jaxal.data.problems import Problem
from jaxal.data.readers.label_columns import cells_of
from jaxal.data.readers.label_tables import ImageTable

__all__ = ["GROUP_KINDS", "Facts", "join_groups", "read_facts"]

# From the widest to the narrowest: a patient has lesions, a lesion has images. "set" is a column that was named.
GROUP_KINDS = ("set", "patient", "lesion", "group")


class Facts(NamedTuple):
    """What a table without labels says of images that have one."""

    cells: Mapping[str, Mapping[str, str]]  # by id, then by column
    columns: list[str]  # all of them
    groups: dict[str, str]  # kind of group -> its column
    problems: list[Problem]
    notes: list[str]


def read_facts(
    tables: Sequence[ImageTable], ids: frozenset[str], id_of: Callable[[str], str], has: Collection[str]
) -> Facts:
    """Read the tables that know more of what belongs together than that of the labels.

    Args:
        tables: with a row per image, not used for labels.
        ids: of the images.
        id_of: makes an id of a name.
        has: kinds of groups that the labels come with.
    """
    notes, useful = [], []
    best = min((GROUP_KINDS.index(kind) for kind in has), default=len(GROUP_KINDS))
    for each in tables:
        kinds = {kind: columns[0] for kind, columns in each.groups.items() if GROUP_KINDS.index(kind) < best}
        names = [id_of(name) for name in cells_of(each.table, each.image)]
        num_known = sum(name in ids for name in names)
        if not num_known and each.labels is None:
            notes.append(f"{each.table.path.name} is not used: none of its {len(names)} images has a label")
        elif num_known and kinds:
            useful.append((each, kinds, names))
    cells: dict[str, dict[str, str]] = {}
    groups: dict[str, str] = {}
    columns: list[str] = []
    problems = []
    for each, kinds, names in useful:
        columns += [column for column in each.table.header if column not in (each.image, "", *columns)]
        groups |= {kind: column for kind, column in kinds.items() if kind not in groups}
        problems += [Problem(f"{each.table.path.name} {row.where}", row.kind) for row in each.table.problems]
        for row, name in zip(each.table.rows, names, strict=True):
            if name in ids:
                new = dict(zip(each.table.header, row.cells, strict=True))
                new.pop(each.image)
                old = cells.setdefault(name, new)
                if any(old.get(column, new[column]) != new[column] for column in kinds.values()):
                    place = f"{each.table.path.name} line {row.line} ({name})"
                    problems.append(Problem(place, "image with another group than before"))
                cells[name] = {**new, **old}
        notes.append(f"{', '.join(kinds.values())} from {each.table.path.name}")
    return Facts(cells, columns, groups, problems, notes)


def join_groups(ids: Sequence[str], kinds: Mapping[str, Sequence[str]]) -> tuple[list[str] | None, tuple[str, ...]]:
    """Name each image's group: that of the widest kind which has any, else of the next, else the image stands alone.

    An image without a patient joins the patient of the other images of its lesion.

    Args:
        ids: of the images.
        kinds: the cells of each kind of group, one per image, "" where there is none.

    Returns:
        The groups (None where no image has any), and notes.
    """
    order = [kind for kind in GROUP_KINDS if any(kinds.get(kind, ()))]
    if not order:
        return None, ()
    widest, narrower = kinds[order[0]], [kinds[kind] for kind in order[1:]]
    known: dict[tuple[int, str], str] = {}
    for level, cells in enumerate(narrower):
        for group, cell in sorted(zip(widest, cells, strict=True)):
            if group and cell:
                known.setdefault((level, cell), group)
    taken = {cell for cells in (widest, *narrower) for cell in cells}
    groups, num_alone = [], 0
    for row, name in enumerate(ids):
        group = widest[row]
        for level, cells in enumerate(narrower):
            group = group or known.get((level, cells[row]), cells[row])
        if not group:
            num_alone += 1
            group = name if name not in taken else f"image {name}"
        groups.append(group)
    kind = "group" if order[0] == "set" else order[0]
    notes = (f"{len(set(groups))} groups, by {kind}",)
    if num_alone:
        notes += (f"{num_alone} of {len(ids)} images have no {kind} and stand alone",)
    return groups, notes
