"""Labeled image files of any arrangement behind an ImageSource."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import msgspec
import numpy as np

from jaxal.config.data import CSVConfig, FolderConfig
from jaxal.data.image_cache import CachedImages, OnImages, open_images
from jaxal.data.problems import Problem, examples, group_by_kind, refusal
from jaxal.data.source import TEST, TRAIN, VALIDATION, ImageSource

__all__ = ["PART_NAMES", "ImageRecord", "make_source"]

# What parts are called, in lower case.
PART_NAMES = {"train": TRAIN, "training": TRAIN, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION}
PART_NAMES |= {"test": TEST, "testing": TEST}

# Images that are added up at a time: so many bytes, and no more images than 32 bits hold the sum of squares of.
BLOCK_BYTES, BLOCK_IMAGES = 2**22, 2**32 // 255**2
# A constant picture has no spread; dividing by this keeps normalized pixels finite.
LEAST_STD = 1e-3


class ImageRecord(NamedTuple):
    """One image file and what is said of it."""

    id: str
    path: str
    label: str
    group: str | None = None
    part: str | None = None
    columns: Mapping[str, str] = MappingProxyType({})  # the same names in all records


def make_source(
    records: Sequence[ImageRecord],
    config: FolderConfig | CSVConfig,
    *,
    class_names: tuple[str, ...],
    where: str,
    on_images: OnImages | None = None,
    notes: tuple[str, ...] = (),
) -> ImageSource:
    """Open the images of some records, leave out those that cannot be used, and say so in the notes.

    Args:
        records: with distinct ids, in the order of the source; either all have a group (a part) or none has.
        config: size, color, cache and how many files may be left out.
        class_names: in the order of the labels.
        where: what the records are from, for refusals.
        on_images: told how far decoding is.
        notes: what reading the records had to say.

    Raises:
        DataError: more files than max_bad cannot be used, none of a class can, or the cache cannot be written.
    """
    named = [position for position, record in enumerate(records) if _is_utf8(record.id)]
    images = open_images(
        [records[position].path for position in named],
        size=config.image_size,
        color=config.color,
        cache_folder=config.cache,
        on_images=on_images,
    )
    kinds = dict.fromkeys(set(range(len(records))) - set(named), "file name is not UTF-8")
    kinds |= {named[position]: kind for position, kind in images.problems.items()}
    bad = [Problem(records[position].id, kinds[position]) for position in sorted(kinds)]
    if len(bad) > config.max_bad:
        raise refusal(
            bad,
            heading=f"{where}: {len(bad)} of {len(records)} images cannot be used, {config.max_bad} may be left out",
            advice=f"Repair or remove them, or leave them out with data.source.max_bad = {len(bad)}.",
        )
    kept = [record for position, record in enumerate(records) if position not in kinds]
    lost = sorted(set(class_names) - {record.label for record in kept})
    if lost or not kept:
        raise refusal(
            bad,
            heading=f"{where}: no image can be used of {len(lost)} classes ({examples(lost)})",
            advice="Repair them, or remove these classes.",
        )
    used = [(each, records[named[position]]) for position, each in enumerate(images.sha256) if each]
    notes = (*notes, *_left_out(bad), *_converted(images), *_copies(used))
    return _source(kept, class_names, images)._replace(notes=notes)


def _source(records: Sequence[ImageRecord], class_names: tuple[str, ...], images: CachedImages) -> ImageSource:
    index = {name: number for number, name in enumerate(class_names)}
    columns = {name: [record.columns[name] for record in records] for name in records[0].columns}
    facts = {
        "ids": [record.id for record in records],
        "labels": [index[record.label] for record in records],
        "class_names": class_names,
        "groups": [record.group for record in records],
        "parts": [record.part for record in records],
        "columns": columns,
        "pixels": images.pixels_sha256,
    }
    pixels = np.asarray(images.pixels)
    mean, std = _statistics(pixels)
    return ImageSource(
        ids=np.array(facts["ids"], dtype=np.str_),
        labels=np.array(facts["labels"], dtype=np.int32),
        class_names=class_names,
        image_shape=pixels.shape[1:],
        mean=mean,
        std=std,
        fingerprint=hashlib.sha256(msgspec.json.encode(facts)).hexdigest(),
        read=lambda indices: np.take(pixels, indices, axis=0),
        groups=None if records[0].group is None else np.array(facts["groups"], dtype=np.str_),
        parts=None if records[0].part is None else np.array(facts["parts"], dtype=np.str_),
        columns=MappingProxyType({name: np.array(cells, dtype=np.str_) for name, cells in columns.items()}),
    )


def _statistics(pixels: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation (ddof 0) per channel of pixels / 255, from exact whole-number sums."""
    sums = np.zeros((2, *pixels.shape[1:]), np.int64)
    step = max(1, min(BLOCK_BYTES // pixels[0].size, BLOCK_IMAGES))
    for start in range(0, len(pixels), step):
        block = pixels[start : start + step].astype(np.uint32)
        sums += [block.sum(0, dtype=np.uint32), (block * block).sum(0, dtype=np.uint32)]
    mean, square = sums.sum((1, 2)) / (pixels.size // pixels.shape[-1])
    std = np.sqrt(np.maximum(square - mean**2, 0))
    return _rounded(mean / 255), _rounded(np.maximum(std / 255, LEAST_STD))


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(value), 3) for value in values)


def _left_out(bad: Sequence[Problem]) -> tuple[str, ...]:
    return tuple(
        f"{len(names)} {'images were' if len(names) > 1 else 'image was'} left out, {kind}: {examples(names)}"
        for kind, names in group_by_kind(bad).items()
    )


def _copies(used: Sequence[tuple[str, ImageRecord]]) -> tuple[str, ...]:
    """Say which files hold the same bytes: copies may stand on two sides of the split, or in two classes."""
    first: dict[str, ImageRecord] = {}
    copies, mislabeled = [], 0
    for sha256, record in used:
        original = first.setdefault(sha256, record)
        if original is not record:
            copies.append(f"{record.id} = {original.id}")
            mislabeled += record.label != original.label
    if not copies:
        return ()
    what = "image is a copy" if len(copies) == 1 else "images are copies"
    return (f"{len(copies)} {what} of another, {mislabeled} of them with another label: {examples(copies)}",)


def _converted(images: CachedImages) -> tuple[str, ...]:
    """Say what was converted; where every image is gray, that is how the data is, and asking for RGB was meant."""
    num_images = len(images.positions)
    counts = Counter(
        {kind: count for kind, count in images.conversions.items() if (kind, count) != ("gray to RGB", num_images)}
    )
    if not counts:
        return ()
    return ("images were converted: " + ", ".join(f"{count} {kind}" for kind, count in counts.most_common()),)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
