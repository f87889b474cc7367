"""What a reader of labels finds before any image is opened: files, what is said of them, and what is wrong."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from jaxal.data.problems import Problem
from jaxal.data.source import TEST, TRAIN, VALIDATION

__all__ = ["PART_NAMES", "ImageRecord", "LabeledFiles"]

# What parts are called, in lower case.
PART_NAMES = {"train": TRAIN, "training": TRAIN, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION}
PART_NAMES |= {"test": TEST, "testing": TEST}


class ImageRecord(NamedTuple):
    """One image file and what is said of it."""

    id: str
    path: str
    label: str
    group: str | None = None
    part: str | None = None
    columns: Mapping[str, str] = MappingProxyType({})  # the same names in all records


class LabeledFiles(NamedTuple):
    """A data set's files and labels; it is of use only where there are no problems."""

    form: str  # what was recognized, for people: "ISIC 2020 (challenge site)"
    records: Sequence[ImageRecord]  # distinct ids; of kind "images" in the order of ids, the same whatever the form
    class_names: tuple[str, ...]  # in label order
    problems: tuple[Problem, ...]  # all that is wrong with the labels; any of them refuses use
    notes: tuple[str, ...]  # what a user should know: columns found, duplicates dropped, images without a label
    missing: tuple[Problem, ...] = ()  # records (kept above) whose image file does not exist: they count as bad images
