"""Many image files decoded by as many threads as there are cores, handed on in the order asked for."""

import os
from collections.abc import Generator, Iterable
from contextlib import closing
from typing import Literal, NamedTuple

from jaxal.data.decoding import BadImageError, Decoded, decode_file, strict_pillow
from jaxal.data.host_memory import keep_freed_memory
from jaxal.data.stored_image import StoredImage
from jaxal.data.threads import map_in_threads

__all__ = ["Attempt", "FileState", "decode_in_order", "file_state"]

# Images that wait for an earlier one fill so many bytes at most.
WAITING_BYTES = 2**28


class FileState(NamedTuple):
    """What tells without reading it that a file has changed; (-1, -1) where there is none."""

    bytes: int
    mtime_ns: int


class Attempt(NamedTuple):
    """What came of decoding one file."""

    state: FileState  # before it was read
    is_changed: bool  # it has changed since
    result: Decoded | BadImageError


def file_state(path: str | StoredImage) -> FileState:
    """Look up a file's length and time of change."""
    if isinstance(path, StoredImage):
        return FileState(path.num_bytes, path.mtime_ns)
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return FileState(-1, -1)
    return FileState(status.st_size, status.st_mtime_ns)


def decode_in_order(
    paths: Iterable[str | StoredImage], *, size: int, color: Literal["rgb", "gray"]
) -> Generator[Attempt, None, None]:
    """Decode files in threads; yields one result for each path, in their order, whichever thread is done first.

    As `map_in_threads`: memory does not grow with the number of files; close the iterator if it is not used up.

    Args:
        paths: of the files.
        size: side of the square images in pixels.
        color: "rgb" or "gray".
    """

    def attempt(path: str | StoredImage) -> Attempt:
        state = file_state(path)
        try:
            result = decode_file(path, size=size, color=color)
        except BadImageError as error:
            return Attempt(state, file_state(path) != state, error)
        return Attempt(state, file_state(path) != state, result)

    keep_freed_memory()
    max_waiting = WAITING_BYTES // (3 * size * size)
    with strict_pillow(), closing(map_in_threads(attempt, paths, max_waiting=max_waiting)) as attempts:
        yield from attempts
