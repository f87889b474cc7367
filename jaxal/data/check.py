"""All that is wrong with a data set, found in one pass: labels, missing files, and every image decoded strictly."""

import os
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxal.config.data import CIFARConfig, DataConfig, IDXConfig, ImagesConfig, MedMNISTConfig
from jaxal.data.build_changes import changed_files
from jaxal.data.build_folder import is_build_folder
from jaxal.data.dataset import load_source
from jaxal.data.decoding import Decoded
from jaxal.data.decoding_threads import decode_in_order
from jaxal.data.image_shards import REPORT_EVERY, damaged_shards
from jaxal.data.listeners import OnImages
from jaxal.data.manifest import read_built, shards_of
from jaxal.data.problems import Problem, shown
from jaxal.data.readers.built import repair_advice
from jaxal.data.readers.cifar import FORMS
from jaxal.data.readers.labeled_files import find_labels, label_advice
from jaxal.data.readers.usable_images import NOT_UTF8, conversion_notes, copy_notes, is_utf8
from jaxal.data.records import LabeledFiles
from jaxal.errors import DataError

__all__ = ["CheckReport", "array_config", "check_data"]

IDX_FILES = {f"{part}-images-idx3-ubyte{ending}" for part in ("train", "t10k") for ending in ("", ".gz")}
# Stands in each folder that TensorFlow Datasets has prepared.
PREPARED = "dataset_info.json"
# What an image is decoded to for a check: small, and decoded as strictly as for any other size.
CHECK_SIZE = 32
ONE_CLASS = "there is only one class: a study needs two or more"
BAD_ADVICE = "Repair or remove these images, or leave them out with --max-bad (max_bad in a study)."


class CheckReport(NamedTuple):
    """What was found."""

    form: str
    num_images: int
    class_counts: dict[str, int]  # in label order
    num_groups: int | None  # None where every image stands alone
    part_counts: dict[str, int]  # empty where the data comes without a split
    notes: tuple[str, ...]
    problems: tuple[Problem, ...]
    advice: str  # what to do about the problems


def check_data(config: ImagesConfig, on_images: OnImages | None = None) -> CheckReport:
    """Check a data set of any form; nothing is written.

    Image files: the labels are read and every image is decoded, as strictly as for a study. A built folder: manifest,
    shards, and the image files if they are where they were. Arrays (npz, CIFAR, IDX): read whole.

    Args:
        config: of the path, and what decides where several readings are possible.
        on_images: told how far it is.

    Raises:
        DataError: there is no such path, nothing in it is recognized, or the arrays in it cannot be used.
    """
    path = Path(config.path).expanduser().absolute()
    if is_build_folder(path):
        return _check_built(path, on_images)
    arrays = array_config(config.path)
    return _check_images(config, on_images) if arrays is None else _check_arrays(arrays)


def array_config(path: str) -> MedMNISTConfig | CIFARConfig | IDXConfig | None:
    """Recognize data that are arrays, not image files, by the names of its files.

    Raises:
        DataError: the data is prepared for TensorFlow Datasets, which a study alone reads.
    """
    place = Path(path).expanduser().absolute()
    if place.suffix.lower() == ".npz":
        return MedMNISTConfig(path=path)
    if place.name in IDX_FILES and place.is_file():
        return IDXConfig(folder=os.path.dirname(path) or ".")
    names = set(os.listdir(place)) if place.is_dir() else set()
    if PREPARED in names:
        raise DataError(
            f"{shown(path)}: a data set prepared for TensorFlow Datasets, not image files. A study reads and checks it:"
            ' [data] source = "tfds:NAME", or kind = "tfds" with data_dir'
        )
    if names & IDX_FILES:
        return IDXConfig(folder=path)
    files = {name for form in FORMS for part in form.files.values() for name in part}
    is_file = place.is_file() and (place.name in files or (place.name.startswith("cifar") and ".tar" in place.name))
    holds_files = any((place / name).is_file() for name in names & files)
    return CIFARConfig(path=path) if is_file or holds_files or names & {form.folder for form in FORMS} else None


def _check_images(config: ImagesConfig, on_images: OnImages | None) -> CheckReport:
    found = find_labels(config)
    path = Path(config.path).expanduser().absolute()
    top = path if path.is_dir() else path.parent
    bad, conversions, used = [], Counter(), []
    num_files = len(found.records)
    paths = (record.path for record in found.records)
    with closing(decode_in_order(paths, size=CHECK_SIZE, color=config.color)) as attempts:
        for number, (record, attempt) in enumerate(zip(found.records, attempts, strict=True), 1):
            where = os.path.relpath(record.path, top)
            if not is_utf8(record.id, where, record.label):
                bad.append(Problem(where, NOT_UTF8))
            elif not isinstance(attempt.result, Decoded):
                bad.append(Problem(where, attempt.result.kind))
            else:
                conversions.update(attempt.result.conversions)
                used.append((attempt.result.sha256, record))
            if attempt.is_changed:
                bad.append(Problem(where, "file that changed while it was read"))
            if on_images is not None and (number % REPORT_EVERY == 0 or number == num_files):
                on_images(number, num_files)
    advice = [label_advice(found.problems)] * bool(found.problems) + [BAD_ADVICE] * bool(bad)
    return _report(
        found,
        notes=(*found.notes, *conversion_notes(conversions, len(used)), *copy_notes(used)),
        problems=(*found.problems, *bad),
        advice=" ".join(advice),
    )


def _check_built(folder: Path, on_images: OnImages | None) -> CheckReport:
    where = shown(str(folder))
    built = read_built(folder, where)
    manifest = built.manifest
    problems, notes = damaged_shards(shards_of(folder, manifest), on_images), list(manifest.notes)
    source = Path(manifest.source)
    if source.is_dir():
        problems += changed_files(built, source, on_images)
    else:
        notes.append(f"the image files are not in {shown(manifest.source)} any more: not compared")
    records = [row.record for row in built.rows]
    found = LabeledFiles(f"built folder of {manifest.form}", records, manifest.class_names, (), ())
    return _report(found, notes=tuple(notes), problems=tuple(problems), advice=repair_advice(manifest.source))


def _check_arrays(config: MedMNISTConfig | CIFARConfig | IDXConfig) -> CheckReport:
    source = load_source(DataConfig(source=config))
    counts = np.bincount(source.labels, minlength=len(source.class_names)).tolist()
    parts = () if source.parts is None else source.parts.tolist()
    return CheckReport(
        form=f"arrays ({config.__struct_config__.tag})",
        num_images=len(source.labels),
        class_counts=dict(zip(source.class_names, counts, strict=True)),
        num_groups=None if source.groups is None else len(np.unique(source.groups)),
        part_counts=dict(Counter(parts)),
        notes=source.notes,
        problems=(),
        advice="",
    )


def _report(found: LabeledFiles, *, notes: tuple[str, ...], problems: tuple[Problem, ...], advice: str) -> CheckReport:
    counts = Counter(record.label for record in found.records)
    groups = {record.group for record in found.records}
    return CheckReport(
        form=found.form,
        num_images=len(found.records),
        class_counts={name: counts[name] for name in found.class_names},
        num_groups=None if groups <= {None} else len(groups),
        part_counts=dict(Counter(record.part for record in found.records if record.part is not None)),
        notes=(*notes, *([ONE_CLASS] if len(found.class_names) == 1 else [])),
        problems=problems,
        advice=advice,
    )
