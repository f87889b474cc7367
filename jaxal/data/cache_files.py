"""Where caches lie, and how their files are written: whole and durable or not at all, and with a seal that tells."""

import hashlib
import io
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

import msgspec
import numpy as np

from jaxal.errors import DataError

__all__ = [
    "check_space",
    "clear_temporaries",
    "file_sha256",
    "npy_header",
    "read_sealed",
    "sync_folder",
    "temporary_file",
    "user_cache_folder",
    "write_sealed",
]

# What a killed process left is cleared away after so many seconds: by then it is nobody's.
ABANDONED = 24 * 60 * 60

T = TypeVar("T", bound=msgspec.Struct)


class Sealed(msgspec.Struct, Generic[T], frozen=True, forbid_unknown_fields=True):
    """What a sealed file holds: some content, and the hash of that content as compact JSON."""

    sha256: str
    content: T


def user_cache_folder() -> Path:
    """Find the folder of all that jaxal may lose: jaxal in $XDG_CACHE_HOME, else in ~/.cache.

    Raises:
        RuntimeError: this user has no home.
    """
    # The XDG rules: a relative path there is to be ignored.
    given = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(given) if os.path.isabs(given) else Path.home() / ".cache") / "jaxal"


def write_sealed(path: Path, content: msgspec.Struct) -> None:
    """Write a JSON file with its content's own hash, and make its name durable.

    Raises:
        OSError: it could not be written; there is none then, or the earlier one.
    """
    with temporary_file(path) as file:
        file.write(msgspec.json.format(msgspec.json.encode(Sealed(_hash_of(content), content)), indent=1))
    sync_folder(path.parent)


def read_sealed(path: Path, content_type: type[T]) -> T | None:
    """Read a sealed file; None if there is none, or it is not whole, or it is of another type."""
    try:
        sealed = msgspec.json.decode(path.read_bytes(), type=Sealed[content_type])
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
        return None
    return sealed.content if _hash_of(sealed.content) == sealed.sha256 else None


def file_sha256(path: str | Path) -> str:
    """Compute the SHA-256 of a file's bytes.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def npy_header(shape: tuple[int, ...], dtype: Any) -> bytes:
    """Make the header of a .npy file; it is as long for every number of rows."""
    header = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    return header.getvalue()


def check_space(folder: Path, num_bytes: int, setting: str, what: str) -> None:
    """Refuse to begin what the disk has no space for.

    Args:
        folder: to be written to; it is there.
        num_bytes: that will be written.
        setting: what a user sets to have another folder.
        what: is to be written, in words.

    Raises:
        DataError: names the folder, what it needs, and what is free.
    """
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise DataError(
            f"{setting}: {folder} needs {num_bytes / 1e6:.0f} MB for {what} that are not there yet, "
            f"{free / 1e6:.0f} MB are free. Free space or choose a folder elsewhere."
        )


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # not every file system can; files whose names are lost are made anew
    finally:
        os.close(descriptor)


@contextmanager
def temporary_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file under a name of its own that becomes `path`, synced, when all went well, else is removed."""
    clear_temporaries(path.parent, f".{path.name}.*.tmp", older_than=ABANDONED)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def clear_temporaries(folder: Path, pattern: str = ".*.tmp", *, older_than: int) -> None:
    """Remove temporary files that nobody has written to for so many seconds (0: all of them)."""
    for left in folder.glob(pattern):
        with suppress(FileNotFoundError):  # its process was alive after all and has just renamed it
            if time.time() - left.stat().st_mtime >= older_than:
                left.unlink()


def _hash_of(content: msgspec.Struct) -> str:
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()
