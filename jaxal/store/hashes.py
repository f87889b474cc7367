"""What a folder holds, file by file: the hashes that show whether it is still the one that was written."""

import os
from pathlib import Path

from jaxal.store.files import sha256_of, sync_folder


def hash_and_sync(folder: Path) -> dict[str, str]:
    """Makes every file below a folder durable and returns its SHA-256 by relative path with `/`, sorted.

    Args:
      folder: an existing folder.

    Raises:
      OSError: a file cannot be read or synced.

    Cost: one read of every byte; files that are already on the disk cost no write.
    """
    hashes = {}
    for name in _names_in(folder):
        hashes[name] = sha256_of(folder / name)
        with open(folder / name, "rb") as file:
            os.fsync(file.fileno())
    for inner in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        sync_folder(inner)
    return hashes


def damages(folder: Path, recorded: dict[str, str]) -> list[str]:
    """Returns one line for every file that is missing, changed, unreadable or was not there; empty if all is well.

    Args:
      folder: the folder to check.
      recorded: SHA-256 by relative path, as `hash_and_sync` returned it.

    Cost: one read of every byte.
    """
    present = set(_names_in(folder))
    found = []
    for name in sorted(present | set(recorded)):
        if name not in present:
            found.append(f"{name} is missing")
        elif name not in recorded:
            found.append(f"{name} does not belong there")
        elif not (folder / name).is_file():
            found.append(f"{name} is not a plain file")
        else:
            try:
                if sha256_of(folder / name) != recorded[name]:
                    found.append(f"{name} was changed")
            except OSError as error:
                found.append(f"{name} cannot be read ({error.strerror or error})")
    return found


def _names_in(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()
    )
