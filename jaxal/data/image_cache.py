"""Image files decoded and resized once, then read from one memory-mapped file that is checked whenever it is opened."""

import hashlib
import os
import shutil
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import IO, Literal, NamedTuple

import numpy as np

from jaxal.data.cache_files import (
    Entry,
    Manifest,
    open_pixels,
    read_manifest,
    temporary_file,
    user_cache_folder,
    write_manifest,
)
from jaxal.data.decoding import CANNOT_BE_READ, BadImageError, Decoded, decode_file, strict_pillow
from jaxal.data.problems import examples
from jaxal.errors import DataError

__all__ = ["CachedImages", "OnImages", "cache_root", "open_images"]

# Called now and then with the images done so far and their number.
OnImages = Callable[[int, int], None]
# Increased whenever decoding gives other pixels or the files have another form: old caches are then not found.
FORMAT_VERSION = 1
REPORT_EVERY = 32
# Decoded images that wait for an earlier one, per thread.
WAITING_PER_THREAD = 4


class CachedImages(NamedTuple):
    """Images of one size; n is the number of files asked for, g of those that could be used."""

    pixels: np.ndarray  # uint8 [g, size, size, channels], mapped, read-only
    positions: np.ndarray  # int64 [g], ascending: which files these are
    problems: dict[int, str]  # position -> kind, of all other files
    conversions: Counter[str]  # what was changed on the way that a user may not expect: number of images
    sha256: tuple[str, ...]  # n, of each file's bytes; "" where it could not be used
    pixels_sha256: str  # of the file of pixels


def open_images(
    paths: Sequence[str],
    *,
    size: int,
    color: Literal["rgb", "gray"],
    cache_folder: str = "",
    on_images: OnImages | None = None,
) -> CachedImages:
    """Open image files as one array: from the cache, or decoding them all by as many threads as there are cores.

    A cache is found by a hash of size, color and each file's absolute path, bytes and time of change, so it is built
    anew when a file has changed. Not noticed is a file of the same length that was given its old time back. A cache
    that is incomplete or does not match its own hashes is built anew too. The result is the same in every case.

    Args:
        paths: of the files.
        size: side of the square images in pixels.
        color: "rgb" or "gray".
        cache_folder: holds the caches; the user's cache folder where empty.
        on_images: told how far decoding is.

    Raises:
        DataError: the cache cannot be written, there is not enough space, or files changed while they were read.
    """
    paths = [os.path.abspath(path) for path in paths]
    states = [_state(path) for path in paths]
    key = _key(paths, states, size, color)
    root = cache_root(cache_folder)
    folder = root / key
    shape = (size, size, 3 if color == "rgb" else 1)
    found = read_manifest(folder, key)
    pixels = None if found is None or len(found.images) != len(paths) else open_pixels(folder, found, shape)
    if found is None or pixels is None:
        try:
            found, pixels = _build(folder, key, paths, states, shape, color, on_images)
        except OSError as error:
            reason = error.strerror or error
            raise DataError(
                f"data.source.cache: cannot write to {root}: {reason}. Set data.source.cache to a folder with space "
                "for the resized images."
            ) from error
    elif on_images is not None:
        on_images(len(paths), len(paths))
    problems = {position: entry.problem for position, entry in enumerate(found.images) if entry.problem}
    return CachedImages(
        pixels=pixels,
        positions=np.array([each for each in range(len(paths)) if each not in problems], np.int64),
        problems=problems,
        conversions=Counter(each for entry in found.images for each in entry.conversions),
        sha256=tuple(entry.sha256 for entry in found.images),
        pixels_sha256=found.pixels_sha256,
    )


def cache_root(setting: str) -> Path:
    """Find the folder of all caches: the setting, else jaxal/images in $XDG_CACHE_HOME, else in ~/.cache.

    Raises:
        DataError: there is neither a setting nor a home.
    """
    try:
        return Path(setting).expanduser().absolute() if setting else user_cache_folder() / "images"
    except RuntimeError as error:
        raise DataError("data.source.cache: this user has no home folder; set it to a folder to write to") from error


