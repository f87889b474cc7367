"""Where caches lie, and the two files of one image cache: the pixels, and the manifest that vouches for them."""

import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import msgspec
import numpy as np

__all__ = [
    "Entry",
    "Manifest",
    "open_pixels",
    "read_manifest",
    "temporary_file",
    "user_cache_folder",
    "write_manifest",
]

# What a killed process left is cleared away after so many seconds: by then it is nobody's.
ABANDONED = 24 * 60 * 60


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is known of one file.

    Fields:
        path: absolute.
        bytes: its length; -1 if there was none.
        sha256: of its bytes; empty if it could not be used.
        conversions: what was changed while decoding.
        problem: why it could not be used; empty if it could.
    """

    path: str
    bytes: int
    sha256: str = ""
    conversions: tuple[str, ...] = ()
    problem: str = ""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a cache holds; the file has the manifest's own hash beside it.

    Fields:
        key: of the cache.
        pixels_sha256: of the file of pixels.
        images: one entry per file asked for.
    """

    key: str
    pixels_sha256: str
    images: list[Entry]


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sha256: str
    manifest: Manifest


def user_cache_folder() -> Path:
    """Find the folder of all that jaxal may lose: jaxal in $XDG_CACHE_HOME, else in ~/.cache.

    Raises:
        RuntimeError: this user has no home.
    """
    # The XDG rules: a relative path there is to be ignored.
    given = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(given) if os.path.isabs(given) else Path.home() / ".cache") / "jaxal"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a cache's manifest and make the folder's names durable.

    Raises:
        OSError: it could not be written; there is none then, or the earlier one.
    """
    sealed = _Sealed(_hash_of(manifest), manifest)
    with temporary_file(folder / "manifest.json") as file:
        file.write(msgspec.json.format(msgspec.json.encode(sealed), indent=1))
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # not every file system can; a cache whose names are lost is built anew
    finally:
        os.close(descriptor)


def read_manifest(folder: Path, key: str) -> Manifest | None:
    """Read a cache's manifest; None if there is none, or not one that was written for this key and is whole."""
    try:
        sealed = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=_Sealed)
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
        return None
    manifest = sealed.manifest
    return manifest if manifest.key == key and _hash_of(manifest) == sealed.sha256 else None


def open_pixels(folder: Path, manifest: Manifest, image_shape: tuple[int, int, int]) -> np.ndarray | None:
    """Map a cache's pixels, read-only; None if the file is missing or is not, byte for byte, what the manifest says."""
    try:
        with open(folder / "pixels.npy", "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != manifest.pixels_sha256:
                return None
        pixels = np.load(folder / "pixels.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    num_good = sum(not entry.problem for entry in manifest.images)
    return pixels if pixels.dtype == np.uint8 and pixels.shape == (num_good, *image_shape) else None


@contextmanager
def temporary_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file under a name of its own that becomes `path`, synced, when all went well, else is removed."""
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        with suppress(FileNotFoundError):  # its process was alive after all and has just renamed it
            if time.time() - left.stat().st_mtime > ABANDONED:
                left.unlink()
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


def _hash_of(manifest: Manifest) -> str:
    return hashlib.sha256(msgspec.json.encode(manifest)).hexdigest()
