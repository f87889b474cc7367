"""Metrics as long rows (split, class, metric, value): what the journal keeps and the result files are made from."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxal.evaluation.metrics import ClassMetrics, Metrics
from jaxal.evaluation.pool_metrics import pool_metrics

__all__ = ["MetricRow", "metric_names", "plain_value", "pool_rows", "split_rows", "subgroup_rows"]


class MetricRow(NamedTuple):
    """One value; None = not defined."""

    split: str  # "pool", "validation", "test", "external"; of a subgroup "test:sex=female"
    class_name: str  # "" = over all classes
    metric: str
    value: int | float | None


def plain_value(value: object) -> int | float | None:
    """Turn a zero-dimensional array into a Python number; NaN into None.

    A float32 becomes the shortest decimal that reads back to it: 0.9027778, not the digits that widening makes up.
    """
    array = np.asarray(value)
    number = float(str(array[()])) if array.dtype == np.float32 else array.item()
    return None if isinstance(number, float) and not math.isfinite(number) else number


def split_rows(split: str, metrics: Metrics, class_names: tuple[str, ...]) -> Iterator[MetricRow]:
    """List what a model scored on a split, first over all classes, then class by class."""
    per_class = metrics.per_class
    yield MetricRow(split, "", "num_samples", int(np.sum(per_class.count)))
    for name, value in metrics._asdict().items():
        if name != "per_class":
            yield MetricRow(split, "", name, plain_value(value))
    for index, class_name in enumerate(class_names):
        for name, values in per_class._asdict().items():
            yield MetricRow(split, class_name, name, plain_value(values[index]))


def subgroup_rows(split: str, metrics: Metrics, class_names: tuple[str, ...]) -> Iterator[MetricRow]:
    """List what a model scored on a subgroup of a split: as `split_rows`, but of each class its number alone."""
    for row in split_rows(split, metrics, class_names):
        if row.class_name == "" or row.metric == "count":
            yield row


def metric_names(split: str, *, of_class: bool) -> tuple[str, ...]:
    """List what is known of a split, as the rows here name it.

    Args:
        split: as in `MetricRow`.
        of_class: of a single class, not over all of them.
    """
    if split == "pool":
        of_all = ("labeled_fraction", "minority_labeled", *pool_metrics([1]))
        return ("num_labeled",) if of_class else ("num_labeled", *of_all)
    if of_class:
        return ("count",) if ":" in split else ClassMetrics._fields
    return ("num_samples", *(name for name in Metrics._fields if name != "per_class"))


def pool_rows(labels: np.ndarray, class_names: tuple[str, ...], minority: int) -> Iterator[MetricRow]:
    """List what the labels bought so far look like: how many, of which classes, how skewed.

    Args:
        labels: int32 [N], negative where there is no label.
        class_names: C of them.
        minority: the class whose labels are `minority_labeled`.
    """
    counts = np.bincount(labels[labels >= 0], minlength=len(class_names))
    num_labeled = int(counts.sum())
    yield MetricRow("pool", "", "num_labeled", num_labeled)
    yield MetricRow("pool", "", "labeled_fraction", num_labeled / len(labels))
    yield MetricRow("pool", "", "minority_labeled", int(counts[minority]))
    for name, value in pool_metrics(counts).items():
        yield MetricRow("pool", "", name, value)
    for class_name, count in zip(class_names, counts, strict=True):
        yield MetricRow("pool", class_name, "num_labeled", int(count))
