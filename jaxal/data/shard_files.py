"""One shard: a .npy file of images and, sealed, beside it what is known of the files that they were decoded from."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Literal, NamedTuple

import msgspec
import numpy as np

from jaxal.data.cache_files import file_sha256, npy_header, read_sealed, sync_folder, temporary_file, write_sealed
from jaxal.data.decoding import CANNOT_BE_READ, BadImageError, Decoded
from jaxal.data.decoding_threads import Attempt, FileState
from jaxal.data.problems import counted, examples
from jaxal.data.stored_image import StoredImage
from jaxal.errors import DataError

__all__ = [
    "FORMAT_VERSION",
    "Entry",
    "Form",
    "ShardFacts",
    "SourceFile",
    "files_per_shard",
    "read_entries",
    "refuse_changed",
    "shape_of",
    "shard_path",
    "verify_shard",
    "write_shard",
]

# Increased whenever decoding gives other pixels or the files have another form: old shards are then made anew.
FORMAT_VERSION = 2
# A shard holds the images of so many files as fill this many bytes, but not more files than that.
SHARD_BYTES, SHARD_FILES = 2**28, 4096
# Written images go to the disk in pieces, so that the threads never wait for the whole of a shard.
SYNC_BYTES = 2**24


class Form(NamedTuple):
    """What all images of a cache are brought to."""

    size: int  # side in pixels
    color: Literal["rgb", "gray"]


class SourceFile(NamedTuple):
    """An image file."""

    name: str  # what a shard calls it, UTF-8
    path: str | StoredImage  # where it is now


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is known of one file.

    Fields:
        name: as the cache calls it.
        bytes, mtime_ns: its length and time of change when it was read; -1 if there was none.
        sha256: of its bytes; empty if it could not be used.
        width, height: of the upright picture, in pixels.
        conversions: what was changed while decoding.
        problem: why it could not be used; empty if it could.
        sums, squares: of the pixels and of their squares, per channel.
    """

    name: str
    bytes: int
    mtime_ns: int
    sha256: str = ""
    width: int = 0
    height: int = 0
    conversions: tuple[str, ...] = ()
    problem: str = ""
    sums: tuple[int, ...] = ()
    squares: tuple[int, ...] = ()


class Sidecar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands beside the images: their form, the hash of their file, and one entry per file asked for."""

    format_version: int
    size: int
    color: str
    pixels_sha256: str
    files: list[Entry]


class ShardFacts(NamedTuple):
    """A shard that was found to be what its sidecar says."""

    path: Path  # of the images
    sha256: str  # of that file
    num_images: int  # rows; files that could not be used take no place


def shape_of(form: Form) -> tuple[int, int, int]:
    """Return height, width and channels of an image."""
    return form.size, form.size, 3 if form.color == "rgb" else 1


def files_per_shard(form: Form) -> int:
    """Return how many files a shard is made of; it depends on the form alone, so that shards can be told apart."""
    return min(max(1, SHARD_BYTES // int(np.prod(shape_of(form)))), SHARD_FILES)


def shard_path(folder: Path, number: int) -> Path:
    """Name the file of a shard's images; its sidecar has the ending .json."""
    return folder / f"images-{number:05}.npy"


