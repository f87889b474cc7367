"""Lists of images that are there twice: one of each pair goes, never both."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from jaxal.data.readers.column_names import plain_name
from jaxal.data.readers.csv_text import Table
from jaxal.data.readers.label_columns import cells_of

__all__ = ["Copies", "pair_columns", "pairs_of", "second_copies"]

PAIRS = (("image_name_1", "image_name_2"), ("isic_id", "isic_id_paired"))
STEMS = ("image", "image_id", "image_name", "isic_id", "file", "file_name", "filename", "id", "name")


class Copies(NamedTuple):
    """What a list of pairs says of the images that there are."""

    second: frozenset[str]  # ids of the second images: these go
    num_single: int  # sets of copies of which one image alone is there: it stays
    num_elsewhere: int  # pairs of which none is there
    num_self: int  # pairs of an image with itself


def pair_columns(header: Sequence[str]) -> tuple[str, str] | None:
    """Find the two columns of a list of pairs, by their names alone."""
    plain = {plain_name(column): column for column in header}
    named = [*PAIRS, *((f"{stem}_1", f"{stem}_2") for stem in STEMS), *((stem, f"{stem}_paired") for stem in STEMS)]
    return next(((plain[one], plain[two]) for one, two in named if one in plain and two in plain), None)


def pairs_of(table: Table, columns: tuple[str, str]) -> list[tuple[str, str]]:
    """Read the pairs of a list, as they are written."""
    return list(zip(cells_of(table, columns[0]), cells_of(table, columns[1]), strict=True))


def second_copies(pairs: Iterable[tuple[str, str]], ids: Collection[str], id_of: Callable[[str], str]) -> Copies:
    """Choose the images to drop: the second of each pair, but never all that are copies of each other.

    Pairs that share an image make one set of copies. Of a set at least one image that is there stays: the first of its
    ids where the pairs would drop all of them, as (a, b) and (b, a) do.

    Args:
        pairs: names as they are written.
        ids: of the images that there are.
        id_of: makes an id of a name.
    """
    known = [(id_of(one), id_of(two)) for one, two in pairs]
    others = [pair for pair in known if pair[0] != pair[1]]
    sets = _sets(others)
    seconds = {two for _, two in others if two in ids}
    dropped: set[str] = set()
    num_single = 0
    for members in {id(each): each for each in sets.values()}.values():
        present = sorted(name for name in members if name in ids)
        going = [name for name in present if name in seconds]
        num_single += len(present) == 1
        dropped.update(going[1:] if len(going) == len(present) else going)
    return Copies(
        second=frozenset(dropped),
        num_single=num_single,
        num_elsewhere=sum(one not in ids and two not in ids for one, two in others),
        num_self=len(known) - len(others),
    )


def _sets(pairs: Iterable[tuple[str, str]]) -> Mapping[str, set[str]]:
    """Join pairs that share a name; every name has the set that it is in."""
    sets: dict[str, set[str]] = {}
    for one, two in pairs:
        first, second = sets.get(one, {one}), sets.get(two, {two})
        if first is not second:
            first, second = (first, second) if len(first) >= len(second) else (second, first)
            first |= second
            sets.update(dict.fromkeys(second, first))
        sets[one] = sets[two] = first
    return sets
