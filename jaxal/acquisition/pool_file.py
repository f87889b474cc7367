"""POOL.npz: the arrays that `select` takes, in a file from anywhere."""

import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxal.config.keys import nearest
from jaxal.data.readers.npz import Header, open_npz, read_headers, read_member
from jaxal.errors import DataError

__all__ = ["PoolFile", "read_head_file", "read_pool_file"]

HEAD = ("head_weight", "head_bias")
NEEDED = ("embeddings", "labels")
OPTIONAL = ("num_classes", "logits", "mc_logits", "source_logits", "head_weight", "head_bias", "ids")


class PoolFile(NamedTuple):
    """What a pool file holds."""

    arguments: dict[str, Any]  # of `select`, by name; ids are its sample_ids
    ids: tuple[str, ...] | None  # of each row, as text


def read_pool_file(path: str | Path) -> PoolFile:
    """Read embeddings [N, D], labels [N], and of num_classes, logits, mc_logits, source_logits, head_weight, head_bias,
    ids [N] what is there. Objects are never loaded.

    Raises:
        DataError: the file is missing, no npz file, damaged, or larger than this machine's memory; an array is missing,
            unknown (with the nearest known name), of objects, or half of a head; ids are no text.
    """
    if not os.path.isfile(path):
        raise DataError(f"{path}: cannot read the pool: {'is no file' if os.path.exists(path) else 'no such file'}")
    try:
        with open(path, "rb") as file, open_npz(file, str(path)) as archive:
            _check_names([info.filename for info in archive.infolist()], str(path))
            headers = read_headers(archive, NEEDED + OPTIONAL, str(path))
            _check_headers(headers, str(path))
            arrays = {name: read_member(archive, name, str(path)) for name in headers}
    except OSError as error:
        raise DataError(f"{path}: cannot read the pool: {error.strerror or error}") from error
    return _as_arguments(arrays, str(path))


def read_head_file(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read head_weight [D, C] and head_bias [C] from an npz file that holds nothing else.

    Raises:
        DataError: the file is missing, no npz file or damaged; an array is missing or unknown, or of objects.
    """
    if not os.path.isfile(path):
        raise DataError(f"{path}: cannot read the head: {'is no file' if os.path.exists(path) else 'no such file'}")
    try:
        with open(path, "rb") as file, open_npz(file, str(path)) as archive:
            names = sorted(info.filename.removesuffix(".npy") for info in archive.infolist())
            if names != sorted(HEAD):
                raise DataError(f"{path}: holds {', '.join(names) or 'nothing'}; a head is {' and '.join(HEAD)}")
            read_headers(archive, HEAD, str(path))
            weight, bias = (read_member(archive, name, str(path)) for name in HEAD)
    except OSError as error:
        raise DataError(f"{path}: cannot read the head: {error.strerror or error}") from error
    return weight, bias


def _check_names(entries: list[str], path: str) -> None:
    known = [*NEEDED, *OPTIONAL]
    if not entries:
        raise DataError(f"{path}: holds no array; a pool has {' and '.join(NEEDED)}")
    names = [entry.removesuffix(".npy") for entry in entries]
    unknown = [f"{name}{nearest(name, known)}" for name in names if name not in known]
    if unknown:
        raise DataError(f"{path}: unknown array {', '.join(unknown)}")
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise DataError(f"{path}: no {' and no '.join(missing)}; a pool has {' and '.join(NEEDED)}")
    parts = {"head_weight", "head_bias"} & set(names)
    if len(parts) == 1:
        missing_part = ({"head_weight", "head_bias"} - parts).pop()
        raise DataError(f"{path}: {parts.pop()} without {missing_part}; a layer without bias has zeros")


def _check_headers(headers: dict[str, Header], path: str) -> None:
    total = sum(math.prod(header.shape) * header.dtype.itemsize for header in headers.values())
    available = _memory_bytes()
    if available is not None and total > available:
        raise DataError(f"{path}: its arrays would take {total} bytes, this machine has {available}. Is it damaged?")
    ids = headers.get("ids")
    if ids is not None and (ids.dtype.kind not in "Uiu" or len(ids.shape) != 1):
        raise DataError(f"{path}: ids is {list(ids.shape)} of {ids.dtype}; expected text or integers [N]")


def _memory_bytes() -> int | None:
    """Return the size of this machine's memory, None where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _as_arguments(arrays: dict[str, np.ndarray], path: str) -> PoolFile:
    arguments: dict[str, Any] = {name: arrays[name] for name in arrays if not name.startswith(("head", "ids"))}
    if "head_weight" in arrays:
        arguments["head"] = (arrays["head_weight"], arrays["head_bias"])
    if "num_classes" in arrays:
        number = arrays["num_classes"]
        if number.size != 1:
            raise DataError(f"{path}: num_classes has shape {list(number.shape)}; expected one number")
        arguments["num_classes"] = number.reshape(())[()]
    if "ids" not in arrays:
        return PoolFile(arguments, None)
    arguments["sample_ids"] = arrays["ids"]
    try:
        ids = tuple(str(each) for each in arrays["ids"].tolist())
        "".join(ids).encode()
    except (UnicodeEncodeError, ValueError) as error:
        raise DataError(f"{path}: ids hold text that is not Unicode: {error}") from error
    return PoolFile(arguments, ids)
