"""Files of `torch.save` without PyTorch: the legacy stream (before 1.6) and the zip archive, as arrays by name.

Legacy: the pickles of a magic number, a protocol version, facts of the machine, the object, the storages' keys; then
for each key the count of its elements (int64) and its bytes. Zip: `NAME/data.pkl` is the object, `NAME/data/KEY` the
bytes of a storage, all stored uncompressed. No size that a file claims is believed before it is checked against the
file's own.
"""

import io
import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from jaxal.errors import DataError
from jaxal.models.torch_pickle import Storage, Tensor, play_pickle
from jaxal.pickled import RefusedError

__all__ = ["is_torch_file", "read_torch_file"]

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
# How a file of either form begins: protocol 2 or later, or a zip's first entry.
PICKLE_STARTS, ZIP_START = (b"\x80", b"(", b"c", b"]", b"}"), b"PK\x03\x04"
MOST_ENTRIES = 100_000
MOST_EMPTY = 100_000  # length of a tensor without elements, along its other axes
# Where a checkpoint keeps the weights, the first that is there.
NESTED = ("state_dict", "model_state_dict", "model", "net")


class _TruncatedError(Exception):
    pass


class _Contents(NamedTuple):
    """What was found before any number is looked at."""

    found: Any  # the unpickled object
    storages: Mapping[str, bytes | memoryview]


def is_torch_file(data: bytes) -> bool:
    """Say whether the bytes begin as a zip archive or a pickle does."""
    return data.startswith((ZIP_START, *PICKLE_STARTS))


def read_torch_file(data: bytes, where: str) -> dict[str, np.ndarray]:
    """Read the tensors of a file that `torch.save` wrote from a state dict, or from a checkpoint that holds one.

    Args:
        data: the file's bytes.
        where: the file, for refusals.

    Returns:
        The state dict's tensors by name, in the file's order: views of its bytes, not to be written to. bfloat16 comes
        as float32. What is no tensor is left out; of a checkpoint the dict under "state_dict", "model_state_dict",
        "model" or "net" is taken, the first that is there.

    Raises:
        DataError: truncated, damaged, not of this form, or with anything in it but tensors and plain values.
    """
    again = "Get the file again, or save it again by torch.save(model.state_dict(), FILE)."
    try:
        contents = _zip_contents(data) if data.startswith(ZIP_START) else _legacy_contents(data)
        tensors = _state_dict(contents.found)
        return {name: _array(tensor, contents.storages, name) for name, tensor in tensors.items()}
    except RefusedError as error:
        raise DataError(f"{where}: refused, nothing of it was run: {error}. {again}") from error
    except _TruncatedError as error:
        raise DataError(f"{where}: truncated after {len(data)} bytes: {error}. {again}") from error
    except MemoryError as error:
        raise DataError(f"{where}: not enough memory for its {len(data)} bytes") from error
    except Exception as error:  # bytes from outside go through several parsers: anything may come out
        why = f"{type(error).__name__}: {error}"[:200]
        raise DataError(f"{where}: damaged, or no file of torch.save ({why}). {again}") from error


def _legacy_contents(data: bytes) -> _Contents:
    stream = io.BytesIO(data)
    if _next_pickle(stream, "its magic number") != MAGIC:
        raise RefusedError("it is no file of torch.save: its magic number is another")
    if _next_pickle(stream, "its version") != PROTOCOL:
        raise RefusedError("its version is unknown")
    machine = _next_pickle(stream, "its byte order")
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise RefusedError("its numbers are big-endian, and only little-endian ones are read")
    found = _next_pickle(stream, "the names of its tensors")
    keys = _next_pickle(stream, "the list of its storages")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or len(set(keys)) != len(keys):
        raise RefusedError("its list of storages is none")
    sizes = {storage.key: _bytes_of(storage) for storage in _storages(found)}
    view, place = memoryview(data), stream.tell()
    storages: dict[str, bytes | memoryview] = {}
    for number, key in enumerate(keys):
        if key not in sizes:
            raise RefusedError(f"none of its tensors says of what type storage {number + 1} of {len(keys)} is")
        count, element = sizes[key]
        start, end = place + 8, place + 8 + count * element
        if end > len(data):
            raise _TruncatedError(f"storage {number + 1} of {len(keys)} ends at byte {end}")
        if int.from_bytes(data[place:start], "little") != count:
            raise RefusedError(f"storage {number + 1} of {len(keys)} does not have the length that its tensors say")
        storages[key], place = view[start:end], end
    if place != len(data):
        raise RefusedError(f"{len(data) - place} bytes follow its end")
    return _Contents(found, storages)


def _next_pickle(stream: io.BytesIO, what: str) -> Any:
    start = stream.tell()
    try:
        return play_pickle(stream)
    except RefusedError:
        raise
    except Exception as error:
        # The parser has read to the end of the file and asks for more.
        if not stream.read(1):
            raise _TruncatedError(f"the part from byte {start} on, {what}, has no end") from error
        raise


