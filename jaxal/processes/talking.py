"""Small facts that processes tell each other: what the first one says, and what each says.

They go through the key-value store of jax.distributed's coordinator, not through the devices: there a process may wait
for hours, and still hear a Ctrl-C, or that another has ended.
"""

import itertools
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import jax

# The store has no public name; Orbax goes the same way to it.
from jax._src import distributed

from jaxal.errors import ProcessError

__all__ = [
    "agree",
    "begin_talk",
    "from_each",
    "from_first",
    "is_first",
    "key_of",
    "num_processes",
    "own_number",
    "store",
]

T = TypeVar("T")

# How long a wait may keep Python from looking at signals.
WAIT_MS = 500
# Values are sent in pieces: a message of the store holds 4 MiB at most.
PIECE = 2**20

_talk = 0
_numbers: Iterator[int] = itertools.count()
# Keys that this process has set and others may still read; at the next `from_each` all of them have.
_keys: list[str] = []


def num_processes() -> int:
    """Count the processes; 1 where jax.distributed is not in use."""
    return jax.process_count() if jax.distributed.is_initialized() else 1


def own_number() -> int:
    """Return the number of this process, from 0."""
    return jax.process_index() if jax.distributed.is_initialized() else 0


def is_first() -> bool:
    """Tell whether this is process 0, which alone writes the run folder and prints."""
    return own_number() == 0


def from_first(what: str, make: Callable[[], T]) -> T:
    """Let process 0 make something, and give it to all.

    Every process must come here, in the same order. An error in process 0 ends the others (`ending_together`).

    Args:
        what: is made, in a few words; the same in all processes.
        make: gives anything that JSON keeps as it is; called in process 0 alone.
    """
    if num_processes() == 1:
        return make()
    name = key_of(next(_numbers))
    if is_first():
        value = make()
        _set(name, {"what": what, "value": value})
        return value
    return _read(name, what)


def from_each(what: str, value: T) -> list[T]:
    """Tell all processes a value, and return those of all, by their numbers.

    Every process must come here, in the same order.

    Args:
        what: is told, in a few words; the same in all processes.
        value: anything that JSON keeps as it is.
    """
    if num_processes() == 1:
        return [value]
    number = next(_numbers)
    read_by_all = list(_keys)
    _keys.clear()
    _set(key_of(number, own_number()), {"what": what, "value": value})
    values = [_read(key_of(number, other), what) for other in range(num_processes())]
    for key in read_by_all:  # whoever has come here has read all that was told before
        store().key_value_delete(key)
    return values


def agree(facts: Mapping[str, str]) -> None:
    """Refuse to go on where a fact is not the same in all processes.

    Args:
        facts: short texts, such as hashes, by what they are of.

    Raises:
        ProcessError: in all of them; says which facts differ, and what they are where.
    """
    hosts = from_each("hosts", socket.gethostname())
    told = from_each("what all must have alike", dict(facts))
    differing = [
        f"  {name}: {told[0].get(name, 'nothing')} in process 0 ({hosts[0]}),"
        f" {found.get(name, 'nothing')} in process {number} ({hosts[number]})"
        for number, found in enumerate(told)
        for name in sorted(told[0].keys() | found.keys())
        if found.get(name) != told[0].get(name)
    ]
    if differing:
        raise ProcessError(
            "the processes do not run the same study:\n"
            + "\n".join(differing)
            + "\nGive all hosts the same command, config, data and versions of the packages."
        )


def begin_talk() -> None:
    """Count what is told from 0 again, apart from all that was told before; in all processes at once."""
    global _talk, _numbers
    _talk += 1
    _numbers = itertools.count()


def key_of(*parts: int | str) -> str:
    """Name something in the store, apart from that of other talks."""
    return "/".join(map(str, ("jaxal", _talk, *parts)))


def store() -> Any:
    """Return the client of the coordinator's key-value store."""
    return distributed.global_state.client


def _set(key: str, message: Any) -> None:
    text = json.dumps(message)
    pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
    for number, piece in enumerate([str(len(pieces)), *pieces]):
        _keys.append(f"{key}:{number}")
        store().key_value_set(_keys[-1], piece)


def _read(key: str, what: str) -> Any:
    pieces = [_wait(f"{key}:{number}") for number in range(1, int(_wait(f"{key}:0")) + 1)]
    message = json.loads("".join(pieces))
    if message["what"] != what:
        raise RuntimeError(f"the processes are out of step: {what!r} here, {message['what']!r} there")
    return message["value"]


def _wait(key: str) -> str:
    """Read a key once it is there, however long that takes."""
    while True:
        try:
            return store().blocking_key_value_get(key, WAIT_MS)
        except jax.errors.JaxRuntimeError as error:
            if "DEADLINE_EXCEEDED" not in str(error):
                raise
