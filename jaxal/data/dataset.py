"""The data of one experiment: a pool with hidden labels, a validation and a test part, in fixed order."""

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from jaxal.config.data import (
    BuiltConfig,
    CIFARConfig,
    CountsImbalanceConfig,
    CSVConfig,
    DataConfig,
    DigitsConfig,
    FashionMNISTConfig,
    FolderConfig,
    IDXConfig,
    ImagesConfig,
    MedMNISTConfig,
    ProfileImbalanceConfig,
    SourceConfig,
    TFDSConfig,
)
from jaxal.data.imbalance import prune
from jaxal.data.listeners import OnImages
from jaxal.data.loading import Images, choose_images
from jaxal.data.partition import Partition, partition
from jaxal.data.problems import counted
from jaxal.data.readers.built import read_built_folder
from jaxal.data.readers.cifar import read_cifar
from jaxal.data.readers.csv_table import read_csv
from jaxal.data.readers.digits import read_digits
from jaxal.data.readers.folder import read_folder
from jaxal.data.readers.idx import read_fashion_mnist, read_idx
from jaxal.data.readers.labeled_files import read_images
from jaxal.data.readers.medmnist import read_medmnist
from jaxal.data.source import ImageSource, class_index, keep_classes, one_vs_rest
from jaxal.data.tfds.source import read_tfds
from jaxal.errors import DataError

__all__ = ["Dataset", "Part", "choose_parts", "load_source", "make_dataset", "parts_of"]


class Part(NamedTuple):
    """Some samples of a source; their images stay where they are until they are read."""

    images: Images  # n
    labels: np.ndarray  # int32 [n]; for the pool these are the hidden truth
    ids: np.ndarray  # str [n]
    sample_ids: np.ndarray  # int32 [n], positions in the source: stable under permutation of the part
    groups: np.ndarray | None = None  # str [n]; None where every sample stands alone
    columns: Mapping[str, np.ndarray] = MappingProxyType({})  # further facts, str [n] each, such as the sex


class Dataset(NamedTuple):
    """What an experiment runs on."""

    pool: Part
    validation: Part | None  # None where it is held out of the labels bought
    test: Part
    external: Part | None  # a test set from elsewhere, None where there is none
    class_names: tuple[str, ...]
    minority: int  # the class whose finding is counted; positive in AUROC and average precision where C = 2
    mean: tuple[float, ...]
    std: tuple[float, ...]
    images: Images  # all of the source, by what sample_ids count
    ids: np.ndarray  # str, of all of the source
    fingerprint: str  # of the source
    notes: tuple[str, ...] = ()  # what a reader of the results should know of the data


def parts_of(dataset: Dataset) -> dict[str, Part]:
    """Return the parts that there are, by name."""
    parts = {name: getattr(dataset, name) for name in ("pool", "validation", "test", "external")}
    return {name: part for name, part in parts.items() if part is not None}


def load_source(config: DataConfig, on_images: OnImages = lambda done, total: None) -> ImageSource:
    """Open the source of a config: of its classes those that are asked for, as two if one_vs_rest is set.

    Args:
        config: of the data.
        on_images: told how many image files of how many have been read, where the source is made of files.

    Raises:
        DataError: the data is missing or has fewer than two classes, or a class named in the config is not in it.
    """
    source = _read(config.source, on_images)
    if config.classes:
        source = keep_classes(source, config.classes)
    if config.one_vs_rest:
        source = one_vs_rest(source, config.one_vs_rest)
    if len(source.class_names) < 2:
        raise DataError(f"data.source: at least two classes are needed, found {len(source.class_names)}")
    if config.minority_class:
        class_index(source, config.minority_class, "data.minority_class")
    return source


def _read(config: SourceConfig, on_images: OnImages) -> ImageSource:
    match config:
        case DigitsConfig():
            return read_digits(config)
        case FashionMNISTConfig():
            return read_fashion_mnist(config)
        case IDXConfig():
            return read_idx(config)
        case MedMNISTConfig():
            return read_medmnist(config)
        case CIFARConfig():
            return read_cifar(config)
        case TFDSConfig():
            return read_tfds(config, on_images)
        case FolderConfig():
            return read_folder(config, on_images)
        case CSVConfig():
            return read_csv(config, on_images)
        case ImagesConfig():
            return read_images(config, on_images)
        case BuiltConfig():
            return read_built_folder(config, on_images)


