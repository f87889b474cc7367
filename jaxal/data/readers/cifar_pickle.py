"""What a pickle of plain values and number arrays says, told from its opcodes; nothing in it is ever called.

CIFAR's python version comes as pickles, and loading a pickle runs whatever it names. Here its opcodes are only parsed
(`pickletools.genops` executes nothing) and played on a stack of plain values. The few names that such files need, those
by which NumPy rebuilds an array, stand for rules of this module; any other name refuses the file.
"""

import math
import pickletools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxal.errors import DataError

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
MARK = object()
# Opcodes that push what they carry.
VALUES = frozenset(
    [
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG",
        "LONG1",
        "LONG4",
        "STRING",
        "BINSTRING",
        "SHORT_BINSTRING",
        "UNICODE",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE8",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINBYTES8",
        "BYTEARRAY8",
    ]
)
EMPTY: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "MARK": lambda: MARK,
}
NOTHING = frozenset({"PROTO", "FRAME", "STOP"})
PUTS, GETS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"}), frozenset({"GET", "BINGET", "LONG_BINGET"})
MAX_AXES = 4
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Name(NamedTuple):
    """A name of the allow-list."""

    stands_for: str


class _Type(list):
    """A dtype: its code, then its byte order once that is told."""


class _Array(list):
    """An array: shape, dtype, whether the first axis runs fastest, bytes; empty until that is told."""


class _RefusedError(Exception):
    pass


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
        found = _play(data)
        if not isinstance(found, dict):
            raise _RefusedError("it is no dict")
        return {_text(key): _array(value) if isinstance(value, _Array) else value for key, value in found.items()}
    except _RefusedError as error:
        raise DataError(f"{where}: refused, nothing of it was run: {error}. Get CIFAR's own file again.") from error
    except MemoryError as error:
        raise DataError(f"{where}: not enough memory for its {len(data)} bytes") from error
    except Exception as error:  # bytes from outside go through several parsers: anything may come out
        why = f"{type(error).__name__}: {error}"
        raise DataError(f"{where}: damaged, or no pickle of CIFAR: {why}. Get the file again.") from error


def _play(data: bytes) -> Any:
    """Play the opcodes on a stack; return what is on top at the end."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    end = 0
    for opcode, argument, position in pickletools.genops(data):
        end = position or 0
        _step(opcode.name, argument, stack, memo)
    if end + 1 != len(data):
        raise _RefusedError(f"{len(data) - end - 1} bytes follow its end")
    if len(stack) != 1:
        raise _RefusedError(f"it leaves {len(stack)} values")
    return stack[0]


def _step(name: str, argument: Any, stack: list[Any], memo: dict[int, Any]) -> None:
    if name in VALUES:
        stack.append(argument)
    elif name in EMPTY:
        stack.append(EMPTY[name]())
    elif name in PUTS:
        memo[argument] = stack[-1]
    elif name == "MEMOIZE":
        memo[len(memo)] = stack[-1]
    elif name in GETS:
        stack.append(memo[argument])
    elif name in TUPLES:
        stack.append(tuple(_pop(stack, TUPLES[name])))
    elif name == "TUPLE":
        stack.append(tuple(_pop_to_mark(stack)))
    elif name == "LIST":
        stack.append(_pop_to_mark(stack))
    elif name == "DICT":
        table: dict[Any, Any] = {}
        _set_items(table, _pop_to_mark(stack))
        stack.append(table)
    elif name in ("APPEND", "APPENDS"):
        items = _pop(stack, 1) if name == "APPEND" else _pop_to_mark(stack)
        _plain(stack[-1], list).extend(items)
    elif name in ("SETITEM", "SETITEMS"):
        items = _pop(stack, 2) if name == "SETITEM" else _pop_to_mark(stack)
        _set_items(_plain(stack[-1], dict), items)
    elif name == "GLOBAL":
        module, _, attribute = argument.partition(" ")
        stack.append(_name(module, attribute))
    elif name == "STACK_GLOBAL":
        stack.append(_name(*_pop(stack, 2)))
    elif name == "REDUCE":
        stack.append(_reduced(*_pop(stack, 2)))
    elif name == "BUILD":
        _build(stack[-2], stack.pop())
    elif name not in NOTHING:
        raise _RefusedError(f"it has the opcode {name}, which no such file has")


def _pop(stack: list[Any], count: int) -> list[Any]:
    items = stack[-count:]
    if len(items) < count or any(item is MARK for item in items):
        raise _RefusedError("it takes more values than there are")
    del stack[-count:]
    return items


def _pop_to_mark(stack: list[Any]) -> list[Any]:
    mark = next((place for place in range(len(stack) - 1, -1, -1) if stack[place] is MARK), -1)
    if mark < 0:
        raise _RefusedError("it takes more values than there are")
    items = stack[mark + 1 :]
    del stack[mark:]
    return items


def _plain(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise _RefusedError(f"it fills a {kind.__name__} that is none")
    return value


def _set_items(table: dict[Any, Any], items: list[Any]) -> None:
    if len(items) % 2 or not all(isinstance(key, str | bytes | int) for key in items[::2]):
        raise _RefusedError("a dict in it has keys that are no text")
    table.update(zip(items[::2], items[1::2], strict=True))


def _name(module: Any, attribute: Any) -> _Name:
    known = NAMES.get((module, attribute)) if isinstance(module, str) and isinstance(attribute, str) else None
    if known is None:
        named = f"{module}.{attribute}"[:80]
        raise _RefusedError(f"it names {named!a}, and only arrays of whole numbers are read")
    return _Name(known)


def _reduced(function: Any, arguments: Any) -> Any:
    """Return what a call of a name from the allow-list stands for."""
    match function, arguments:
        case _Name("bytes"), (str(text), "latin1" | "latin-1"):
            return text
        case _Name("array"), (_Name("array type"), (0,), str() | bytes()):
            return _Array()
        case _Name("dtype"), (str(code), bool() | int(), bool() | int()):
            return _Type([code])
        case _Name("buffer"), (
            str() | bytes() | bytearray() as data,
            _Type() as kind,
            tuple() as shape,
            "C" | "F" as order,
        ):
            return _Array([shape, kind, order == "F", data])
    raise _RefusedError("it makes an object in a way that no array is made")


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
            raise _RefusedError("it fills an object in a way that no array is filled")


def _array(found: _Array) -> np.ndarray:
    """Make the array; its size must be that of its bytes."""
    if not found:
        raise _RefusedError("an array in it has no data")
    shape, kind, is_fortran, data = found
    order, code = (kind[1] if len(kind) > 1 else "|"), kind[0]
    if code not in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"):
        raise _RefusedError(f"an array in it is of type {ascii(code)[:20]}, not of whole numbers")
    flat = np.frombuffer(data.encode("latin-1") if isinstance(data, str) else data, np.dtype(order + code))
    # No length above the count: what a hostile file claims is never multiplied out.
    if len(shape) > MAX_AXES or not all(type(length) is int and 0 <= length <= flat.size for length in shape):
        raise _RefusedError(f"an array of {flat.size} numbers in it has no proper shape")
    if math.prod(shape) != flat.size:
        raise _RefusedError(f"an array in it should be {shape} but has {flat.size} numbers")
    return flat.reshape(shape, order="F" if is_fortran else "C")


def _text(key: Any) -> str:
    return key.decode() if isinstance(key, bytes) else str(key)