def _zip_contents(data: bytes) -> _Contents:
    end = data.rfind(b"PK\x05\x06")
    if end < 0 or end + 22 + int.from_bytes(data[end + 20 : end + 22], "little") > len(data):
        raise _TruncatedError("it begins as a zip archive, and the archive's table of contents, at the end, is missing")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        _check_entries(entries, len(data))
        sizes = {entry.filename: entry.file_size for entry in entries}
        pickles = [name for name in sizes if PurePosixPath(name).name == "data.pkl"]
        if len(pickles) != 1 or len(PurePosixPath(pickles[0]).parts) > 2:
            raise RefusedError(f"as a zip archive it should hold one NAME/data.pkl, but has {len(pickles)} of them")
        folder = pickles[0][: -len("data.pkl")]
        order = f"{folder}byteorder"
        if order in sizes and (sizes[order] > 16 or archive.read(order).strip() != b"little"):
            raise RefusedError("its numbers are big-endian, and only little-endian ones are read")
        if f"{folder}constants.pkl" in sizes:
            raise RefusedError("it is a TorchScript program; the weights alone are needed")
        stream = io.BytesIO(archive.read(pickles[0]))
        found = play_pickle(stream)
        if stream.read(1):
            raise RefusedError("bytes follow the end of its data.pkl")
        storages: dict[str, bytes | memoryview] = {}
        for storage in _storages(found):
            name = f"{folder}data/{storage.key}"
            count, element = _bytes_of(storage)
            if sizes.get(name) != count * element:
                has = "is missing" if name not in sizes else f"has {sizes[name]} bytes"
                raise RefusedError(f"its storage {storage.key[:40]!a} of {count * element} bytes {has}")
            if storage.key not in storages:
                storages[storage.key] = archive.read(name)
    return _Contents(found, storages)


def _check_entries(entries: Sequence[zipfile.ZipInfo], file_size: int) -> None:
    if len(entries) > MOST_ENTRIES:
        raise RefusedError(f"its archive has {len(entries)} entries")
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        raise RefusedError("its archive has several entries of one name")
    for entry in entries:
        parts = PurePosixPath(entry.filename).parts
        if entry.filename.startswith("/") or ".." in parts or "\\" in entry.filename or "\0" in entry.filename:
            raise RefusedError(f"its archive has the entry {entry.filename[:80]!a}, which leaves its folder")
        # torch.save compresses nothing: what is compressed could claim any size.
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size or entry.flag_bits & 1:
            raise RefusedError(f"its archive's entry {entry.filename[:80]!a} is compressed or encrypted")
    total = sum(entry.file_size for entry in entries)
    if total > file_size:
        raise RefusedError(f"its archive's entries have {total} bytes, more than the file")


def _storages(found: Any) -> list[Storage]:
    """Return the storages of all tensors in an object; no two of one name that differ."""
    known: dict[str, Storage] = {}
    seen: set[int] = set()
    waiting = [found]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor | Storage):
            storage = value if isinstance(value, Storage) else value.storage
            if known.setdefault(storage.key, storage) != storage:
                raise RefusedError(f"its tensors disagree about storage {storage.key[:40]!a}")
        elif isinstance(value, dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))  # an object may hold itself
            waiting.extend(value.values() if isinstance(value, dict) else value)
    return list(known.values())


def _bytes_of(storage: Storage) -> tuple[int, int]:
    """Return a storage's count of elements and the bytes of each."""
    if storage.length < 0:
        raise RefusedError(f"its storage {storage.key[:40]!a} has {storage.length} elements")
    return storage.length, 2 if storage.elements == "bfloat16" else np.dtype(storage.elements).itemsize


def _state_dict(found: Any) -> dict[str, Tensor]:
    """Find the dict of tensors, in the object or under one of the usual names."""
    for _ in range(len(NESTED)):
        if not isinstance(found, dict):
            raise RefusedError("it holds no dict of tensors")
        tensors = {key: value for key, value in found.items() if isinstance(key, str) and isinstance(value, Tensor)}
        if tensors:
            return tensors
        name = next((name for name in NESTED if isinstance(found.get(name), dict)), None)
        if name is None:
            break
        found = found[name]
    raise RefusedError(f"it has no tensors by name, neither itself nor under {', '.join(NESTED)}")


def _array(tensor: Tensor, storages: Mapping[str, bytes | memoryview], name: str) -> np.ndarray:
    """Make the view; it must lie within its storage and have no more elements than that."""
    _, offset, size, stride = tensor
    count = tensor.storage.length
    # No length above the count: what a hostile file claims is never multiplied out.
    if (
        len(size) == len(stride)
        and min((offset, *size, *stride)) >= 0
        and max((offset, *size)) <= max(count, MOST_EMPTY)
    ):
        flat = _elements(storages[tensor.storage.key], tensor.storage.elements)
        total = math.prod(size)
        if total == 0:
            return np.zeros(size, flat.dtype)
        last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
        if total <= count and last < count:
            strides = [step * flat.itemsize for step in stride]
            return np.lib.stride_tricks.as_strided(flat[offset:], size, strides, writeable=False)
    raise RefusedError(f"its tensor {name[:80]!a} does not lie within its storage of {count} elements")


def _elements(data: bytes | memoryview, elements: str) -> np.ndarray:
    if elements == "bfloat16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(data, elements)
