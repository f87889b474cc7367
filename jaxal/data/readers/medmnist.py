"""MedMNIST's npz files, and one's own in the same form."""

import hashlib
import os
import zipfile
from collections.abc import Callable, Mapping
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxal.config.data import MedMNISTConfig
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
BLOCK_BYTES = 2**26


class _Part(NamedTuple):
    images: np.ndarray  # uint8 [n, height, width, channels]
    labels: np.ndarray  # int [n]


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
    return _as_source(parts, class_names)


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


def _read_part(archive: zipfile.ZipFile, prefix: str, headers: Mapping[str, Header], path: Path) -> _Part:
    images = read_member(archive, f"{prefix}_images", str(path))
    if images.ndim == 3:
        images = images[..., None]
    return _Part(images, read_member(archive, f"{prefix}_labels", str(path)).reshape(-1))


def _class_names(
    config: MedMNISTConfig, known: MedMNISTSet | None, parts: Mapping[str, _Part], path: Path
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


def _as_source(parts: Mapping[str, _Part], class_names: tuple[str, ...]) -> ImageSource:
    lengths = [len(part.labels) for part in parts.values()]
    names = np.repeat(list(parts), lengths)
    ids = np.array([f"{part}-{row:05d}" for part, length in zip(parts, lengths, strict=True) for row in range(length)])
    labels = np.concatenate([part.labels for part in parts.values()]).astype(np.int32)
    images = [part.images for part in parts.values()]
    mean, std = _mean_and_std(parts[TRAIN].images)
    return ImageSource(
        ids=ids,
        labels=labels,
        class_names=class_names,
        image_shape=images[0].shape[1:],
        mean=mean,
        std=std,
        fingerprint=_fingerprint(ids, labels, names, class_names, images),
        read=_reader(images),
        parts=names,
    )


def _reader(images: list[np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """Gather rows of the parts one after the other, without a second copy of them all."""
    ends = np.cumsum([len(each) for each in images])

    def read(indices: np.ndarray) -> np.ndarray:
        if np.any((indices < 0) | (indices >= ends[-1])):
            raise IndexError(f"image {indices.min()} … {indices.max()} of {ends[-1]}")
        rows = np.empty((len(indices), *images[0].shape[1:]), np.uint8)
        for number, part in enumerate(images):
            is_here = (indices >= ends[number] - len(part)) & (indices < ends[number])
            rows[is_here] = part[indices[is_here] - (ends[number] - len(part))]
        return rows

    return read


def _blocks(images: np.ndarray) -> list[np.ndarray]:
    step = max(1, BLOCK_BYTES // max(1, images[0].size))
    return [images[start : start + step] for start in range(0, len(images), step)]


def _mean_and_std(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Compute both per channel from exact counts of the 256 levels, so that no block size can move them."""
    channels = images.shape[-1]
    counts = np.zeros((channels, 256), np.int64)
    for block in _blocks(images):
        counts += np.stack([np.bincount(block[..., channel].ravel(), minlength=256) for channel in range(channels)])
    levels, shares = np.arange(256) / 255, counts / counts.sum(1, keepdims=True)
    mean = shares @ levels
    std = np.sqrt((shares * (levels[None] - mean[:, None]) ** 2).sum(1))
    return tuple(round(float(m), 3) for m in mean), tuple(max(round(float(s), 3), 1e-3) for s in std)


def _fingerprint(
    ids: np.ndarray, labels: np.ndarray, parts: np.ndarray, class_names: tuple[str, ...], images: list[np.ndarray]
) -> str:
    digest = hashlib.sha256()
    for texts in (ids.tolist(), parts.tolist(), class_names, map(str, images[0].shape[1:])):
        digest.update("".join(f"{len(text)}:{text}" for text in texts).encode() + b"\n")
    digest.update(labels.astype("<i4").tobytes())
    for part in images:
        for block in _blocks(part):
            digest.update(np.ascontiguousarray(block).data)
    return digest.hexdigest()
