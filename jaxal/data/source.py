"""A set of labeled images, whatever its form on disk."""

import hashlib
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from jaxal.errors import DataError

__all__ = ["TEST", "TRAIN", "VALIDATION", "ImageSource", "class_index", "keep_classes", "one_vs_rest"]

# The names of the parts that data may come in.
TRAIN, VALIDATION, TEST = "train", "validation", "test"


class ImageSource(NamedTuple):
    """Labeled images behind one interface; n is their number.

    `read` must be safe to call from several threads at once, as batches are read ahead: it gives a new array each time
    and changes nothing that another call sees.
    """

    ids: np.ndarray  # str [n], unique and stable
    labels: np.ndarray  # int32 [n], 0 … C-1
    class_names: tuple[str, ...]  # C
    image_shape: tuple[int, int, int]  # height, width, channels
    mean: tuple[float, ...]  # per channel, of pixels scaled to [0, 1]
    std: tuple[float, ...]
    fingerprint: str  # SHA-256 of everything here and of the pixels: the same data, or not
    read: Callable[[np.ndarray], np.ndarray]  # indices [B] -> uint8 [B, height, width, channels]
    groups: np.ndarray | None = None  # str [n]; what belongs together (a patient) never stands on two sides of a split
    parts: np.ndarray | None = None  # str [n], TRAIN, VALIDATION or TEST: the split that the data comes with
    columns: Mapping[str, np.ndarray] = MappingProxyType({})  # further facts, str [n] each, such as a center
    notes: tuple[str, ...] = ()  # what a user should know of the reading: files left out, files converted
    finer: tuple[np.ndarray, tuple[str, ...]] | None = None  # labels and class names before two were made of them


def keep_classes(source: ImageSource, class_names: tuple[str, ...]) -> ImageSource:
    """Leave out the images of all classes but these, which stand in this order; pixels are scaled as in the whole.

    Raises:
        DataError: the source has no class of such a name, or a class is named twice.
    """
    kept = [class_index(source, name, "data.classes") for name in class_names]
    if len(set(kept)) < len(kept):
        raise DataError(f"data.classes: a class is named twice: {', '.join(class_names)}")
    new_label = np.full(len(source.class_names), -1, np.int32)
    new_label[kept] = np.arange(len(kept))
    rows = np.flatnonzero(new_label[source.labels] >= 0)
    told = json.dumps([source.fingerprint, *class_names]).encode()
    return source._replace(
        ids=source.ids[rows],
        labels=new_label[source.labels[rows]],
        class_names=class_names,
        fingerprint=hashlib.sha256(told).hexdigest(),
        read=lambda indices: source.read(rows[indices]),
        groups=None if source.groups is None else source.groups[rows],
        parts=None if source.parts is None else source.parts[rows],
        columns=MappingProxyType({name: cells[rows] for name, cells in source.columns.items()}),
        notes=(*source.notes, f"{len(source.labels) - len(rows)} images of classes not in data.classes are left out."),
    )


def one_vs_rest(source: ImageSource, class_name: str) -> ImageSource:
    """Turn a source of several classes into two: all others ("rest", class 0) against one (class 1).

    Raises:
        DataError: the source has no class of that name.
    """
    index = class_index(source, class_name, "data.one_vs_rest")
    labels = (source.labels == index).astype(np.int32)
    rest = "rest" if class_name != "rest" else "others"
    return source._replace(labels=labels, class_names=(rest, class_name), finer=(source.labels, source.class_names))


def class_index(source: ImageSource, class_name: str, setting: str) -> int:
    """Find a class by name.

    Raises:
        DataError: names the setting, the class and the classes that there are.
    """
    if class_name not in source.class_names:
        raise DataError(f"{setting} = {class_name!r}: no such class; there are {', '.join(source.class_names)}")
    return source.class_names.index(class_name)
