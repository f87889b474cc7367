"""The folder that a build writes to: never the user's data, never anything else's, and one process at a time."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import msgspec

from jaxal.data.cache_files import clear_temporaries, temporary_file
from jaxal.data.problems import examples, shown
from jaxal.data.shard_files import Form
from jaxal.errors import DataError

__all__ = ["MARK", "check_apart", "clear_shards_from", "hold_folder"]

# Says whose folder this is from the first moment on.
MARK, LOCK = "build.json", ".lock"
SHARD_NAME = re.compile(r"images-(\d{5,})\.(npy|json)")


class Mark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a folder was begun for."""

    jaxal_build: int
    image_size: int
    color: str


def check_apart(out: Path, folders: Iterable[str]) -> None:
    """Refuse a folder that is one with the data or lies in it: nothing is ever written there.

    Raises:
        DataError: names both.
    """
    target = os.path.realpath(out)
    for folder in folders:
        data = os.path.realpath(folder)
        if target == data or target.startswith(data.rstrip(os.sep) + os.sep):
            raise DataError(
                f"--out {shown(str(out))}: lies in the data's own folder {shown(data)}, where nothing is written. "
                "Choose a folder elsewhere."
            )


@contextmanager
def hold_folder(out: Path, form: Form) -> Iterator[None]:
    """Hold a folder for one build, new or begun before; what killed builds left unfinished is cleared away.

    The lock is the kernel's, on an empty file that stays: it is gone with its process, however that ends.

    Raises:
        DataError: the folder holds something else, or images of another form, another process builds there, or it
            cannot be written.
    """
    try:
        _check_empty_or_ours(out)
        out.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(out / LOCK)
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise DataError(
            f"--out {shown(str(out))}: another process is building there. Wait until it is done."
        ) from error
    except OSError as error:
        raise DataError(f"--out {shown(str(out))}: cannot write to it: {error.strerror or error}") from error
    try:
        _claim(out, form)
        clear_temporaries(out, older_than=0)
        yield
    finally:
        lock.release()


def clear_shards_from(out: Path, number: int) -> None:
    """Remove the shards from a number on: of an earlier, longer list of images."""
    for path in out.iterdir():
        match = SHARD_NAME.fullmatch(path.name)
        if match and int(match[1]) >= number:
            path.unlink()


def _check_empty_or_ours(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise DataError(f"--out {shown(str(out))}: not a folder")
    # A build that was killed at once leaves a lock and a file that was to become the mark.
    others = sorted(name for name in os.listdir(out) if name != LOCK and not name.startswith(f".{MARK}."))
    if others and MARK not in others:
        raise DataError(
            f"--out {shown(str(out))}: holds something else ({examples(others)}); nothing was changed. Choose a new or "
            "empty folder."
        )


def _claim(out: Path, form: Form) -> None:
    wanted = Mark(1, form.size, form.color)
    try:
        data = (out / MARK).read_bytes()
    except FileNotFoundError:
        with temporary_file(out / MARK) as file:
            file.write(msgspec.json.encode(wanted))
        return
    try:
        found = msgspec.json.decode(data, type=Mark)
    except msgspec.MsgspecError as error:
        raise DataError(
            f"--out {shown(str(out))}: {MARK} in it is damaged, or not of jaxal. Choose a new or empty folder."
        ) from error
    if found != wanted:
        raise DataError(
            f"--out {shown(str(out))}: holds images of size {found.image_size}, {found.color}; asked for are "
            f"{form.size}, {form.color}. Choose another folder, or delete that one."
        )
