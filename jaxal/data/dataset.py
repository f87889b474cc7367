"""The data of one experiment: a pool with hidden labels, a validation and a test part, in fixed order."""

from typing import NamedTuple

import numpy as np

from jaxal.config.data import DataConfig
from jaxal.data.imbalance import prune_to_ratio
from jaxal.data.readers.digits import read_digits
from jaxal.data.source import ImageSource, class_index, one_vs_rest
from jaxal.data.splits import Split, stratified_split
from jaxal.errors import DataError

__all__ = ["Dataset", "Part", "load_source", "make_dataset"]


class Part(NamedTuple):
    """Some samples of a source, held whole."""

    images: np.ndarray  # uint8 [n, height, width, channels]
    labels: np.ndarray  # int32 [n]; for the pool these are the hidden truth
    ids: np.ndarray  # str [n]
    sample_ids: np.ndarray  # int32 [n], positions in the source: stable under permutation of the part


class Dataset(NamedTuple):
    """What an experiment runs on."""

    pool: Part
    validation: Part
    test: Part
    class_names: tuple[str, ...]
    minority: int  # the class whose finding is counted; positive in AUROC and average precision where C = 2
    mean: tuple[float, ...]
    std: tuple[float, ...]


def load_source(config: DataConfig) -> ImageSource:
    """Open the source of a config, as two classes if one_vs_rest is set.

    Raises:
        DataError: the data is missing or has fewer than two classes, or a class named in the config is not in it.
    """
    source = read_digits(config.source)
    if config.one_vs_rest:
        source = one_vs_rest(source, config.one_vs_rest)
    if len(source.class_names) < 2:
        raise DataError(f"data.source: at least two classes are needed, found {len(source.class_names)}")
    if config.minority_class:
        class_index(source, config.minority_class, "data.minority_class")
    return source


def make_dataset(source: ImageSource, config: DataConfig, seed: int) -> Dataset:
    """Split a source and thin out its pool: the same seed gives the same parts, whatever is done with them.

    Raises:
        DataError: a part is empty.
    """
    num_classes = len(source.class_names)
    split = stratified_split(source.labels, num_classes, config.split, seed)
    split = _prune(source, split, config, seed)
    for name, indices in split._asdict().items():
        if len(indices) == 0:
            raise DataError(f"data.split: the {name} part is empty ({len(source.labels)} samples in all)")
    return Dataset(
        pool=_part(source, split.pool),
        validation=_part(source, split.validation),
        test=_part(source, split.test),
        class_names=source.class_names,
        minority=_minority(source, config, source.labels[split.pool]),
        mean=source.mean,
        std=source.std,
    )


def _prune(source: ImageSource, split: Split, config: DataConfig, seed: int) -> Split:
    imbalance = config.imbalance
    if imbalance is None:
        return split
    num_classes = len(source.class_names)
    minority = _minority(source, config, source.labels)
    parts = ("pool", "validation") if imbalance.parts == "pool_and_validation" else ("pool",)
    for name in parts:
        indices = getattr(split, name)
        kept = prune_to_ratio(source.labels[indices], num_classes, minority, imbalance.ratio, seed, name)
        split = split._replace(**{name: indices[kept]})
    return split


def _minority(source: ImageSource, config: DataConfig, labels: np.ndarray) -> int:
    if config.minority_class:
        return source.class_names.index(config.minority_class)
    if config.one_vs_rest:
        return 1  # the one class against the rest, however many of it there are
    return int(np.argmin(np.bincount(labels, minlength=len(source.class_names))))


def _part(source: ImageSource, indices: np.ndarray) -> Part:
    return Part(
        images=source.read(indices),
        labels=source.labels[indices].astype(np.int32),
        ids=source.ids[indices],
        sample_ids=indices.astype(np.int32),
    )
