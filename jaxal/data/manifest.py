"""The two files that say what a built folder holds: manifest.csv, a row per image, and manifest.json, all the rest."""

import csv
import hashlib
import io
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from jaxal.data.cache_files import read_sealed, temporary_file, write_sealed
from jaxal.data.records import ImageRecord
from jaxal.data.shard_files import Form, ShardFacts
from jaxal.errors import DataError

__all__ = [
    "MANIFEST_VERSION",
    "Built",
    "Excluded",
    "Manifest",
    "Row",
    "ShardName",
    "csv_text",
    "form_of",
    "has_manifest",
    "read_built",
    "shards_of",
    "table_text",
    "write_manifest",
    "write_text",
]

MANIFEST_VERSION = 1
TABLE, REST = "manifest.csv", "manifest.json"
COLUMNS = ("id", "path", "bytes", "sha256", "label", "group", "split", "width", "height")
# A further column with one of these names is written with this before it.
OWN = "data:"


class Row(NamedTuple):
    """One image of a built folder."""

    record: ImageRecord  # its path is relative to Manifest.source
    num_bytes: int  # of its file
    sha256: str  # of its file
    width: int  # of the upright picture in that file
    height: int


class ShardName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of images in the folder."""

    name: str
    sha256: str
    num_images: int


class Excluded(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An image that could not be used.

    Fields:
        id, path: as in manifest.csv; bytes that are no UTF-8 are escaped.
        bytes: of its file; -1 if there was none.
        reason: why.
    """

    id: str
    path: str
    bytes: int
    reason: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What manifest.json says.

    Fields:
        format_version: of these files.
        jaxal_version: that built the folder.
        form: in which the labels came.
        source: folder that paths are relative to, where it was when the folder was built.
        class_names: in the order of labels.
        class_counts: images of each class.
        image_size, color: of the images.
        num_images: rows of manifest.csv, in the order of the shards.
        has_groups, has_split: whether the data has them; their columns are empty otherwise.
        columns: names of the further columns, in the order of manifest.csv.
        mean, std: per channel, of pixels scaled to [0, 1].
        pixels_digest: of all images, however they fall into shards.
        shards: in order.
        table_sha256: of manifest.csv.
        notes: what a user should know of the data.
        excluded: images that could not be used.
    """

    format_version: int
    jaxal_version: str
    form: str
    source: str
    class_names: tuple[str, ...]
    class_counts: dict[str, int]
    image_size: int
    color: Literal["rgb", "gray"]
    num_images: int
    has_groups: bool
    has_split: bool
    columns: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pixels_digest: str
    shards: tuple[ShardName, ...]
    table_sha256: str
    notes: tuple[str, ...]
    excluded: tuple[Excluded, ...]


class Built(NamedTuple):
    """A built folder's manifest, and the rows of its table."""

    manifest: Manifest
    rows: list[Row]


def has_manifest(path: Path) -> bool:
    """Tell whether a path is a folder with both files; they may be damaged."""
    return (path / REST).is_file() and (path / TABLE).is_file()


def form_of(manifest: Manifest) -> Form:
    """Return the form of a built folder's images."""
    return Form(manifest.image_size, manifest.color)


def shards_of(folder: Path, manifest: Manifest) -> list[ShardFacts]:
    """Return what the shards of a built folder should be."""
    return [ShardFacts(folder / shard.name, shard.sha256, shard.num_images) for shard in manifest.shards]


def table_text(rows: Sequence[Row]) -> str:
    """Make the text of manifest.csv: UTF-8, commas, LF; a cell with a comma, a quote or a line break is quoted."""
    further = list(rows[0].record.columns) if rows else []
    header = [*COLUMNS, *(f"{OWN}{name}" if name in COLUMNS or name.startswith(OWN) else name for name in further)]

    def cells(row: Row) -> list[str]:
        record = row.record
        facts = (record.id, record.path, str(row.num_bytes), row.sha256, record.label, record.group or "")
        size = (record.part or "", str(row.width), str(row.height))
        return [*facts, *size, *(record.columns[name] for name in further)]

    return csv_text(itertools.chain([header], map(cells, rows)))


def csv_text(lines: Iterable[Sequence[str]]) -> str:
    """Make the text of a CSV file."""
    return "".join(",".join(map(_quoted, cells)) + "\n" for cells in lines)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        OSError: it could not be written.
    """
    with temporary_file(path) as file:
        file.write(text.encode())


def write_manifest(folder: Path, manifest: Manifest, table: str) -> None:
    """Write both files; manifest.json is the last, without it this is no built folder.

    Raises:
        OSError: a file could not be written.
    """
    write_text(folder / TABLE, table)
    write_sealed(folder / REST, manifest)


def read_built(folder: Path, where: str) -> Built:
    """Read and check the manifest of a built folder; its shards are not looked at.

    Args:
        folder: with the files.
        where: the setting and the folder, for refusals.

    Raises:
        DataError: a file is missing, damaged, or of a later version of jaxal.
    """
    again = "Run `jaxal data build` for this folder again, or get a whole copy of it."
    for name in (REST, TABLE):
        if not (folder / name).is_file():
            raise DataError(
                f"{where}: no {name} in it: not a folder made by `jaxal data build`, or one that was never finished."
                " Run that command (again)."
            )
    manifest = read_sealed(folder / REST, Manifest)
    if manifest is None or manifest.format_version != MANIFEST_VERSION:
        raise DataError(f"{where}: {REST} is damaged, or was written by another version of jaxal. {again}")
    try:
        data = (folder / TABLE).read_bytes()
    except OSError as error:
        raise DataError(f"{where}: {TABLE} cannot be read: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != manifest.table_sha256:
        raise DataError(f"{where}: {TABLE} is not the file that was written (its SHA-256 differs). {again}")
    rows = list(_rows(data.decode(), manifest))
    if len(rows) != manifest.num_images or sum(shard.num_images for shard in manifest.shards) != len(rows):
        raise DataError(f"{where}: {TABLE} has {len(rows)} images, {REST} speaks of {manifest.num_images}. {again}")
    return Built(manifest, rows)


def _rows(text: str, manifest: Manifest) -> Iterable[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    next(reader)
    for cells in reader:
        name, path, num_bytes, sha256, label, group, part, width, height, *further = cells
        record = ImageRecord(
            id=name,
            path=path,
            label=label,
            group=group if manifest.has_groups else None,
            part=part or None,
            columns=dict(zip(manifest.columns, further, strict=True)),
        )
        yield Row(record, int(num_bytes), sha256, int(width), int(height))


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(each in cell for each in ',"\r\n') else cell
