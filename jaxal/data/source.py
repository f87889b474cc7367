"""A set of labeled images, whatever its form on disk."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from jaxal.errors import DataError

__all__ = ["TEST", "TRAIN", "VALIDATION", "ImageSource", "class_index", "one_vs_rest"]

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


def one_vs_rest(source: ImageSource, class_name: str) -> ImageSource:
    """Turn a source of several classes into two: all others ("rest", class 0) against one (class 1).

    Raises:
        DataError: the source has no class of that name.
    """
    index = class_index(source, class_name, "data.one_vs_rest")
    labels = (source.labels == index).astype(np.int32)
    rest = "rest" if class_name != "rest" else "others"
    return source._replace(labels=labels, class_names=(rest, class_name))


def class_index(source: ImageSource, class_name: str, setting: str) -> int:
    """Find a class by name.

    Raises:
        DataError: names the setting, the class and the classes that there are.
    """
    if class_name not in source.class_names:
        raise DataError(f"{setting} = {class_name!r}: no such class; there are {', '.join(source.class_names)}")
    return source.class_names.index(class_name)
