"""Files that are either the old content or the new one, whatever happens in between."""

import errno
import hashlib
import os
from pathlib import Path

from jaxal.errors import StoreError


def write_atomic(path: Path, data: str | bytes) -> None:
    """Writes a file so that a crash or a full disk leaves the old content or the new one, never a mixture.

    The data go to a temporary name in the same folder (`.NAME.PID.tmp`), are synced, renamed over the target, and the
    folder is synced. Missing folders are created. Strings are written as UTF-8, line ends as they are.

    Args:
      path: the file to write; an existing one is replaced.
      data: its whole content.

    Raises:
      StoreError: the file could not be written (disk full, read-only, no permission); the old content is still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        make_folder(path.parent)
        try:
            with open(temporary, "wb") as file:
                file.write(data.encode() if isinstance(data, str) else data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error


def write_if_changed(path: Path, data: str | bytes) -> bool:
    """Writes a file as `write_atomic` does, unless it already holds exactly these bytes: then nothing is touched.

    Args:
      path: the file to write.
      data: its whole content.

    Returns:
      Whether the file was written.

    Raises:
      StoreError: the file could not be written.
    """
    payload = data.encode() if isinstance(data, str) else data
    try:
        if path.read_bytes() == payload:
            return False
    except OSError:
        pass  # missing or unreadable: writing it anew either repairs that or says why not
    write_atomic(path, payload)
    return True


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes as 64 lower-case hexadecimal digits.

    Args:
      path: an existing file.

    Raises:
      OSError: the file is missing or cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folder(folder: Path) -> None:
    """Creates a folder and its missing parents durably: each new entry is synced into the folder that holds it.

    Args:
      folder: the folder to create; one that exists is left as it is.

    Raises:
      OSError: it could not be created, or a file stands in its place.
    """
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable (a rename or a new file is not, until its folder is synced).

    Args:
      folder: an existing folder.

    Raises:
      OSError: the folder cannot be opened, or the disk reports an error.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems have no such operation for a folder; a disk that fails says something else.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def unwritable(path: Path, error: OSError) -> StoreError:
    """Returns the refusal for a file that could not be written.

    Args:
      path: the file.
      error: what the system said.
    """
    return StoreError(
        f"cannot write {path}: {error.strerror or error}. Its earlier content is kept. "
        "Free space or correct the permissions, then run the same command again."
    )
