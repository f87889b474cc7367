"""MedMNIST's npz files, and one's own in the same form."""

import hashlib
import os
import zipfile
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path

import numpy as np

from jaxal.config.data import MedMNISTConfig
from jaxal.data.array_source import PartArrays, array_source
from jaxal.data.readers.medmnist_sets import SETS, SIZES, MedMNISTSet
from jaxal.data.readers.npz import Header, open_npz, read_headers, read_member
from jaxal.data.source import TEST, TRAIN, VALIDATION, ImageSource
from jaxal.errors import DataError

__all__ = ["read_medmnist"]

PREFIXES = {TRAIN: "train", VALIDATION: "val", TEST: "test"}
ARRAYS = ("images", "labels")
NAMES = [f"{prefix}_{what}" for prefix in PREFIXES.values() for what in ARRAYS]
URL = "https://zenodo.org/records/10519652/files/{}.npz?download=1"
CHANNELS = (1, 3)
# More classes than any set has; one stray label must not make as many names.
MAX_CLASSES = 100_000


def read_medmnist(config: MedMNISTConfig) -> ImageSource:
    """Read an npz file with {train,val,test}_{images,labels}: uint8 [n, H, W] or [n, H, W, 3], integers [n] or [n, 1].

    Parts other than train may be missing or empty. Where the name is that of a file of MedMNIST 3.0.2, such as
    dermamnist_64.npz, its MD5 must be that file's. Objects are never loaded. Mean and standard deviation are those of
    the training images, rounded to three decimals.

    Raises:
        DataError: the file is missing, not what its name says, damaged, or not of this form; an image has several
            labels, or a label has no class name.
    """
    path = Path(config.path).expanduser()
    known = _known_file(path)
    if known is not None and known[0].is_multi_label:
        raise DataError(f"data.source.path: {path.name} is multi-label (an image has several classes): not supported")
    if not os.path.isfile(path):
        raise DataError(_unreadable(path, "no such file", known is not None))
    try:
        with open(path, "rb") as file:
            if known is not None:
                _check_md5(file, path, known[1])
            with open_npz(file, str(path)) as archive:
                headers = read_headers(archive, NAMES, str(path))
                names = _check_headers(headers, path)
                parts = {part: _read_part(archive, PREFIXES[part], headers, path) for part in names}
    except OSError as error:
        raise DataError(_unreadable(path, error.strerror or str(error), known is not None)) from error
    class_names = _class_names(config, known[0] if known else None, parts, path)
    return array_source(parts, class_names)


def _known_file(path: Path) -> tuple[MedMNISTSet, str] | None:
    """Find the set and the MD5 that belong to a file name."""
    for flag, known in SETS.items():
        for ending, md5 in zip(SIZES.values(), known.md5s, strict=True):
            if path.name == f"{flag}{ending}.npz":
                return known, md5
    return None


def _unreadable(path: Path, why: str, is_known: bool) -> str:
    name = path.stem if is_known else "NAME"
    sets = "" if is_known else f" NAME is one of {', '.join(SETS)}, alone or with _64, _128 or _224."
    return f"data.source.path: cannot read {path.absolute()}: {why}. MedMNIST's files are at {URL.format(name)}.{sets}"


def _check_md5(file: BufferedReader, path: Path, expected: str) -> None:
    found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    file.seek(0)
    if found != expected:
        raise DataError(
            f"{path}: MD5 {found}, but MedMNIST 3.0.2's file of that name has {expected}: cut short or another version."
            f" Get it again from {URL.format(path.stem)}; a set of your own needs another file name."
        )


def _check_headers(headers: Mapping[str, Header], path: Path) -> list[str]:
    """Check all shapes and types before anything is read; return the parts that hold images."""
    parts, shapes = [], {}
    for part, prefix in PREFIXES.items():
        found = [f"{prefix}_{what}" for what in ARRAYS if f"{prefix}_{what}" in headers]
        if len(found) == 1 or (not found and part == TRAIN):
            missing = ", ".join(f"{prefix}_{what}" for what in ARRAYS if f"{prefix}_{what}" not in headers)
            raise DataError(f"{path}: no {missing}; an npz in MedMNIST's form has train_images and train_labels")
        if found:
            images, labels = headers[f"{prefix}_images"], headers[f"{prefix}_labels"]
            if images.shape[:1] == (0,) and labels.shape[:1] == (0,) and part != TRAIN:
                continue
            shapes[prefix] = _check_shapes(images, labels, prefix, path)
            parts.append(part)
    if len(set(shapes.values())) > 1:
        raise DataError(f"{path}: images differ in shape: " + ", ".join(f"{name} {s}" for name, s in shapes.items()))
    return parts


def _check_shapes(images: Header, labels: Header, prefix: str, path: Path) -> tuple[int, ...]:
    is_gray, is_color = len(images.shape) == 3, len(images.shape) == 4 and images.shape[-1] in CHANNELS
    if images.dtype != np.uint8 or not (is_gray or is_color) or min(images.shape) == 0:
        raise DataError(
            f"{path}: {prefix}_images is {images.shape} of {images.dtype}; expected uint8 [n, height, width] or"
            " [n, height, width, 3], n above 0. Three-dimensional sets are not supported."
        )
    if len(labels.shape) == 2 and labels.shape[1] > 1:
        raise DataError(
            f"{path}: {prefix}_labels is {labels.shape}: multi-label, an image has several classes: not supported"
        )
    if labels.dtype.kind not in "iu" or len(labels.shape) not in (1, 2) or labels.shape[1:] == (0,):
        raise DataError(f"{path}: {prefix}_labels is {labels.shape} of {labels.dtype}; expected integers [n] or [n, 1]")
    if images.shape[0] != labels.shape[0]:
        raise DataError(f"{path}: {prefix} has {images.shape[0]} images but {labels.shape[0]} labels")
    return images.shape[1:] if is_color else (*images.shape[1:], 1)


def _read_part(archive: zipfile.ZipFile, prefix: str, headers: Mapping[str, Header], path: Path) -> PartArrays:
    images = read_member(archive, f"{prefix}_images", str(path))
    if images.ndim == 3:
        images = images[..., None]
    return PartArrays(images, read_member(archive, f"{prefix}_labels", str(path)).reshape(-1))


def _class_names(
    config: MedMNISTConfig, known: MedMNISTSet | None, parts: Mapping[str, PartArrays], path: Path
) -> tuple[str, ...]:
    labels = [part.labels for part in parts.values()]
    num_all = sum(map(len, labels))
    num_negative = sum(int((each < 0).sum()) for each in labels)
    if num_negative:
        lowest = min(int(each.min()) for each in labels)
        raise DataError(f"{path}: {num_negative} of {num_all} labels are negative (down to {lowest}); expected 0, 1, …")
    highest = max(int(each.max()) for each in labels)
    names = config.class_names or (known.class_names if known else ())
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"data.source.class_names: {', '.join(map(repr, twice))} more than once")
    limit = len(names) or MAX_CLASSES
    if highest >= limit:
        num_beyond = sum(int((each >= limit).sum()) for each in labels)
        told = f"{len(names)} class names are given" if names else f"at most {MAX_CLASSES} classes are read"
        raise DataError(f"{path}: {num_beyond} of {num_all} labels have no class: up to {highest}, but {told}")
    return names or tuple(str(number) for number in range(highest + 1))
