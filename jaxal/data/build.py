"""A folder built once from labeled image files: decoded and resized shards, and a manifest that freezes the data."""

import hashlib
import importlib.metadata
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxal.config.data import ImagesConfig
from jaxal.data.build_changes import changed_files, changed_labels
from jaxal.data.build_folder import check_apart, clear_shards_from, data_folders, hold_folder
from jaxal.data.decoding_threads import file_state
from jaxal.data.image_shards import Shards, describe, make_shards, utf8_name
from jaxal.data.listeners import OnImages
from jaxal.data.manifest import (
    MANIFEST_VERSION,
    Built,
    Excluded,
    Manifest,
    Row,
    ShardName,
    csv_text,
    read_built,
    table_text,
    write_manifest,
    write_text,
)
from jaxal.data.problems import refusal, shown
from jaxal.data.readers.labeled_files import find_labels, label_advice
from jaxal.data.readers.usable_images import NOT_UTF8, is_utf8, usable_images
from jaxal.data.records import ImageRecord, LabeledFiles
from jaxal.data.shard_files import Entry, Form, SourceFile, read_entries
from jaxal.errors import DataError

__all__ = ["BAD_IMAGES", "BuildResult", "build_images"]

# The list of all images that cannot be used.
BAD_IMAGES = "bad_images.csv"
REPAIR = "Run the same command again."


class BuildResult(NamedTuple):
    """What a build left behind."""

    folder: Path
    manifest: Manifest
    is_same: bool  # it was complete before, and is still of this data
    num_made: int  # shards that were not there, or not sound


def build_images(config: ImagesConfig, out: str, on_images: OnImages | None = None) -> BuildResult:
    """Build a folder from labeled image files, go on with one that was interrupted, or check one that is complete.

    The folder holds the images as uint8 shards, manifest.csv, manifest.json and, where images cannot be used,
    bad_images.csv. A process that is killed loses one shard; the next one ends with the same bytes. In a complete
    folder every shard and every source file is read and compared with the hashes in the manifest; damaged shards are
    made anew. Nothing is written anywhere else.

    Args:
        config: the data, the form of the images, and how many may be left out; its cache is not used.
        out: the folder.
        on_images: told how far it is.

    Raises:
        DataError: the labels have problems, too many images cannot be used, the folder lies in the data, holds
            something else, cannot be written or has not the space, or it is complete and the data has changed.
    """
    folder = Path(out).expanduser().absolute()
    path = Path(config.path).expanduser().absolute()
    where = shown(str(path))
    found = find_labels(config)
    if found.problems:
        raise refusal(found.problems, heading=f"{where} ({found.form})", advice=label_advice(found.problems))
    top = path if path.is_dir() else path.parent
    check_apart(folder, sorted(data_folders(config, (record.path for record in found.records))))
    form = Form(config.image_size, config.color)
    with hold_folder(folder, form):
        return _build(config, found, folder, top, form, where, on_images)


def _build(
    config: ImagesConfig,
    found: LabeledFiles,
    folder: Path,
    top: Path,
    form: Form,
    where: str,
    on_images: OnImages | None,
) -> BuildResult:
    before = _complete(folder)
    records = [record._replace(path=os.path.relpath(record.path, top)) for record in found.records]
    if before is not None:
        changes = [*changed_labels(before, records), *changed_files(before, top, on_images)]
        if changes:
            raise refusal(
                changes,
                heading=f"--out {shown(str(folder))}: was built from other data than is in {where} now",
                advice="Nothing was changed. Choose another folder for the data as it is now, or restore the data.",
            )
    is_named = [_is_named(record) for record in records]
    named = [record for record, flag in zip(records, is_named, strict=True) if flag]
    files = [SourceFile(record.path, str(top / record.path)) for record in named]
    states = [file_state(str(file.path)) for file in files]
    shards = make_shards(folder, files, states, form, "--out", on_images)
    images = describe(shards.facts, form, REPAIR)
    excluded = _excluded(records, is_named, _entries(shards))
    _list_excluded(folder, excluded)
    try:
        usable = usable_images(
            records,
            is_named,
            images,
            max_bad=config.max_bad,
            setting="--max-bad",
            class_names=found.class_names,
            where=where,
        )
    except DataError as error:
        raise DataError(f"{error}\nAll of them are listed in {shown(str(folder / BAD_IMAGES))}.") from error
    good = (entry for entry in _entries(shards) if not entry.problem)
    rows = [
        Row(record, entry.bytes, entry.sha256, entry.width, entry.height)
        for record, entry in zip(usable.kept, good, strict=True)
    ]
    counts = Counter(row.record.label for row in rows)
    table = table_text(rows)
    manifest = Manifest(
        format_version=MANIFEST_VERSION,
        jaxal_version=importlib.metadata.version("jaxal") if before is None else before.manifest.jaxal_version,
        form=found.form,
        source=utf8_name(str(top)),
        class_names=found.class_names,
        class_counts={name: counts[name] for name in found.class_names},
        image_size=form.size,
        color=form.color,
        num_images=len(rows),
        has_groups=rows[0].record.group is not None,
        has_split=rows[0].record.part is not None,
        columns=tuple(rows[0].record.columns),
        mean=images.mean,
        std=images.std,
        pixels_digest=images.digest,
        shards=tuple(ShardName(shard.path.name, shard.sha256, shard.num_images) for shard in shards.facts),
        table_sha256=hashlib.sha256(table.encode()).hexdigest(),
        notes=(*found.notes, *usable.notes),
        excluded=tuple(excluded),
    )
    is_same = before is not None and before.manifest == manifest
    if not is_same:
        write_manifest(folder, manifest, table)
        clear_shards_from(folder, len(shards.facts))
    return BuildResult(folder, manifest, is_same, shards.num_made)


def _complete(folder: Path) -> Built | None:
    """Read the manifest of a folder that was built before; None if it is not finished, or damaged: it is made anew."""
    try:
        return read_built(folder, "")
    except DataError:
        return None


def _is_named(record: ImageRecord) -> bool:
    """Tell whether all that is said of an image can be written down."""
    return is_utf8(record.id, record.path, record.label, record.group or "", *record.columns.values())


def _entries(shards: Shards) -> Iterator[Entry]:
    """Read what is known of the files, a shard at a time: of a million files it is more than memory need hold."""
    for shard in shards.facts:
        yield from read_entries(shard)


def _excluded(records: Sequence[ImageRecord], is_named: Sequence[bool], entries: Iterator[Entry]) -> list[Excluded]:
    excluded = []
    for record, flag in zip(records, is_named, strict=True):
        entry = next(entries) if flag else None
        if entry is None:
            excluded.append(Excluded(utf8_name(record.id), utf8_name(record.path), -1, NOT_UTF8))
        elif entry.problem:
            excluded.append(Excluded(record.id, record.path, entry.bytes, entry.problem))
    return excluded


def _list_excluded(folder: Path, excluded: Sequence[Excluded]) -> None:
    path = folder / BAD_IMAGES
    text = csv_text([("id", "path", "reason"), *((each.id, each.path, each.reason) for each in excluded)])
    if not excluded:
        path.unlink(missing_ok=True)
    elif not path.exists() or path.read_bytes() != text.encode():
        write_text(path, text)
