"""A folder made by `jaxal data build`: its shards are read as they lie, with or without the image files."""

from collections import Counter
from pathlib import Path

import numpy as np

from jaxal.config.data import BuiltConfig
from jaxal.data.image_shards import CachedImages, damaged_shards
from jaxal.data.listeners import OnImages
from jaxal.data.manifest import form_of, read_built, shards_of
from jaxal.data.problems import refusal, shown
from jaxal.data.readers.image_files import source_of
from jaxal.data.shard_files import shape_of
from jaxal.data.shard_rows import row_reader
from jaxal.data.source import ImageSource
from jaxal.errors import DataError

__all__ = ["read_built_folder", "repair_advice"]


def read_built_folder(config: BuiltConfig, on_images: OnImages | None = None) -> ImageSource:
    """Read a built folder; every shard is checked against its hash first. The folder may have been moved.

    The fingerprint is that of the data which it was built from, read directly at the same size and color.

    Args:
        config: the folder.
        on_images: told how many images have been checked.

    Raises:
        DataError: there is no such folder, it is not finished, or a file in it is damaged or missing.
    """
    folder = Path(config.path).expanduser().absolute()
    where = f"data.source.path: {shown(str(folder))}"
    if not folder.is_dir():
        raise DataError(f"{where}: no such folder (current directory {Path.cwd()})")
    manifest, rows = read_built(folder, where)
    shards, form, advice = shards_of(folder, manifest), form_of(manifest), repair_advice(manifest.source)
    damaged = damaged_shards(shards, on_images)
    if damaged:
        raise refusal(damaged, heading=where, advice=advice)
    images = CachedImages(
        read=row_reader(shards, shape_of(form), np.uint8, advice),
        image_shape=shape_of(form),
        mean=manifest.mean,
        std=manifest.std,
        positions=np.arange(len(rows)),
        problems={},
        conversions=Counter(),
        sha256=tuple(row.sha256 for row in rows),
        digest=manifest.pixels_digest,
    )
    return source_of([row.record for row in rows], manifest.class_names, images)._replace(
        notes=(f"form: {manifest.form}", *manifest.notes)
    )


def repair_advice(source: str) -> str:
    """Say what to do where a shard is damaged.

    Args:
        source: the folder of the image files.
    """
    return (
        f"With the image files in {shown(source)}, run the same `jaxal data build` again: it makes what is damaged"
        " anew. Without them, get a whole copy of this folder."
    )
