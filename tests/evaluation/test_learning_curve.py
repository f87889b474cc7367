"""Intervals against scipy, and curves from rows of results.csv."""

import math

import numpy as np
import pytest
from scipy import stats

from jaxal.errors import InputError
from jaxal.evaluation.learning_curve import CurvePoint, Interval, interval, learning_curves


@pytest.mark.parametrize("num", [2, 3, 30])
@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_interval_equals_scipy(num, confidence):
    values = np.random.default_rng(num).normal(0.9, 0.02, num)
    low, high = stats.t.interval(confidence, num - 1, values.mean(), stats.sem(values))
    assert interval(values.tolist(), confidence) == pytest.approx((values.mean(), low, high, num), rel=1e-12)


def test_undefined_values_are_left_out_and_counted():
    assert interval([None, 0.5, math.nan]) == Interval(0.5, None, None, 1)
    assert interval([None, math.nan]) == Interval(None, None, None, 0)
    assert interval([]) == Interval(None, None, None, 0)
    assert interval([0.25, None, 0.25]) == Interval(0.25, 0.25, 0.25, 2)


def test_interval_refuses_infinity_and_a_bad_confidence():
    with pytest.raises(InputError, match="values: 1 of 2 are infinite"):
        interval([0.5, math.inf])
    with pytest.raises(InputError, match="confidence: 95"):
        interval([0.5], confidence=95.0)


def row(arm, seed, round_, auroc, num_labeled=10, labeled_fraction=0.1):
    return {
        "arm": arm,
        "seed": seed,
        "round": round_,
        "num_labeled": num_labeled,
        "labeled_fraction": labeled_fraction,
        "auroc": auroc,
    }


def test_curves_keep_the_order_of_arms_and_sort_rounds():
    rows = [
        row("z", 0, 1, 0.8, num_labeled=20, labeled_fraction=0.2),
        row("z", 0, 0, 0.6),
        row("z", 1, 1, None, num_labeled=21, labeled_fraction=0.21),
        row("a", 0, 0, None),
    ]
    curves = learning_curves(rows, "auroc")
    assert list(curves) == ["z", "a"]
    assert curves["z"] == [
        CurvePoint(0, 10.0, 0.1, Interval(0.6, None, None, 1)),
        CurvePoint(1, 20.5, pytest.approx(0.205), Interval(0.8, None, None, 1)),
    ]
    assert curves["a"] == [CurvePoint(0, 10.0, 0.1, Interval(None, None, None, 0))]


def test_curves_refuse_an_unknown_column_and_a_repeated_run():
    with pytest.raises(InputError, match="row 1 of 1 lacks accuracy"):
        learning_curves([row("a", 0, 0, 0.5)], "accuracy")
    with pytest.raises(InputError, match="row 2 repeats arm a, seed 0, round 0"):
        learning_curves([row("a", 0, 0, 0.5), row("a", 0, 0, 0.6)], "auroc")
