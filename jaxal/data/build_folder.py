"""The folder that a build writes to: never the user's data, never anything else's, and one process at a time."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import msgspec

from jaxal.config.data import ImagesConfig
from jaxal.data.cache_files import clear_temporaries, temporary_file
from jaxal.data.manifest import has_manifest
from jaxal.data.problems import examples, shown
from jaxal.data.shard_files import Form
from jaxal.errors import DataError

__all__ = ["check_apart", "clear_shards_from", "data_folders", "hold_folder", "is_build_folder"]

# Says whose folder this is from the first moment on.
MARK, LOCK = "build.json", ".lock"
SHARD_NAME = re.compile(r"images-(\d{5,})\.(npy|json)")


class Mark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a folder was begun for."""

    jaxal_build: int
    image_size: int
    color: str


def is_build_folder(path: Path) -> bool:
    """Tell whether a path is a folder made by a build, or begun by one; it may be unfinished or damaged."""
    try:
        return has_manifest(path) or _mark_in(path) is not None
    except (OSError, msgspec.MsgspecError):
        return False


def data_folders(config: ImagesConfig, files: Iterable[str]) -> set[str]:
    """Find the folders that are the user's data, whole.

    The folder of a CSV file may hold other things too: of it count the folders that the images are in, at any depth.

    Args:
        config: of the data.
        files: paths of the images; where there is none, it does not count.
    """
    path = Path(config.path).expanduser().absolute()
    top = path if path.is_dir() else path.parent
    given = {base / Path(each).expanduser() for each in config.images for base in (Path.cwd(), top)}
    folders = {str(each) for each in {path, *given} if each.is_dir()}
    for folder in {os.path.dirname(file) for file in files if os.path.lexists(file)}:
        below = os.path.relpath(folder, top).split(os.sep)[0]
        folders.add(folder if below == os.pardir else os.path.join(top, below))
    return folders


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
            cannot be written, then or later.
    """
    try:
        _check_empty_or_ours(out)
        out.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(out / LOCK, timeout=0):
            _claim(out, form)
            clear_temporaries(out, older_than=0)
            yield
    except filelock.Timeout as error:
        raise DataError(
            f"--out {shown(str(out))}: another process is building there. Wait until it is done."
        ) from error
    except OSError as error:
        raise DataError(f"--out {shown(str(out))}: cannot write to it: {error.strerror or error}") from error


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
        found = _mark_in(out)
    except msgspec.MsgspecError as error:
        raise DataError(
            f"--out {shown(str(out))}: {MARK} in it is damaged, or not of jaxal. Choose a new or empty folder."
        ) from error
    if found is None:
        with temporary_file(out / MARK) as file:
            file.write(msgspec.json.encode(wanted))
    elif found != wanted:
        raise DataError(
            f"--out {shown(str(out))}: holds images of size {found.image_size}, {found.color}; asked for are "
            f"{form.size}, {form.color}. Choose another folder, or delete that one."
        )


def _mark_in(folder: Path) -> Mark | None:
    try:
        return msgspec.json.decode((folder / MARK).read_bytes(), type=Mark)
    except (FileNotFoundError, NotADirectoryError):
        return None
