"""The files of a data set by name, out of a folder or straight out of a tar archive, of which nothing is unpacked."""

import gzip
import os
import tarfile
from collections.abc import Callable, Collection
from pathlib import Path, PurePosixPath

from jaxal.data.problems import shown
from jaxal.errors import DataError

__all__ = ["FoundFiles", "find_files"]

ARCHIVES = (".tar", ".tar.gz", ".tgz")
# Far above all files of CIFAR together, and their number; what claims more is damaged or hostile.
MAX_BYTES, MAX_MEMBERS = 2**30, 10_000
BLOCK_BYTES = 2**20

# By name: what to call the file in refusals, and a function that reads it.
FoundFiles = dict[str, tuple[str, Callable[[], bytes]]]


def find_files(path: Path, names: Collection[str], folders: Collection[str], where: str) -> FoundFiles:
    """Find the files of some names in a folder or an archive.

    Args:
        path: of a folder that holds the files, of one that holds a folder of those names with them, of one of the files
            (those beside it are found as well), or of an archive.
        names: of the files.
        folders: names of folders that the files may lie in.
        where: the setting and the path, for refusals.

    Raises:
        DataError: there is no such path, it cannot be read, a file of those names is there twice, or the archive is
            damaged or larger than any of CIFAR.
    """
    try:
        if path.is_file():
            is_archive = path.name.lower().endswith(ARCHIVES)
            return _in_archive(path, names, where) if is_archive else _in_folders((path.parent,), names, where)
        if path.is_dir():
            inside = [path / name for name in sorted(folders) if (path / name).is_dir()]
            return _in_folders((path, *inside), names, where)
    except (OSError, ValueError) as error:
        raise DataError(f"{where}: cannot be read: {error}") from error
    raise DataError(f"{where}: no such file or folder (current directory {Path.cwd()})")


def _in_folders(folders: Collection[Path], names: Collection[str], where: str) -> FoundFiles:
    found: FoundFiles = {}
    for folder in folders:
        for name in sorted(set(names) & set(os.listdir(folder))):
            if os.path.isfile(folder / name):
                _put(found, name, shown(str(folder / name)), _reader(folder / name), where)
    return found


def _reader(path: Path) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            size = os.path.getsize(path)
            if size > MAX_BYTES:
                raise DataError(f"{shown(str(path))}: {size} bytes, at most {MAX_BYTES} are read")
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"{shown(str(path))}: cannot be read: {error.strerror}") from error

    return read


def _in_archive(path: Path, names: Collection[str], where: str) -> FoundFiles:
    """Read, in one pass, the plain files whose names end in one of these: no path in an archive is ever followed."""
    found: FoundFiles = {}
    num_bytes = 0
    try:
        is_plain = path.suffix.lower() == ".tar"
        with open(path, "rb") if is_plain else gzip.open(path) as stream, tarfile.open(fileobj=stream) as archive:
            for number, member in enumerate(archive):
                num_bytes += member.size
                if number >= MAX_MEMBERS or num_bytes > MAX_BYTES:
                    raise DataError(f"{where}: more than {MAX_MEMBERS} members or {MAX_BYTES} bytes, as no CIFAR has")
                name = PurePosixPath(member.name).name
                if name in names and member.isreg():
                    file = archive.extractfile(member)
                    data = file.read() if file else b""
                    if len(data) != member.size:
                        raise DataError(f"{where}: {shown(member.name)} is cut short. Get the archive again.")
                    _put(found, name, f"{shown(str(path))}: {shown(member.name)}", lambda data=data: data, where)
            # The checksum stands at the end, which the archive's reader does not go to.
            while rest := stream.read(BLOCK_BYTES):
                num_bytes += len(rest)
                if num_bytes > MAX_BYTES:
                    raise DataError(f"{where}: more than {MAX_BYTES} bytes, as no CIFAR has")
    except DataError:
        raise
    except Exception as error:  # bytes from outside go through tar, gzip and zlib: anything may come out
        raise DataError(
            f"{where}: the archive is damaged: {type(error).__name__}: {error}. Get the archive again."
        ) from error
    return found


def _put(found: FoundFiles, name: str, place: str, read: Callable[[], bytes], where: str) -> None:
    if name in found:
        raise DataError(f"{where}: {name} is there twice: {found[name][0]} and {place}. Give one of them.")
    found[name] = place, read