def _state(path: str) -> tuple[int, int]:
    """Return a file's bytes and time of change in ns, (-1, -1) if there is no such file."""
    try:
        status = os.stat(path)
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _key(paths: Sequence[str], states: Sequence[tuple[int, int]], size: int, color: str) -> str:
    digest = hashlib.sha256(f"jaxal images {FORMAT_VERSION} {size} {color} {len(paths)}\n".encode())
    for path, state in zip(paths, states, strict=True):
        name = os.fsencode(path)
        digest.update(b"%d %d %d " % (len(name), *state) + name)
    return digest.hexdigest()


def _build(
    folder: Path,
    key: str,
    paths: Sequence[str],
    states: Sequence[tuple[int, int]],
    shape: tuple[int, int, int],
    color: Literal["rgb", "gray"],
    on_images: OnImages | None,
) -> tuple[Manifest, np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    _check_space(folder, len(paths) * int(np.prod(shape)))
    with temporary_file(folder / "pixels.npy") as file:
        _write_header(file, (len(paths), *shape))
        entries = _decode_all(file, paths, states, shape[0], color, on_images)
        changed = [path for path, state in zip(paths, states, strict=True) if _state(path) != state]
        if changed:
            raise DataError(
                f"data.source: {len(changed)} files changed while they were read: {examples(changed)}. Run again when "
                "nothing writes to them."
            )
        _write_header(file, (sum(not entry.problem for entry in entries), *shape))
        file.flush()
        os.fsync(file.fileno())
        with open(file.name, "rb") as written:
            sha256 = hashlib.file_digest(written, "sha256").hexdigest()
        # Mapped before it is renamed: another process may put its own, of another version perhaps, in the same place.
        pixels = np.load(file.name, mmap_mode="r", allow_pickle=False)
    manifest = Manifest(key=key, pixels_sha256=sha256, images=entries)
    if not any(entry.problem.startswith(CANNOT_BE_READ) for entry in entries):
        write_manifest(folder, manifest)  # the last: without it this is no cache
    return manifest, pixels


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    """Write the header of a .npy file to its start; it is as long for every number of images."""
    file.seek(0)
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _decode_all(
    file: IO[bytes],
    paths: Sequence[str],
    states: Sequence[tuple[int, int]],
    size: int,
    color: Literal["rgb", "gray"],
    on_images: OnImages | None,
) -> list[Entry]:
    """Append all images to a file in the order of the paths, whichever thread is done first."""

    def attempt(path: str) -> Decoded | BadImageError:
        try:
            return decode_file(path, size=size, color=color)
        except BadImageError as error:
            return error

    entries: list[Entry] = []
    num_threads = os.cpu_count() or 1
    todo = iter(paths)
    with strict_pillow(), ThreadPoolExecutor(num_threads) as pool:
        try:
            waiting = deque(pool.submit(attempt, path) for path in islice(todo, WAITING_PER_THREAD * num_threads))
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(attempt, path) for path in islice(todo, 1))
                number = len(entries)
                entries.append(_entry(paths[number], states[number][0], result))
                if isinstance(result, Decoded):
                    file.write(result.pixels.tobytes())
                if on_images is not None and (len(entries) % REPORT_EVERY == 0 or not waiting):
                    on_images(len(entries), len(paths))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # Ctrl-C waits for the images being decoded, not for the queue
            raise
    return entries


def _entry(path: str, num_bytes: int, result: Decoded | BadImageError) -> Entry:
    name = os.fsencode(path).decode(errors="backslashreplace")  # JSON has no place for names that are not UTF-8
    if isinstance(result, BadImageError):
        return Entry(path=name, bytes=num_bytes, problem=result.kind)
    return Entry(path=name, bytes=num_bytes, sha256=result.sha256, conversions=result.conversions)


def _check_space(folder: Path, num_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise DataError(
            f"data.source.cache: {folder.parent} needs {num_bytes / 1e6:.0f} MB for the resized images, "
            f"{free / 1e6:.0f} MB are free. Free space or set data.source.cache to a folder elsewhere."
        )
