"""Arrays of images and labels, part by part, behind an ImageSource."""

import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from jaxal.data.source import TRAIN, ImageSource

__all__ = ["PartArrays", "array_source"]

# Images that are counted or hashed at a time.
BLOCK_BYTES = 2**26


class PartArrays(NamedTuple):
    """One part of a data set."""

    images: np.ndarray  # uint8 [n, height, width, channels], the same in all parts but for n
    labels: np.ndarray  # int [n], 0 … C-1


def array_source(
    parts: Mapping[str, PartArrays], class_names: tuple[str, ...], notes: tuple[str, ...] = ()
) -> ImageSource:
    """Put parts into one source; an image's id is its part and its row there, such as train-00000.

    Mean and standard deviation are those of the training images, rounded to three decimals.

    Args:
        parts: by name; TRAIN is among them and has images.
        class_names: in the order of the labels.
        notes: what a user should know of the reading.
    """
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
        notes=notes,
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
