"""Names of samples as the int32 numbers that noise is drawn by."""

import hashlib
import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from jaxal.acquisition.arrays import as_array
from jaxal.errors import InputError

__all__ = ["int32_ids", "int32_text_ids"]

LARGEST = 2**31 - 1


def int32_ids(values: Any, is_used: np.ndarray) -> np.ndarray:
    """Number samples by their ids: the same id gets the same number in any pool, and two ids never the same.

    Integers from 0 to 2³¹-1 are their own numbers. Any other integer, and text, is hashed (BLAKE2) to that range. Where
    two meet (two of 65,000 do, with a chance of .6), the later in the order of their texts is hashed again, so that
    the order of the pool does not matter; only there could a number depend on which other ids are in the pool.

    Args:
        values: one integer or text a row, an array or a list.
        is_used: bool [N]; ids of other rows are not looked at, and are numbered 0.

    Raises:
        InputError: other types or another length, or an id that several rows share.
    """
    items = list(values) if isinstance(values, list | tuple) else _array_items(values)
    if len(items) != len(is_used):
        raise InputError(f"sample_ids: expected shape [N] = [{len(is_used)}], got [{len(items)}]")

    def texts_of(rows: Iterable[int]) -> Iterator[str]:
        return (_text(items[row], row) for row in rows)

    return _numbers(texts_of(np.flatnonzero(is_used).tolist()), texts_of, is_used)


def int32_text_ids(
    names: Iterable[str], names_of: Callable[[Iterable[int]], Iterable[str]], is_used: np.ndarray
) -> np.ndarray:
    """Number samples as `int32_ids` does where each id is a text, and none of them need be in memory.

    Args:
        names: of all rows, gone through once.
        names_of: looks those of some rows up.
        is_used: bool [N].

    Raises:
        InputError: an id that several rows share.

    Cost: a hash of each id, and a sort of N numbers; ids whose hashes meet are looked at again.
    """

    def texts_of(rows: Iterable[int]) -> Iterator[str]:
        return map(_marked, names_of(rows))

    return _numbers(map(_marked, itertools.compress(names, is_used)), texts_of, is_used)


def _array_items(values: Any) -> list[Any]:
    array = np.asarray(as_array("sample_ids", values))
    if array.ndim != 1:
        raise InputError(f"sample_ids: expected shape [N], got {list(array.shape)}")
    try:
        return array.tolist()
    except ValueError as error:
        raise InputError(f"sample_ids: hold text that is not Unicode: {error}") from error


def _text(item: Any, row: int) -> str:
    """Write an id so that no integer reads like a text."""
    if isinstance(item, str):
        return _marked(item)
    if isinstance(item, int | np.integer) and not isinstance(item, bool):
        return f"i{int(item)}"
    raise InputError(f"sample_ids: expected integers or text, got {type(item).__name__} in row {row}")


def _marked(name: str) -> str:
    return f"s{name}"


def _numbers(
    texts: Iterable[str], texts_of: Callable[[Iterable[int]], Iterable[str]], is_used: np.ndarray
) -> np.ndarray:
    """Give each used row its own number, or its hash, or where an earlier text has that, a further hash."""
    rows = np.flatnonzero(is_used)
    firsts = np.fromiter(map(_first, texts), np.int32, len(rows))
    order = np.argsort(firsts, kind="stable")
    ascending = firsts[order]
    is_same = ascending[1:] == ascending[:-1]
    shared = np.sort(order[np.append(is_same, False) | np.append(False, is_same)])  # few of them, unless ids repeat
    shared_rows = rows[shared].tolist()
    shared_texts = list(texts_of(shared_rows))
    _refuse_repeated(shared_texts, shared_rows, len(rows))
    waiting = [(*_turn(text), place) for text, place in zip(shared_texts, shared.tolist(), strict=True)]
    heapq.heapify(waiting)
    met, taken = set(shared.tolist()), set[int]()

    def is_taken(number: int, turn: tuple[bool, str]) -> bool:
        """Tell whether an earlier text has a number; a later one that would have had it waits for its turn now."""
        if number in taken:
            return True
        place = int(np.searchsorted(ascending, np.int32(number)))
        if place == len(order) or ascending[place] != number or (holder := int(order[place])) in met:
            return False
        (text,) = texts_of([int(rows[holder])])
        if _turn(text) < turn:
            return True
        met.add(holder)
        heapq.heappush(waiting, (*_turn(text), holder))
        return False

    while waiting:
        is_hashed, text, place = heapq.heappop(waiting)
        attempt, number = 0, int(firsts[place])
        while is_taken(number, (is_hashed, text)):
            attempt += 1
            number = _hash(text, attempt)
        firsts[place] = number
        taken.add(number)
    numbers = np.zeros(len(is_used), np.int32)
    numbers[rows] = firsts
    return numbers


def _refuse_repeated(texts: list[str], rows: list[int], num_rows: int) -> None:
    seen: set[str] = set()
    repeated = [row for text, row in zip(texts, rows, strict=True) if text in seen or seen.add(text)]
    if repeated:
        first = ", ".join(str(row) for row in repeated[:5])
        raise InputError(
            f"sample_ids: {len(repeated)} of {num_rows} rows have the id of an earlier row; the first are {first}"
        )


def _turn(text: str) -> tuple[bool, str]:
    """Order texts: those that are their own numbers come first."""
    return not _is_own_number(text), text


def _is_own_number(text: str) -> bool:
    return text[0] == "i" and 0 <= int(text[1:]) <= LARGEST


def _first(text: str) -> int:
    return int(text[1:]) if _is_own_number(text) else _hash(text, 0)


def _hash(text: str, attempt: int) -> int:
    # The number of the attempt stands first, behind it a character that ends it.
    digest = hashlib.blake2b(f"{attempt} {text}".encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest, "big") & LARGEST
