"""Many image files decoded by as many threads as there are cores, handed on in the order asked for."""

import os
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Literal, NamedTuple

from jaxal.data.decoding import BadImageError, Decoded, decode_file, strict_pillow
from jaxal.data.stored_image import StoredImage

__all__ = ["Attempt", "FileState", "decode_in_order", "file_state"]

# Results that wait for an earlier one: enough that a slow disk does not stop the threads, in a bounded number of bytes.
WAITING_PER_THREAD, WAITING_BYTES = 16, 2**28


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

    A bounded number of results waits to be taken, so memory does not grow with the number of files. Close the iterator
    if it is not used up: what is being decoded is waited for, what is not is let go.

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

    num_threads = os.cpu_count() or 1
    num_waiting = min(WAITING_PER_THREAD * num_threads, WAITING_BYTES // (3 * size * size))
    todo = iter(paths)
    with strict_pillow(), ThreadPoolExecutor(num_threads) as pool:
        try:
            waiting = deque(pool.submit(attempt, path) for path in islice(todo, max(num_waiting, num_threads + 1)))
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(attempt, path) for path in islice(todo, 1))
                yield result
        except BaseException:
            pool.shutdown(cancel_futures=True)  # Ctrl-C waits for the images being decoded, not for the queue
            raise