def write_shard(path: Path, files: Sequence[SourceFile], attempts: Iterator[Attempt], form: Form) -> ShardFacts:
    """Write the images of some files in their order; both files are whole and durable, or the shard is not there.

    Args:
        path: of the file of images.
        files: in order.
        attempts: what came of each; as many are taken as there are files.
        form: of the images.

    Raises:
        DataError: files changed while they were read.
        OSError: a file could not be written.
    """
    entries: list[Entry] = []
    changed = []
    with temporary_file(path) as file:
        header = npy_header((len(files), *shape_of(form)), np.uint8)
        file.write(header)
        digest, unsynced = hashlib.sha256(header), 0
        for source, attempt in zip(files, attempts, strict=False):
            entries.append(_entry(source, attempt))
            if attempt.is_changed:
                changed.append(source.name)
            if isinstance(attempt.result, Decoded):
                file.write(attempt.result.pixels.data)
                digest.update(attempt.result.pixels.data)
                unsynced += attempt.result.pixels.nbytes
            if unsynced >= SYNC_BYTES:
                _sync(file)
                unsynced = 0
        refuse_changed(changed)
        num_images = sum(not entry.problem for entry in entries)
        sha256 = digest.hexdigest()
        if num_images < len(files):
            file.seek(0)
            file.write(npy_header((num_images, *shape_of(form)), np.uint8))
            file.flush()
            sha256 = file_sha256(file.name)
    sync_folder(path.parent)
    write_sealed(path.with_suffix(".json"), Sidecar(FORMAT_VERSION, form.size, form.color, sha256, entries))
    return ShardFacts(path, sha256, num_images)


def refuse_changed(names: Sequence[str]) -> None:
    """Refuse files that changed while they were read, if there are any.

    Raises:
        DataError: names the first.
    """
    if names:
        raise DataError(
            f"data.source: {counted(len(names), 'file')} changed while being read: {examples(names)}. Run again when"
            " nothing writes to the data."
        )


def verify_shard(path: Path, files: Sequence[SourceFile], states: Sequence[FileState], form: Form) -> ShardFacts | None:
    """Find a shard that was made of these files as they are, and check its images against its sidecar.

    A file of the same length and another time of change is read: its hash decides. Not trusted is a shard with a file
    that the machine would not read: another time it may.

    Returns:
        None if there is no such shard, or it is damaged.
    """
    sidecar = read_sealed(path.with_suffix(".json"), Sidecar)
    if (
        sidecar is None
        or (sidecar.format_version, sidecar.size, sidecar.color) != (FORMAT_VERSION, *form)
        or [entry.name for entry in sidecar.files] != [file.name for file in files]
        or any(entry.problem.startswith(CANNOT_BE_READ) for entry in sidecar.files)
    ):
        return None
    try:
        is_of_these = all(map(_is_unchanged, sidecar.files, files, states))
        if not is_of_these or file_sha256(path) != sidecar.pixels_sha256:
            return None
    except OSError:
        return None
    return ShardFacts(path, sidecar.pixels_sha256, sum(not entry.problem for entry in sidecar.files))


def read_entries(shard: ShardFacts) -> list[Entry]:
    """Read a shard's sidecar again.

    Raises:
        DataError: it is no longer that of these images.
    """
    sidecar = read_sealed(shard.path.with_suffix(".json"), Sidecar)
    if sidecar is None or sidecar.pixels_sha256 != shard.sha256:
        raise DataError(f"{shard.path}: another process changed this shard meanwhile. Run again.")
    return sidecar.files


def _is_unchanged(entry: Entry, file: SourceFile, state: FileState) -> bool:
    if (entry.bytes, entry.mtime_ns) == state:
        return True
    return bool(entry.sha256) and entry.bytes == state.bytes and _sha256(file.path) == entry.sha256


def _sha256(path: str | StoredImage) -> str:
    if not isinstance(path, StoredImage):
        return file_sha256(path)
    try:
        return hashlib.sha256(path.read()).hexdigest()
    except BadImageError:
        return ""


def _entry(file: SourceFile, attempt: Attempt) -> Entry:
    result, state = attempt.result, attempt.state
    if not isinstance(result, Decoded):
        return Entry(file.name, *state, problem=result.kind)
    return Entry(
        file.name,
        *state,
        sha256=result.sha256,
        width=result.width,
        height=result.height,
        conversions=result.conversions,
        sums=result.sums,
        squares=result.squares,
    )


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
    if hasattr(os, "posix_fadvise"):
        # What is on the disk makes room for what comes: else a large build fills all memory, each page cleared first.
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
