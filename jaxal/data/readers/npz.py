"""Plain arrays out of npz files that may be hostile: every claim is checked before memory is taken for it."""

import math
import zipfile
from collections.abc import Sequence
from typing import IO, Any, NamedTuple

import numpy as np

from jaxal.errors import DataError

__all__ = ["Header", "open_npz", "read_headers", "read_member"]

# The largest set of MedMNIST takes 16 GB; a file that claims more than this is damaged or hostile.
MAX_BYTES = 64 * 2**30
# Arrays of plain numbers are written in this one; the header of a later version may itself be 4 GB long.
VERSION = (1, 0)


class Header(NamedTuple):
    """What an array in the file is, before it is read."""

    shape: tuple[int, ...]
    dtype: np.dtype


def open_npz(file: IO[bytes], path: str) -> zipfile.ZipFile:
    """Open an npz file's directory.

    Raises:
        DataError: it is no zip file, or it is cut short.
    """
    try:
        return zipfile.ZipFile(file)
    except Exception as error:  # the zip module lets struct's, index and value errors through as well
        raise DataError(f"{path}: not an npz (zip) file, or cut short: {_why(error)}. Get the file again.") from error


def read_headers(archive: zipfile.ZipFile, names: Sequence[str], path: str) -> dict[str, Header]:
    """Read the headers of those arrays of `names` that are there; nothing else is read or allocated.

    Raises:
        DataError: an array is of objects (they are never loaded), is there twice, has a damaged header, does not have
            the size in the file that its header promises, or all together are larger than MAX_BYTES.
    """
    for info in archive.infolist():
        _check_entry(archive, info, path)
    wanted = {f"{name}.npy" for name in names}
    stored = [info for info in archive.infolist() if info.filename in wanted]
    total = sum(info.file_size for info in stored)
    if total > MAX_BYTES:
        raise DataError(
            f"{path}: its arrays would take {total} bytes, at most {MAX_BYTES} are read. Is the file damaged?"
        )
    headers = {}
    for info in stored:
        name = info.filename.removesuffix(".npy")
        if name in headers:
            raise DataError(f"{path}: {name} is there twice. Get the file again.")
        headers[name] = _read_header(archive, info, f"{path}: {name}")
    return headers


def _check_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: str) -> None:
    """Compare an entry of the directory with what stands before its bytes: damage there must not hide an array."""
    if info.comment:  # none is ever written; a length that is wrong swallows the entries that follow
        raise DataError(f"{path}: the directory is damaged at {info.filename}. Get the file again.")
    try:
        archive.open(info).close()
    except Exception as error:
        raise DataError(f"{path}: {info.filename} is damaged: {_why(error)}. Get the file again.") from error


def _read_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> Header:
    try:
        with archive.open(info) as stream:
            header = _parse_header(stream)
            start = stream.tell()
    except Exception as error:  # bytes from outside go through zip, zlib and a literal parser: anything may come out
        raise DataError(f"{where} is damaged: {_why(error)}. Get the file again.") from error
    if header.dtype.hasobject:
        raise DataError(f"{where} is an array of objects, which are never loaded. Save it as numbers.")
    promised = math.prod(header.shape) * header.dtype.itemsize
    if min(header.shape, default=0) < 0 or start + promised != info.file_size:
        raise DataError(
            f"{where}: the header promises {header.shape} of {header.dtype}, {promised} bytes, but the file holds"
            f" {info.file_size - start}. Get the file again."
        )
    return header


def _parse_header(stream: Any) -> Header:
    version = np.lib.format.read_magic(stream)
    if version != VERSION:
        raise ValueError(f"npy version {version}, expected {VERSION}")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    return Header(tuple(int(length) for length in shape), dtype)


def read_member(archive: zipfile.ZipFile, name: str, path: str) -> np.ndarray:
    """Read one array whose header has been checked; its checksum is verified.

    Raises:
        DataError: the bytes are damaged, or there is not enough memory for them.
    """
    try:
        with archive.open(f"{name}.npy") as stream:
            array = np.lib.format.read_array(stream, allow_pickle=False)
            stream.read(1)  # the checksum is compared at the end of the stream
    except MemoryError as error:
        size = archive.getinfo(f"{name}.npy").file_size
        raise DataError(f"{path}: {name} takes {size} bytes of memory, which are not there") from error
    except Exception as error:
        raise DataError(f"{path}: {name} is damaged: {_why(error)}. Get the file again.") from error
    return array


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
