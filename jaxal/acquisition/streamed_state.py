"""How far a long selection has come, in a folder: written now and then, taken up by the same command, by no other."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from jaxal.data.cache_files import (
    clear_temporaries,
    file_sha256,
    read_sealed,
    sync_folder,
    temporary_file,
    write_sealed,
)
from jaxal.data.problems import examples
from jaxal.errors import StoreError
from jaxal.store.files import unwritable
from jaxal.store.lock import LOCK, NOTE, hold

__all__ = ["Kept", "StateFolder", "hold_state", "save_state"]

STATE = "state.json"
ARRAY_FILE = re.compile(r"[a-z_]+-\d{6,}\.npy")
OURS = re.compile(rf"{re.escape(STATE)}|{re.escape(LOCK)}|{re.escape(NOTE)}|{ARRAY_FILE.pattern}|\..*\.tmp")


class Kept(NamedTuple):
    """What a selection goes on from."""

    numbers: dict[str, int]
    arrays: dict[str, np.ndarray]


class StateFolder(NamedTuple):
    """A folder that this process holds, and what it is of."""

    folder: Path
    of: dict[str, str]
    kept: Kept | None  # None where nothing was kept yet


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the sealed file says.

    Fields:
        of: what the picks depend on, in words.
        number: of the save, from 0, which stands in the names of the arrays' files.
        numbers: that were kept.
        arrays: by name the hash of its file.
    """

    of: dict[str, str]
    number: int
    numbers: dict[str, int]
    arrays: dict[str, str]


@contextmanager
def hold_state(folder: Path, of: Mapping[str, str]) -> Iterator[StateFolder]:
    """Hold a folder for one selection, and read what an earlier process kept in it.

    Args:
        folder: made where missing.
        of: what the picks depend on, name by name; the folder belongs to it from now on.

    Raises:
        StoreError: another process is at it; it holds something else, the state of another selection (all differences
            are told), or files that are not those that were written; or it cannot be written.
    """
    try:
        if folder.is_dir():
            _refuse_others(folder)
    except OSError as error:
        raise _unusable(folder, error) from error
    with hold(folder):
        try:
            clear_temporaries(folder, older_than=0)
            stored = read_sealed(folder / STATE, _Stored)
            if stored is None:
                if (folder / STATE).exists():
                    raise StoreError(
                        f"{folder}: {STATE} is damaged, or was written by another version of jaxal. Remove the"
                        " folder to begin anew."
                    )
                stored = _Stored(dict(of), 0, {}, {})
                write_sealed(folder / STATE, stored)
            _refuse_another(folder, stored.of, of)
            kept = Kept(stored.numbers, _read_arrays(folder, stored)) if stored.numbers else None
        except OSError as error:
            raise _unusable(folder, error) from error
        yield StateFolder(folder, stored.of, kept)


def save_state(state: StateFolder, kept: Kept) -> None:
    """Keep how far a selection has come; a process killed at any moment leaves this state or the one before.

    Raises:
        StoreError: it cannot be written.

    Cost: the arrays' bytes are written and read once.
    """
    folder = state.folder
    try:
        earlier = read_sealed(folder / STATE, _Stored)
        number = 0 if earlier is None else earlier.number + 1
        hashes = {}
        for name, array in kept.arrays.items():
            path = _array_path(folder, name, number)
            with temporary_file(path) as file:
                np.save(file, array, allow_pickle=False)
            hashes[name] = file_sha256(path)
        sync_folder(folder)
        write_sealed(folder / STATE, _Stored(state.of, number, kept.numbers, hashes))
        _clear_arrays(folder, {_array_path(folder, name, number).name for name in hashes})
    except OSError as error:
        raise unwritable(folder, error) from error


def _unusable(folder: Path, error: OSError) -> StoreError:
    return StoreError(f"{folder}: cannot be used: {error.strerror or error}. Choose another folder.")


def _array_path(folder: Path, name: str, number: int) -> Path:
    return folder / f"{name}-{number:06}.npy"


def _read_arrays(folder: Path, stored: _Stored) -> dict[str, np.ndarray]:
    arrays = {}
    for name, sha256 in stored.arrays.items():
        path = _array_path(folder, name, stored.number)
        if not path.is_file() or file_sha256(path) != sha256:
            raise StoreError(f"{path}: is missing, or not the file that was written. Remove the folder to begin anew.")
        arrays[name] = np.load(path, allow_pickle=False)
    _clear_arrays(folder, {_array_path(folder, name, stored.number).name for name in arrays})
    return arrays


def _clear_arrays(folder: Path, names: set[str]) -> None:
    for name in os.listdir(folder):
        if ARRAY_FILE.fullmatch(name) and name not in names:
            (folder / name).unlink(missing_ok=True)


def _refuse_others(folder: Path) -> None:
    others = sorted(name for name in os.listdir(folder) if not OURS.fullmatch(name))
    if others:
        raise StoreError(
            f"{folder}: holds something else ({examples(others)}); nothing was changed. Choose a new or empty folder."
        )


def _refuse_another(folder: Path, there: Mapping[str, str], here: Mapping[str, str]) -> None:
    differing = [
        f"\n  {name}: {there.get(name, 'none')} there, {here.get(name, 'none')} here"
        for name in sorted({*there, *here})
        if there.get(name) != here.get(name)
    ]
    if differing:
        raise StoreError(
            f"{folder}: holds the state of another selection; nothing was changed:{''.join(differing)}\n"
            "Give the same command as then, or another folder."
        )
