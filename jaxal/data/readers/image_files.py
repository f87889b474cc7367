"""Labeled image files of any arrangement behind an ImageSource."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

import msgspec
import numpy as np

from jaxal.config.data import CSVConfig, FolderConfig, ImagesConfig
from jaxal.data.image_shards import CachedImages, open_images
from jaxal.data.listeners import OnImages
from jaxal.data.problems import refusal, shown
from jaxal.data.readers.usable_images import is_utf8, usable_images
from jaxal.data.records import ImageRecord, LabeledFiles
from jaxal.data.source import ImageSource

__all__ = ["ImageRecord", "make_source", "source_of"]


def make_source(
    found: LabeledFiles,
    config: FolderConfig | CSVConfig | ImagesConfig,
    *,
    advice: str,
    on_images: OnImages | None = None,
) -> ImageSource:
    """Open the images of a data set, leave out those that cannot be used, and say so in the notes.

    Args:
        found: what was found there; of its records either all have a group (a part) or none has.
        config: where, size, color, cache and how many files may be left out.
        advice: what to do about problems with the labels.
        on_images: told how far decoding is.

    Raises:
        DataError: there are problems with the labels, more files than max_bad cannot be used, none of a class can, or
            the cache cannot be written.
    """
    where = f"data.source.path: {shown(str(Path(config.path).expanduser().absolute()))}"
    # Where the form was not asked for, it is told.
    is_form_found = isinstance(config, ImagesConfig)
    if found.problems:
        heading = f"{where} ({found.form})" if is_form_found else where
        raise refusal(found.problems, heading=heading, advice=advice)
    records = found.records
    is_named = [is_utf8(record.id, record.label) for record in records]
    images = open_images(
        [record.path for record, flag in zip(records, is_named, strict=True) if flag],
        size=config.image_size,
        color=config.color,
        cache_folder=config.cache,
        on_images=on_images,
    )
    usable = usable_images(
        records,
        is_named,
        images,
        max_bad=config.max_bad,
        setting="data.source.max_bad =",
        class_names=found.class_names,
        where=where,
    )
    notes = (*([f"form: {found.form}"] if is_form_found else []), *found.notes, *usable.notes)
    return source_of(usable.kept, found.class_names, images)._replace(notes=notes)


def source_of(records: Sequence[ImageRecord], class_names: tuple[str, ...], images: CachedImages) -> ImageSource:
    """Put records and their images behind one interface; where the images lie does not show in the fingerprint.

    Args:
        records: at least one; as many as there are images, in their order.
        class_names: in the order of the labels.
        images: whose files could be used.
    """
    index = {name: number for number, name in enumerate(class_names)}
    columns = {name: [record.columns[name] for record in records] for name in records[0].columns}
    facts = {
        "ids": [record.id for record in records],
        "labels": [index[record.label] for record in records],
        "class_names": class_names,
        "groups": [record.group for record in records],
        "parts": [record.part for record in records],
        "columns": columns,
        "pixels": images.digest,
    }
    return ImageSource(
        ids=np.array(facts["ids"], dtype=np.str_),
        labels=np.array(facts["labels"], dtype=np.int32),
        class_names=class_names,
        image_shape=images.image_shape,
        mean=images.mean,
        std=images.std,
        fingerprint=hashlib.sha256(msgspec.json.encode(facts)).hexdigest(),
        read=images.read,
        groups=None if records[0].group is None else np.array(facts["groups"], dtype=np.str_),
        parts=None if records[0].part is None else np.array(facts["parts"], dtype=np.str_),
        columns=MappingProxyType({name: np.array(cells, dtype=np.str_) for name, cells in columns.items()}),
    )
