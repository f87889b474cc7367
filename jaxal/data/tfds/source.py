"""A prepared data set of TensorFlow Datasets behind an ImageSource."""

import functools
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

from jaxal.config.data import TFDSConfig
from jaxal.data.decoding import BadImageError
from jaxal.data.image_shards import open_images
from jaxal.data.listeners import OnImages
from jaxal.data.problems import Problem, counted, examples, refusal, shown
from jaxal.data.readers.image_files import source_of
from jaxal.data.readers.usable_images import usable_images
from jaxal.data.records import PART_NAMES, ImageRecord
from jaxal.data.source import ImageSource
from jaxal.data.stored_image import StoredImage
from jaxal.data.tfds.prepared import find_prepared, open_prepared
from jaxal.data.tfds.records import StoredRecord, data_source, image_bytes, read_records, state_of
from jaxal.data.tfds.roles import Roles, find_roles
from jaxal.errors import DataError

__all__ = ["read_tfds"]


def read_tfds(config: TFDSConfig, on_images: OnImages | None = None) -> ImageSource:
    """Read a data set that was prepared as ArrayRecord, whoever prepared it; no TensorFlow, no network.

    Images are decoded as strictly as files are, resized once and kept in the cache. Ids are those of a feature, else
    SPLIT-NUMBER; images are in the order of their ids, not of TensorFlow Datasets' hashes. Splits give the parts,
    unless there is only one.

    Args:
        config: name, folder, and where they cannot be found, features.
        on_images: told how far decoding is.

    Raises:
        DataError: it is not prepared (the message says how to) or not as ArrayRecord; a feature cannot be found; splits
            have no names of parts; ids are not distinct; images have no label; or more than max_bad cannot be used.
    """
    folder = find_prepared(config.name, config.data_dir)
    where = f"data.source.name = {config.name!r} ({shown(str(folder))})"
    builder = open_prepared(folder)
    roles = find_roles(builder.info, config)
    parts = _parts(builder, config, where)
    stored = read_records(builder, folder, tuple(parts), roles, config.cache)
    ids = [record.id if roles.id else f"{record.split}-{record.number:06d}" for record in stored]
    _check(stored, ids, roles, where)
    order = sorted(range(len(stored)), key=lambda row: ids[row])
    stored, ids = [stored[row] for row in order], [ids[row] for row in order]
    has_groups = any(record.group for record in stored)
    images = _images(builder, folder, tuple(parts), roles, stored)
    records = [
        ImageRecord(
            id=each,
            path=image.name,
            label=roles.class_names[record.label],
            group=(record.group or each) if has_groups else None,
            part=parts[record.split],
            columns=record.columns,
        )
        for each, image, record in zip(ids, images, stored, strict=True)
    ]
    present = {record.label for record in records}
    class_names = tuple(name for name in roles.class_names if name in present)
    opened = open_images(
        images, size=roles.image_size, color=_color(roles), cache_folder=config.cache, on_images=on_images
    )
    usable = usable_images(
        records,
        [True] * len(records),
        opened,
        max_bad=config.max_bad,
        setting="data.source.max_bad =",
        class_names=class_names,
        where=where,
    )
    empty = [name for name in roles.class_names if name not in present]
    what = counted(len(empty), "class of the set has no image and is", "classes of the set have no image and are")
    notes = (f"{what} left out: {examples(empty)}",) if empty else ()
    return source_of(usable.kept, class_names, opened)._replace(notes=(*notes, *usable.notes))


def _color(roles: Roles) -> Any:
    return roles.color


def _parts(builder: Any, config: TFDSConfig, where: str) -> dict[str, str | None]:
    """Return the part that each split to be read is; None for all where there is only one."""
    known = list(builder.info.splits)
    unknown = [name for name in config.splits if name not in known]
    splits = list(config.splits) or known
    if unknown or len(set(splits)) < len(splits) or not splits:
        wrong = f"no split {', '.join(unknown)}" if unknown else "a split twice, or none at all"
        raise DataError(f"{where}: data.source.splits: {wrong}; there are {', '.join(known) or 'none'}")
    if len(splits) == 1:
        return {splits[0]: None}
    parts = {name: PART_NAMES.get(name.lower()) for name in splits}
    strange = [name for name, part in parts.items() if part is None]
    if strange:
        raise DataError(
            f"{where}: the splits {', '.join(strange)} have no names of parts (train, validation, test). Set"
            f" data.source.splits to those that are to be read, of {', '.join(known)}."
        )
    return parts


def _check(stored: list[StoredRecord], ids: list[str], roles: Roles, where: str) -> None:
    if not stored:
        raise DataError(f"{where} has no records")
    problems, seen = [], set()
    for each, record in zip(ids, stored, strict=True):
        place = f"{record.split}[{record.number}]"
        if not 0 <= record.label < len(roles.class_names):
            problems.append(Problem(place, "without a label, or of no class that there is"))
        if not each:
            problems.append(Problem(place, "empty id"))
        elif each in seen:
            problems.append(Problem(f"{place} ({each})", "id of another record"))
        seen.add(each)
    if problems:
        raise refusal(
            problems,
            heading=where,
            advice='Leave splits without labels out by data.source.splits. data.source.id_feature = "" numbers images.',
        )


def _images(
    builder: Any, folder: Path, splits: tuple[str, ...], roles: Roles, stored: list[StoredRecord]
) -> list[StoredImage]:
    """Make what stands for the images until they are read; the state of the set's files is that of each of them."""
    newest = max(mtime_ns for _, _, mtime_ns in state_of(folder))
    opened = {split: data_source(builder, split) for split in splits}
    lock = Lock()  # what reads one file must not be used by two threads

    def read(split: str, number: int) -> bytes:
        try:
            with lock:
                example = opened[split][number]
            return image_bytes(example, roles)
        except Exception as error:  # of a file from outside: anything may come out
            raise BadImageError(f"damaged record: {type(error).__name__}") from error

    def reader(record: StoredRecord) -> Callable[[], bytes]:
        return functools.partial(read, record.split, record.number)

    return [
        StoredImage(f"{folder} {record.split}[{record.number}]", record.num_bytes, newest, reader(record))
        for record in stored
    ]
