"""What a pickle of `torch.save` says, told from its opcodes; nothing in it is ever called.

Loading a pickle runs whatever it names. Here its opcodes are only parsed (`pickletools.genops` executes nothing) and
played on a stack of plain values. The few names that tensors need stand for rules of this module; any other name, and
any opcode that such files do not have, refuses the file.
"""

import io
import pickletools
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["ELEMENTS", "MOST_OPCODES", "RefusedError", "Storage", "Tensor", "play_pickle"]

# Storages that are known: the type of their elements, little-endian. NumPy has no bfloat16: its bits are read.
ELEMENTS = {
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "|b1",
}
NAMES = {
    ("collections", "OrderedDict"): "dict",
    ("torch._utils", "_rebuild_tensor"): "tensor",
    ("torch._utils", "_rebuild_tensor_v2"): "tensor",
    ("torch._utils", "_rebuild_parameter"): "parameter",
    **{("torch", name): name for name in ELEMENTS},
}
# A network of a thousand tensors takes 50,000; memory is at most some hundred bytes for each.
MOST_OPCODES = 2_000_000
MOST_AXES = 8
MARK = object()
VALUES = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
    | {"STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES"}
    | {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
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
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class RefusedError(Exception):
    """The pickle has something in it that no file of tensors has; the message says what."""


class Storage(NamedTuple):
    """Numbers that lie elsewhere in the file."""

    elements: str  # a value of ELEMENTS
    key: str
    length: int  # in elements


class Tensor(NamedTuple):
    """A view of a storage; offset and stride count elements. Nothing of it is checked yet."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _Name(NamedTuple):
    """A name of the allow-list."""

    stands_for: str


def play_pickle(stream: io.BytesIO) -> Any:
    """Return what the pickle at the stream's position holds; the stream is left behind its end.

    Returns:
        Whole numbers, floats, text, bytes, lists, tuples, dicts (an OrderedDict is one) and Tensors of Storages.

    Raises:
        RefusedError: it has a name or an opcode that no file of tensors has, or more opcodes than any.
        Exception: of other types: it is damaged, or its end is missing.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for number, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if number == MOST_OPCODES:
            raise RefusedError(f"it has more than {MOST_OPCODES} opcodes")
        _step(opcode.name, argument, stack, memo)
    if len(stack) != 1 or stack[0] is MARK:
        raise RefusedError(f"it leaves {len(stack)} values")
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
        _filled(stack, list).extend(items)
    elif name in ("SETITEM", "SETITEMS"):
        items = _pop(stack, 2) if name == "SETITEM" else _pop_to_mark(stack)
        _set_items(_filled(stack, dict), items)
    elif name == "GLOBAL":
        module, _, attribute = argument.partition(" ")
        stack.append(_name(module, attribute))
    elif name == "STACK_GLOBAL":
        stack.append(_name(*_pop(stack, 2)))
    elif name == "REDUCE":
        stack.append(_reduced(*_pop(stack, 2)))
    elif name == "BINPERSID":
        stack.append(_storage(*_pop(stack, 1)))
    elif name == "BUILD":
        state = _pop(stack, 1)[0]
        # The attributes of a state dict hold versions of its layers, which say nothing about the numbers.
        if not isinstance(state, dict) or not isinstance(_filled(stack, dict), dict):
            raise RefusedError("it fills an object in a way that no tensor is filled")
    elif name not in NOTHING:
        raise RefusedError(f"it has the opcode {name}, which no such file has")


def _pop(stack: list[Any], count: int) -> list[Any]:
    items = stack[-count:]
    if len(items) < count or any(item is MARK for item in items):
        raise RefusedError("it takes more values than there are")
    del stack[-count:]
    return items


def _pop_to_mark(stack: list[Any]) -> list[Any]:
    mark = next((place for place in range(len(stack) - 1, -1, -1) if stack[place] is MARK), -1)
    if mark < 0:
        raise RefusedError("it takes more values than there are")
    items = stack[mark + 1 :]
    del stack[mark:]
    return items


def _filled(stack: list[Any], kind: type) -> Any:
    if not stack or type(stack[-1]) is not kind:
        raise RefusedError(f"it fills a {kind.__name__} that is none")
    return stack[-1]


def _set_items(table: dict[Any, Any], items: list[Any]) -> None:
    if len(items) % 2 or not all(isinstance(key, str | bytes | int | float) for key in items[::2]):
        raise RefusedError("a dict in it has keys that are neither text nor numbers")
    table.update(zip(items[::2], items[1::2], strict=True))


def _name(module: Any, attribute: Any) -> _Name:
    known = NAMES.get((module, attribute)) if isinstance(module, str) and isinstance(attribute, str) else None
    if known is None:
        named = f"{module}.{attribute}" if isinstance(module, str) and isinstance(attribute, str) else "no name"
        raise RefusedError(f"it names {named[:80]!a}, and only tensors are read")
    return _Name(known)


def _reduced(function: Any, arguments: Any) -> Any:
    """Return what a call of a name from the allow-list stands for."""
    if isinstance(function, _Name) and type(arguments) is tuple:
        match function.stands_for, arguments:
            case "dict", ():
                return {}
            case "tensor", (Storage() as storage, int() as offset, tuple() as size, tuple() as stride, *_) if (
                len(arguments) <= 7
                and max(len(size), len(stride)) <= MOST_AXES
                and all(type(each) is int for each in (offset, *size, *stride))
            ):
                return Tensor(storage, offset, tuple(size), tuple(stride))
            case "parameter", (Tensor() as tensor, bool(), dict()):
                return tensor
    raise RefusedError("it makes an object in a way that no tensor is made")


def _storage(persistent_id: Any) -> Storage:
    match persistent_id:
        case ("storage", _Name(stands_for), str() as key, str(), int() as count, *views) if (
            stands_for in ELEMENTS and views in ([], [None]) and type(count) is int
        ):
            return Storage(ELEMENTS[stands_for], key, count)
    raise RefusedError("it refers to something that is no storage of numbers, or a view of one as before PyTorch 0.4")
