"""What a prepared data set says of each of its images, read once and then kept beside the resized images."""

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec

from jaxal.data.cache_files import read_sealed, write_sealed
from jaxal.data.image_shards import cache_root
from jaxal.data.problems import shown
from jaxal.data.tfds.library import tensorflow_datasets
from jaxal.data.tfds.names import COLUMNS
from jaxal.data.tfds.roles import Roles
from jaxal.errors import DataError

__all__ = ["StoredRecord", "data_source", "image_bytes", "read_records", "state_of"]


class StoredRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """One record without its image.

    Fields:
        split, number: where it lies.
        label: number of its class.
        num_bytes: of its image.
        id, group: as stored; empty where there is none.
        columns: further texts by name.
    """

    split: str
    number: int
    label: int
    num_bytes: int
    id: str
    group: str
    columns: dict[str, str]


class _Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: str
    records: list[StoredRecord]


def state_of(folder: Path) -> list[tuple[str, int, int]]:
    """Return name, bytes and time of change of every file of a prepared set."""
    found = ((entry.name, entry.stat()) for entry in os.scandir(folder) if entry.is_file())
    return sorted((name, status.st_size, status.st_mtime_ns) for name, status in found)


def data_source(builder: Any, split: str) -> Any:
    """Open one split for reading by number; images stay as they are stored.

    Raises:
        DataError: a file of it is missing or damaged.
    """
    tfds = tensorflow_datasets()
    images = [name for name, kind in builder.info.features.items() if isinstance(kind, tfds.features.Image)]
    where = f"{shown(str(builder.data_dir))}: split {split!r}"
    try:
        return builder.as_data_source(split, decoders={name: tfds.decode.SkipDecoding() for name in images})
    except Exception as error:  # files from outside go through several parsers: anything may come out
        raise DataError(f"{where} cannot be opened: {type(error).__name__}: {error}. Prepare it again.") from error


def image_bytes(example: Any, roles: Roles) -> bytes:
    """Return a record's image as the bytes of a file; bare pixels as PGM or PPM, which adds nothing but a header."""
    stored = example[roles.image]
    if roles.is_encoded:
        return bytes(stored)
    form = b"P6" if stored.shape[2:] == (3,) else b"P5"
    return b"%b %d %d 255\n%b" % (form, stored.shape[1], stored.shape[0], stored.tobytes())


def read_records(builder: Any, folder: Path, splits: tuple[str, ...], roles: Roles, cache: str) -> list[StoredRecord]:
    """Read all records of some splits, in the order in which they are stored.

    What they say is kept in the cache, found by the set's folder and the state of its files, since to learn a label the
    image has to be read as well.

    Raises:
        DataError: a record is damaged, or a text of it is not UTF-8.
    """
    facts = [str(folder), state_of(folder), splits, roles]
    key = hashlib.sha256(b"jaxal tfds 1 " + msgspec.json.encode(facts)).hexdigest()
    path = cache_root(cache) / "tfds" / f"{key}.json"
    kept = read_sealed(path, _Index)
    if kept is not None and kept.key == key:
        return kept.records
    records = [record for split in splits for record in _read_split(builder, split, roles)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_sealed(path, _Index(key, records))
    except OSError as error:
        raise DataError(f"data.source.cache: cannot write to {path.parent}: {error.strerror or error}") from error
    return records


def _read_split(builder: Any, split: str, roles: Roles) -> list[StoredRecord]:
    opened = data_source(builder, split)
    records = []
    for number in range(len(opened)):
        where = f"{shown(str(builder.data_dir))}: {split}[{number}]"
        try:
            example = opened[number]
            columns = {name: _text(example, name) for name in roles.columns}
            if roles.is_packed:
                columns |= msgspec.json.decode(_text(example, COLUMNS), type=dict[str, str])
            record = StoredRecord(
                split,
                number,
                int(example[roles.label]),
                len(image_bytes(example, roles)),
                _text(example, roles.id),
                _text(example, roles.group),
                columns,
            )
        except Exception as error:  # as above
            raise DataError(f"{where} cannot be read: {type(error).__name__}: {error}. Prepare it again.") from error
        records.append(record)
    return records


def _text(example: Any, name: str | None) -> str:
    if name is None:
        return ""
    value = example[name]
    return value.decode() if isinstance(value, bytes) else str(value)
