"""Images, or their embeddings, read out of shards row by row into new memory: nothing stays mapped."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from jaxal.data.cache_files import npy_header
from jaxal.data.shard_files import ShardFacts
from jaxal.errors import DataError

__all__ = ["row_reader"]


def row_reader(
    shards: Sequence[ShardFacts], row_shape: tuple[int, ...], dtype: Any, advice: str, *, are_verified: bool = True
) -> Callable[[np.ndarray], np.ndarray]:
    """Make the function that reads rows of shards: indices [B] -> [B, *row_shape].

    It may be called from several threads. A shard whose file was replaced or written to since it was verified is hashed
    again before it is used: so rows never come from two different states of the data. Likewise one that was not
    verified yet, when the first of its rows is wanted.

    Args:
        shards: in order; their rows are numbered through.
        row_shape: of an image.
        dtype: of its numbers.
        advice: what a user is to do where a shard was damaged or is gone.
        are_verified: whether the shards were compared with their hashes.
    """
    starts = np.cumsum([0, *(shard.num_images for shard in shards)])
    num_bytes = int(np.prod(row_shape)) * np.dtype(dtype).itemsize
    known = {shard.path: _signature(shard.path) for shard in shards if are_verified}

    def read(indices: np.ndarray) -> np.ndarray:
        rows = np.asarray(indices, np.int64).reshape(-1)
        if rows.size and not 0 <= rows.min() <= rows.max() < starts[-1]:
            raise IndexError(f"rows are numbered 0 … {starts[-1] - 1}, asked for {rows.min()} … {rows.max()}")
        out = np.empty((len(rows), *row_shape), dtype)
        numbers = np.searchsorted(starts, rows, side="right") - 1
        for number in np.unique(numbers):
            shard, places = shards[number], np.flatnonzero(numbers == number)
            try:
                with open(shard.path, "rb", buffering=0) as file:
                    _check(file, shard, known)
                    header = len(npy_header((shard.num_images, *row_shape), dtype))
                    for first, last in _runs(rows[places], places):
                        file.seek(header + int(rows[first] - starts[number]) * num_bytes)
                        _fill(file, out[first : last + 1].reshape(-1).view(np.uint8).data)
            except OSError as error:
                raise DataError(f"{shard.path}: cannot be read: {error.strerror or error}. {advice}") from error
            except _DamagedError as error:
                what = "changed or damaged while in use" if are_verified else "not the file that was written"
                raise DataError(f"{shard.path}: {what}. {advice}") from error
        return out

    return read


class _DamagedError(Exception):
    pass


def _signature(path: Path | int) -> tuple[int, ...]:
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _check(file: IO[bytes], shard: ShardFacts, known: dict[Path, tuple[int, ...]]) -> None:
    signature = _signature(file.fileno())
    if signature != known.get(shard.path):
        if hashlib.file_digest(file, "sha256").hexdigest() != shard.sha256:  # type: ignore[arg-type]
            raise _DamagedError
        known[shard.path] = signature


def _runs(rows: np.ndarray, places: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield the first and last place of each run that is without gap both in the shard and in the result."""
    breaks = np.flatnonzero((np.diff(rows) != 1) | (np.diff(places) != 1)) + 1
    for run in np.split(places, breaks):
        yield int(run[0]), int(run[-1])


def _fill(file: IO[bytes], view: memoryview) -> None:
    while view:
        count = file.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise _DamagedError
        view = view[count:]
