"""The journal: one JSON object a line, only ever appended to, of which a crash can tear the last line alone."""

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

from jaxal.errors import StoreError
from jaxal.store.files import make_folder, sync_folder, unwritable

_BLOCK = 1 << 16


def append(path: Path, event: Mapping) -> None:
    """Appends one event as one line and returns when it is durable.

    One write, flush and fsync. A torn last line that a crash left behind is cut off first, as `repair` does, so two
    events never share a line; a write that fails (disk full) is taken back. Keys stay in the order given, floats are
    written by repr, and floats that are not finite become null.

    Args:
      path: the journal; created, with its folders, when missing.
      event: plain Python (str, int, float, bool, None, lists, tuples, mappings with str keys) with a str `event`.

    Raises:
      TypeError: a value is not plain Python, such as a NumPy scalar; the message says where in the event. Nothing is
        written.
      StoreError: the line could not be written; the journal is as before.
    """
    plain = _plain(event, "event")
    if not isinstance(plain.get("event"), str):
        raise TypeError(f"a journal event needs the key 'event' with a string, got the keys {list(plain)}")
    line = json.dumps(plain, allow_nan=False).encode() + b"\n"
    try:
        make_folder(path.parent)
        is_new = not path.exists()
        with open(path, "ab", buffering=0) as file:
            end = os.fstat(file.fileno()).st_size - _torn_bytes(path)
            file.truncate(end)
            try:
                if file.write(line) != len(line):
                    raise OSError("short write, the disk is probably full")
                os.fsync(file.fileno())
            except BaseException:
                file.truncate(end)
                raise
        if is_new:
            sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error


def read(path: Path) -> list[dict]:
    """Reads every complete event, in order.

    A last line that is torn (no line end, or not a JSON object with `event`) is ignored: its event never happened.

    Args:
      path: the journal; a missing one holds no events.

    Raises:
      StoreError: a line before the last is broken, which no crash can do; or the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}. Correct the permissions.") from error
    lines = re.findall(rb"[^\n]*\n|[^\n]+", data)
    events = []
    for number, line in enumerate(lines, start=1):
        event = _parsed(line)
        if event is None and number == len(lines):
            break
        if event is None:
            raise StoreError(
                f"{path}, line {number} of {len(lines)} is not a JSON object with the key 'event'. A crash can tear "
                "only the last line, so the file was edited or the disk damaged it: restore it from a copy, or start "
                "again in another folder."
            )
        events.append(event)
    return events


def repair(path: Path) -> int:
    """Cuts a torn last line off, so that what `read` returns is all that the file holds.

    Args:
      path: the journal; a missing one needs no repair.

    Returns:
      The number of bytes removed, 0 when the journal ends in a complete event.

    Raises:
      StoreError: the file cannot be written.
    """
    try:
        torn = _torn_bytes(path)
        if torn:
            with open(path, "r+b", buffering=0) as file:
                file.truncate(os.fstat(file.fileno()).st_size - torn)
                os.fsync(file.fileno())
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise unwritable(path, error) from error
    return torn


def _torn_bytes(path: Path) -> int:
    """Returns the length of the last line if it is torn, else 0; reads no more than that line."""
    with open(path, "rb") as file:
        start = file.seek(0, os.SEEK_END)
        line = b""
        # The last line begins after the last line end but the closing one.
        while start > 0 and b"\n" not in line[:-1]:
            size = min(_BLOCK, start)
            start = file.seek(start - size)
            line = file.read(size) + line
    line = line[line[:-1].rfind(b"\n") + 1 :]
    return 0 if _parsed(line) is not None else len(line)


def _parsed(line: bytes) -> dict | None:
    """Returns the event of a complete line, None for anything else."""
    if not line.endswith(b"\n"):
        return None
    try:
        event = json.loads(line.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _plain(value: object, where: str):
    """Returns value as json writes it, with None for floats that are not finite; refuses what is not plain Python."""
    # Exact types: np.float64 is a subclass of float and would slip through isinstance.
    if value is None or type(value) in (str, int, bool):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        for key in value:
            if type(key) is not str:
                raise TypeError(f"{where}: keys must be str, got {key!r} ({type(key).__name__})")
        return {key: _plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    kind = f"{type(value).__module__}.{type(value).__name__}"
    raise TypeError(f"{where} is {kind}, not plain Python: convert it first (.tolist() for NumPy and JAX)")