def choose_parts(source: ImageSource, config: DataConfig, seed: int) -> Partition:
    """Split a source and thin out its pool, as source indices: what can be refused of a seed is refused here.

    Raises:
        DataError: a part is empty, or the split or the imbalance asks for what is not there.
    """
    parts = partition(source, config.split, seed)
    parts = parts._replace(**_pruned(source, parts, config, seed))
    may_be_empty = {"external"} | ({"validation"} if config.split.validation == "from_labeled" else set())
    for name in ("pool", "validation", "test", "external"):
        if len(getattr(parts, name)) == 0 and name not in may_be_empty:
            grouped = (
                ""
                if source.groups is None
                else f" in {counted(len(np.unique(source.groups)), 'group, which goes', 'groups, which go')} whole"
            )
            raise DataError(
                f"data.split: the {name} part is empty ({len(source.labels)} samples in all{grouped}). Set"
                " data.split.validation_fraction and test_fraction to suit, or add samples."
            )
    return parts


def make_dataset(source: ImageSource, config: DataConfig, seed: int) -> Dataset:
    """Make the parts of a source: the same seed gives the same parts, whatever is done with them. No image is read.

    Raises:
        DataError: as `choose_parts`.
    """
    parts = choose_parts(source, config, seed)
    return Dataset(
        pool=_part(source, parts.pool),
        validation=_part(source, parts.validation) if len(parts.validation) else None,
        test=_part(source, parts.test),
        external=_part(source, parts.external) if len(parts.external) else None,
        class_names=source.class_names,
        minority=_minority(source, config, source.labels[parts.pool]),
        mean=source.mean,
        std=source.std,
        images=_whole(source),
        ids=source.ids,
        fingerprint=source.fingerprint,
        notes=(*source.notes, *parts.notes),
    )


def _pruned(source: ImageSource, parts: Partition, config: DataConfig, seed: int) -> dict[str, np.ndarray]:
    if config.imbalance is None:
        return {}
    minority, labels, class_names = _minority(source, config, source.labels), source.labels, source.class_names
    counts = config.imbalance.counts if isinstance(config.imbalance, CountsImbalanceConfig) else {}
    if source.finer is not None and not set(counts) <= set(class_names):
        labels, class_names = source.finer  # counts that name the classes behind one_vs_rest
    choose = functools.partial(prune, config.imbalance, class_names=class_names, minority=minority, seed=seed)
    pool = parts.pool
    kept = {"pool": pool[choose(labels=labels[pool], purpose="pool")]}
    if config.imbalance.parts == "pool_and_validation":
        count = functools.partial(np.bincount, minlength=len(class_names))
        validation = parts.validation
        like = (count(labels[pool]), count(labels[kept["pool"]]))
        kept["validation"] = validation[choose(labels=labels[validation], purpose="validation", like=like)]
    return kept


def _minority(source: ImageSource, config: DataConfig, labels: np.ndarray) -> int:
    if config.minority_class:
        return source.class_names.index(config.minority_class)
    if config.one_vs_rest:
        return 1  # the one class against the rest, however many of it there are
    # The source's rarest, and so the same for every seed, unless the pool is given counts of its own.
    own_counts = isinstance(config.imbalance, CountsImbalanceConfig | ProfileImbalanceConfig)
    counted = labels if own_counts else source.labels
    return int(np.argmin(np.bincount(counted, minlength=len(source.class_names))))


def _whole(source: ImageSource) -> Images:
    return Images(source.read, len(source.labels), source.image_shape)


def _part(source: ImageSource, indices: np.ndarray) -> Part:
    return Part(
        images=choose_images(_whole(source), indices),
        labels=source.labels[indices].astype(np.int32),
        ids=source.ids[indices],
        sample_ids=indices.astype(np.int32),
        groups=None if source.groups is None else source.groups[indices],
        columns=MappingProxyType({name: cells[indices] for name, cells in source.columns.items()}),
    )
