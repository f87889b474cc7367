"""What a pickle of plain values and number arrays says, told from its opcodes; nothing in it is ever called.

CIFAR's python version comes as pickles. The few names that such files need, those by which NumPy rebuilds an array,
stand for rules of this module; any other name refuses the file.
"""

import math
from typing import Any

import numpy as np

from jaxal.errors import DataError
from jaxal.pickled import BYTES, INTEGERS, TEXT, Name, RefusedError, Rules, play

__all__ = ["read_cifar_pickle"]

MULTIARRAY, NUMERIC = ("numpy.core.multiarray", "numpy._core.multiarray"), ("numpy.core.numeric", "numpy._core.numeric")
# The names that are known; what each of them stands for.
NAMES = {
    **{(module, "_reconstruct"): "array" for module in MULTIARRAY},
    **{(module, "_frombuffer"): "buffer" for module in NUMERIC},
    ("numpy", "ndarray"): "array type",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "bytes",  # so Python 3 writes bytes in protocols below 3
}
MAX_AXES = 4


class _Type(list):
    """A dtype: its code, then its byte order once that is told."""


class _Array(list):
    """An array: shape, dtype, whether the first axis runs fastest, bytes; empty until that is told."""


def read_cifar_pickle(data: bytes, where: str) -> dict[str, Any]:
    """Read a pickled dict, of protocol 0 to 5, written by Python 2 or 3.

    Args:
        data: the file's bytes.
        where: the file, for refusals.

    Returns:
        The dict with its keys as text. Its values are whole numbers, text, bytes (as text of characters up to 255 where
        Python 2 wrote them), lists, tuples and dicts of such; arrays of whole numbers are NumPy's.

    Raises:
        DataError: no whole pickle, not a dict, or one that names anything but NumPy's arrays of whole numbers.
    """
    try:
        found, end = play(data, RULES)
        if end + 1 != len(data):
            raise RefusedError(f"{len(data) - end - 1} bytes follow its end")
        if not isinstance(found, dict):
            raise RefusedError("it is no dict")
        return {_text(key): _array(value) if isinstance(value, _Array) else value for key, value in found.items()}
    except RefusedError as error:
        raise DataError(f"{where}: refused, nothing of it was run: {error}. Get CIFAR's own file again.") from error
    except MemoryError as error:
        raise DataError(f"{where}: not enough memory for its {len(data)} bytes") from error
    except Exception as error:  # bytes from outside go through several parsers: anything may come out
        why = f"{type(error).__name__}: {error}"
        raise DataError(f"{where}: damaged, or no pickle of CIFAR: {why}. Get the file again.") from error


def _reduced(function: Any, arguments: Any) -> Any:
    """Return what a call of a name from the allow-list stands for."""
    match function, arguments:
        case Name("bytes"), (str(text), "latin1" | "latin-1"):
            return text
        case Name("array"), (Name("array type"), (0,), str() | bytes()):
            return _Array()
        case Name("dtype"), (str(code), bool() | int(), bool() | int()):
            return _Type([code])
        case Name("buffer"), (
            str() | bytes() | bytearray() as data,
            _Type() as kind,
            tuple() as shape,
            "C" | "F" as order,
        ):
            return _Array([shape, kind, order == "F", data])
    raise RefusedError("it makes an object in a way that no array is made")


def _build(target: Any, state: Any) -> None:
    match target, state:
        case _Type() as kind, (int(), "<" | ">" | "|" | "=" as order, None, None, None, int(), int(), int()) if (
            len(kind) == 1
        ):
            kind.append(order)
        case _Array() as array, (
            int(),
            tuple() as shape,
            _Type() as kind,
            bool() | int() as is_fortran,
            str() | bytes() as data,
        ):
            array[:] = [shape, kind, bool(is_fortran), data]
        case _:
            raise RefusedError("it fills an object in a way that no array is filled")


def _array(found: _Array) -> np.ndarray:
    """Make the array; its size must be that of its bytes."""
    if not found:
        raise RefusedError("an array in it has no data")
    shape, kind, is_fortran, data = found
    order, code = (kind[1] if len(kind) > 1 else "|"), kind[0]
    if code not in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"):
        raise RefusedError(f"an array in it is of type {ascii(code)[:20]}, not of whole numbers")
    flat = np.frombuffer(data.encode("latin-1") if isinstance(data, str) else data, np.dtype(order + code))
    # No length above the count: what a hostile file claims is never multiplied out.
    if len(shape) > MAX_AXES or not all(type(length) is int and 0 <= length <= flat.size for length in shape):
        raise RefusedError(f"an array of {flat.size} numbers in it has no proper shape")
    if math.prod(shape) != flat.size:
        raise RefusedError(f"an array in it should be {shape} but has {flat.size} numbers")
    return flat.reshape(shape, order="F" if is_fortran else "C")


def _text(key: Any) -> str:
    return key.decode() if isinstance(key, bytes) else str(key)


RULES = Rules(
    read="arrays of whole numbers",
    values=INTEGERS | TEXT | BYTES | {"BINBYTES8", "BYTEARRAY8"},
    names=NAMES,
    called=_reduced,
    fill=_build,
)
