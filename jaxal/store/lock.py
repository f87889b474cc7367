"""One process at a time in a run folder; the kernel lets go of it when that process dies, however it dies."""

import contextlib
import datetime
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import filelock

from jaxal.errors import StoreError
from jaxal.store.files import make_folder, unwritable, write_atomic

LOCK = ".lock"
NOTE = ".lock.json"


class HeldError(StoreError):
    """A folder that somebody else holds."""


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Holds a folder for the block; a second process (or a second hold in this one) is refused at once.

    The lock is the kernel's, on `.lock`, which stays behind as an empty file; `.lock.json` says who holds it (pid,
    host, since) and is removed on release. After a SIGKILL a stale note remains, which the next holder overwrites.

    Args:
      folder: the folder to hold; created when missing.

    Raises:
      HeldError: somebody holds it; the message says who.
      StoreError: the folder cannot be written.
    """
    try:
        make_folder(folder)
    except OSError as error:
        raise unwritable(folder, error) from error
    lock = filelock.FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise HeldError(
            f"{folder} is in use by {_holder(folder)}. Wait until that is done, stop it, or choose another folder."
        ) from error
    except OSError as error:
        raise unwritable(folder / LOCK, error) from error
    try:
        note = {"pid": os.getpid(), "host": socket.gethostname(), "since": _now()}
        write_atomic(folder / NOTE, json.dumps(note) + "\n")
        yield
    finally:
        try:
            with contextlib.suppress(OSError):  # a note that stays says nothing without the lock
                (folder / NOTE).unlink(missing_ok=True)
        finally:
            lock.release()


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _holder(folder: Path) -> str:
    try:
        note = json.loads((folder / NOTE).read_bytes())
        return f"process {note['pid']} on {note['host']} since {note['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process, which has not left its number yet"
