"""Pickles told from their opcodes; nothing in one is ever called.

Loading a pickle runs whatever it names. Here its opcodes are only parsed (`pickletools.genops` executes nothing) and
played on a stack of plain values. What names stand for, and what calling or filling them comes to, are the rules of
those who read some kind of file; what has no rule refuses the file.
"""

import io
import pickletools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = ["BYTES", "FLOATS", "INTEGERS", "TEXT", "Name", "RefusedError", "Rules", "play"]

# Opcodes that push what they carry.
INTEGERS = frozenset({"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"})
FLOATS = frozenset({"FLOAT", "BINFLOAT"})
TEXT = frozenset({"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"})
BYTES = frozenset({"STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES"})
MARK = object()
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
# A network of a thousand tensors takes 50,000; memory is at most some hundred bytes for each.
MOST_OPCODES = 2_000_000


class RefusedError(Exception):
    """The pickle has something in it that no such file has; the message says what."""


class Name(NamedTuple):
    """A name of the allow-list."""

    stands_for: str


class Rules(NamedTuple):
    """What there may be in the pickles of some kind of file."""

    read: str  # what is read, for refusals: "arrays"
    values: frozenset[str]  # opcodes that push what they carry
    names: Mapping[tuple[str, str], str]  # (module, attribute) -> what the name stands for
    called: Callable[[Any, Any], Any]  # what a function with its arguments comes to
    fill: Callable[[Any, Any], None]  # give an object its state
    others: Mapping[str, Callable[[Any], Any]] = {}  # further opcodes, each of which makes one value of one


def play(data: bytes | io.BytesIO, rules: Rules) -> tuple[Any, int]:
    """Play a pickle's opcodes on a stack.

    Returns:
        (what is on the stack at the end, the place of the last opcode).

    Raises:
        RefusedError: it has a name or an opcode that the rules have not, or more opcodes than any such file.
        Exception: of other types: it is damaged, or its end is missing.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    end = 0
    for number, (opcode, argument, position) in enumerate(pickletools.genops(data)):
        if number == MOST_OPCODES:
            raise RefusedError(f"it has more than {MOST_OPCODES} opcodes")
        end = position or 0
        _step(opcode.name, argument, stack, memo, rules)
    if len(stack) != 1 or stack[0] is MARK:
        raise RefusedError(f"it leaves {len(stack)} values")
    return stack[0], end


def _step(name: str, argument: Any, stack: list[Any], memo: dict[int, Any], rules: Rules) -> None:
    if name in rules.values:
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
        _on_top(stack, list).extend(items)
    elif name in ("SETITEM", "SETITEMS"):
        items = _pop(stack, 2) if name == "SETITEM" else _pop_to_mark(stack)
        _set_items(_on_top(stack, dict), items)
    elif name == "GLOBAL":
        module, _, attribute = argument.partition(" ")
        stack.append(_name(module, attribute, rules))
    elif name == "STACK_GLOBAL":
        module, attribute = _pop(stack, 2)
        stack.append(_name(module, attribute, rules))
    elif name == "REDUCE":
        stack.append(rules.called(*_pop(stack, 2)))
    elif name == "BUILD":
        (state,) = _pop(stack, 1)
        rules.fill(stack[-1], state)
    elif name in rules.others:
        stack.append(rules.others[name](*_pop(stack, 1)))
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


def _on_top(stack: list[Any], kind: type) -> Any:
    if not stack or type(stack[-1]) is not kind:
        raise RefusedError(f"it fills a {kind.__name__} that is none")
    return stack[-1]


def _set_items(table: dict[Any, Any], items: list[Any]) -> None:
    if len(items) % 2 or not all(isinstance(key, str | bytes | int | float) for key in items[::2]):
        raise RefusedError("a dict in it has keys that are neither text nor numbers")
    table.update(zip(items[::2], items[1::2], strict=True))


def _name(module: Any, attribute: Any, rules: Rules) -> Name:
    known = rules.names.get((module, attribute)) if isinstance(module, str) and isinstance(attribute, str) else None
    if known is None:
        named = f"{module}.{attribute}" if isinstance(module, str) and isinstance(attribute, str) else "no name"
        raise RefusedError(f"it names {named[:80]!a}, and only {rules.read} are read")
    return Name(known)
