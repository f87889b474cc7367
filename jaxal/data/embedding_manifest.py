"""What a folder of embeddings is of: written down, sealed, and compared."""

import contextlib
import csv
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from jaxal.data.cache_files import file_sha256, read_sealed, write_sealed
from jaxal.data.manifest import ShardName, csv_text, write_text
from jaxal.data.shard_files import ShardFacts
from jaxal.errors import DataError

__all__ = [
    "MANIFEST",
    "SAMPLES",
    "EmbeddingsOf",
    "MadeBy",
    "Manifest",
    "digest_of",
    "has_its_ids",
    "ids_by_row",
    "iterate_ids",
    "key_of",
    "read_ids",
    "read_manifest",
    "samples_text",
    "shard_facts",
    "what_differs",
    "write_manifest",
]

# Increased whenever the files have another form, or a network gives other embeddings for the same settings.
FORMAT_VERSION = 1
MANIFEST, SAMPLES = "embeddings.json", "samples.csv"


class EmbeddingsOf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What embeddings are of: the same in two folders, and their numbers agree to rounding.

    Fields:
        data_sha256: fingerprint of the source; all its rows are embedded, in its order.
        num_rows: of the source.
        width: D.
        image_shape: height, width, channels of the source's images.
        model: settings of the network, those that embeddings in evaluation depend on.
        mean, std: by which images are standardized, per channel.
        weights_sha256: of the file with pretrained weights; empty where they are random.
        seed: of random weights; -1 where they are pretrained.
    """

    data_sha256: str
    num_rows: int
    width: int
    image_shape: tuple[int, ...]
    model: dict[str, Any]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights_sha256: str
    seed: int


class MadeBy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How embeddings were computed, of which their last bits may depend.

    Fields:
        batch_size: images of each forward batch.
        device: kind of the devices.
        num_devices: that each batch was spread over.
        versions: of jax and jaxal.
    """

    batch_size: int
    device: str
    num_devices: int
    versions: dict[str, str]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a finished folder holds.

    Fields:
        format_version: of the files.
        of: what the embeddings are of.
        made_by: how they were computed.
        class_names: of the source, in the order of its labels.
        shards: in order.
        samples_sha256: of samples.csv.
    """

    format_version: int
    of: EmbeddingsOf
    made_by: MadeBy
    class_names: tuple[str, ...]
    shards: tuple[ShardName, ...]
    samples_sha256: str


def key_of(of: EmbeddingsOf, made_by: MadeBy) -> str:
    """Hash all that every bit of the embeddings depends on."""
    return hashlib.sha256(msgspec.json.encode((FORMAT_VERSION, of, made_by))).hexdigest()


def digest_of(manifest: Manifest) -> str:
    """Hash the embeddings themselves: the hashes of their shards, in order."""
    return hashlib.sha256("\n".join(shard.sha256 for shard in manifest.shards).encode()).hexdigest()


def shard_facts(folder: Path, manifest: Manifest) -> list[ShardFacts]:
    """Return what the shards of a finished folder should be."""
    return [ShardFacts(folder / shard.name, shard.sha256, shard.num_images) for shard in manifest.shards]


def what_differs(there: EmbeddingsOf, here: EmbeddingsOf) -> list[str]:
    """Name each fact in which two differ, with both values; empty where they agree."""
    return [f"{name}: {_shown(old)} there, {_shown(new)} here" for name, old, new in _pairs(there, here) if old != new]


def _pairs(there: EmbeddingsOf, here: EmbeddingsOf) -> Iterator[tuple[str, Any, Any]]:
    for name in EmbeddingsOf.__struct_fields__:
        old, new = getattr(there, name), getattr(here, name)
        if isinstance(old, dict):
            for key in sorted({*old, *new}):
                yield f"{name}.{key}", old.get(key), new.get(key)
        else:
            yield name, old, new


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "none"
    return str(list(value)) if isinstance(value, tuple) else str(value)


def samples_text(ids: Sequence[str]) -> str:
    """Make the text of samples.csv: whose each row is. The source's labels, which may be hidden truth, are not in it.

    Raises:
        DataError: an id is no Unicode text.
    """
    text = csv_text([("index", "id"), *((str(row), str(name)) for row, name in enumerate(ids))])
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"data.source: an id is no Unicode text, and cannot be written down: {error}") from error
    return text


def write_manifest(
    folder: Path,
    of: EmbeddingsOf,
    made_by: MadeBy,
    class_names: tuple[str, ...],
    shards: Sequence[ShardFacts],
    text: str,
) -> Manifest:
    """Write both files of a folder whose shards are all there; the manifest is the last: without it it is unfinished.

    Raises:
        OSError: a file could not be written.
    """
    names = tuple(ShardName(shard.path.name, shard.sha256, shard.num_images) for shard in shards)
    manifest = Manifest(FORMAT_VERSION, of, made_by, class_names, names, hashlib.sha256(text.encode()).hexdigest())
    write_text(folder / SAMPLES, text)
    write_sealed(folder / MANIFEST, manifest)
    return manifest


def read_manifest(folder: Path) -> Manifest | None:
    """Read the manifest of a folder; None where it is unfinished, damaged, or of another version of jaxal."""
    manifest = read_sealed(folder / MANIFEST, Manifest)
    return manifest if manifest is not None and manifest.format_version == FORMAT_VERSION else None


def has_its_ids(folder: Path, manifest: Manifest) -> bool:
    """Tell whether the ids of a finished folder are those that were written."""
    try:
        return file_sha256(folder / SAMPLES) == manifest.samples_sha256
    except OSError:
        return False


def iterate_ids(folder: Path) -> Iterator[str]:
    """Read the ids of a folder's rows one by one; `has_its_ids` says whether they can be trusted.

    Raises:
        DataError: the file cannot be read.
    """
    with _reading(folder / SAMPLES), open(folder / SAMPLES, encoding="utf-8", newline="") as file:
        rows = csv.reader(file, strict=True)
        next(rows)
        yield from (name for _, name in rows)


def ids_by_row(folder: Path) -> Callable[[Iterable[int]], Iterator[str]]:
    """Make the function that looks the ids of some rows up, trusted as those of `iterate_ids`.

    Raises:
        DataError: the file cannot be read.

    Cost: the file in memory and 8 bytes a row as long as the function is kept, three times that while it is made.
    """
    with _reading(folder / SAMPLES):
        text = (folder / SAMPLES).read_bytes()
    letters = np.frombuffer(text, np.uint8)
    ends, quotes = np.flatnonzero(letters == ord("\n")), np.flatnonzero(letters == ord('"'))
    if len(quotes):  # a line break between quotes is one of the id's own
        ends = ends[np.searchsorted(quotes, ends) % 2 == 0]

    def ids_of(rows: Iterable[int]) -> Iterator[str]:
        lines = (text[ends[row] + 1 : ends[row + 1]].decode() for row in rows)
        return (name for _, name in csv.reader(lines, strict=True))

    return ids_of


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be read any more: {error.strerror or error}. Bring the file back.") from error


def read_ids(folder: Path, manifest: Manifest) -> list[str] | None:
    """Read the ids of a finished folder's rows; None where the file is not the one that was written."""
    return list(iterate_ids(folder)) if has_its_ids(folder, manifest) else None
