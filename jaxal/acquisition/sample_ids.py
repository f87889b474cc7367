"""Names of samples as the int32 numbers that noise is drawn by."""

import hashlib
from typing import Any

import numpy as np

from jaxal.acquisition.arrays import as_array
from jaxal.errors import InputError

__all__ = ["int32_ids"]

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
    rows = np.flatnonzero(is_used).tolist()
    texts = [_text(items[row], row) for row in rows]
    _refuse_repeated(texts, rows)
    numbers = np.zeros(len(items), np.int32)
    numbers[rows] = _numbers(texts)
    return numbers


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
        return f"s{item}"
    if isinstance(item, int | np.integer) and not isinstance(item, bool):
        return f"i{int(item)}"
    raise InputError(f"sample_ids: expected integers or text, got {type(item).__name__} in row {row}")


def _refuse_repeated(texts: list[str], rows: list[int]) -> None:
    seen: set[str] = set()
    repeated = [row for text, row in zip(texts, rows, strict=True) if text in seen or seen.add(text)]
    if repeated:
        first = ", ".join(str(row) for row in repeated[:5])
        raise InputError(
            f"sample_ids: {len(repeated)} of {len(texts)} rows have the id of an earlier row; the first are {first}"
        )


def _numbers(texts: list[str]) -> list[int]:
    numbers = {text: int(text[1:]) for text in texts if text[0] == "i" and 0 <= int(text[1:]) <= LARGEST}
    taken = set(numbers.values())
    for text in sorted(text for text in texts if text not in numbers):
        attempt = 0
        while (number := _hash(text, attempt)) in taken:
            attempt += 1
        numbers[text] = number
        taken.add(number)
    return [numbers[text] for text in texts]


def _hash(text: str, attempt: int) -> int:
    # The number of the attempt stands first, behind it a character that ends it.
    digest = hashlib.blake2b(f"{attempt} {text}".encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest, "big") & LARGEST
