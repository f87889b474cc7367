"""Where caches lie, and how their files are written: whole and durable or not at all, and with a seal that tells."""

import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Generic, TypeVar

import msgspec

__all__ = [
    "clear_temporaries",
    "file_sha256",
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
