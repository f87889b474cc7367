"""Class balance of the labels bought."""

import numpy as np
import pytest

from jaxal.errors import InputError
from jaxal.evaluation.pool_metrics import pool_metrics


def test_balance_of_three_classes():
    counts = np.array([6, 3, 3], np.int32)
    assert pool_metrics(counts) == {
        "classes_found": 3,
        "imbalance_ratio": 2.0,
        "mean_per_class": 4.0,
        "std_per_class": pytest.approx(np.sqrt(2)),
        "ir": pytest.approx(np.sqrt(2) / 4),
    }


def test_an_undiscovered_class_counts_in_ir_and_leaves_the_ratio_undefined():
    metrics = pool_metrics([2, 2, 0])
    assert (metrics["classes_found"], metrics["imbalance_ratio"]) == (2, None)
    assert metrics["ir"] == pytest.approx(np.sqrt(0.5))


def test_nothing_labeled_is_not_defined():
    metrics = pool_metrics([0, 0])
    assert (metrics["classes_found"], metrics["imbalance_ratio"], metrics["ir"]) == (0, None, None)
    assert metrics["mean_per_class"] == metrics["std_per_class"] == 0


@pytest.mark.parametrize(
    ("counts", "message"), [([], "shape"), ([[1]], "shape"), ([1.5], "float64"), ([3, -1], "class 1 has -1")]
)
def test_refuses_what_is_no_count(counts, message):
    with pytest.raises(InputError, match=message):
        pool_metrics(np.array(counts))
