"""Induced imbalance: the ratio is exact, and only the minority class is thinned out."""

import numpy as np
import pytest

from jaxal.data.imbalance import prune_to_ratio

LABELS = np.tile([0, 1, 2, 0], 50).astype(np.int32)  # 100, 50, 50


@pytest.mark.parametrize(
    ("ratio", "kept"), [(3.0, 50), (5.0, 30), (10.0, 15), (12.0, 13), (100.0, 2), (299.0, 1), (1e6, 0)]
)
@pytest.mark.parametrize("minority", [1, 2])
def test_one_minority_sample_is_kept_for_each_ratio_of_the_others(ratio, kept, minority):
    rows = prune_to_ratio(LABELS, 3, minority, ratio, 0, "pool")
    counts = np.bincount(LABELS[rows], minlength=3)
    assert counts[minority] == kept
    assert counts.sum() - kept == 150
    assert np.all(np.diff(rows) > 0)


def test_a_class_that_is_rarer_already_stays_whole():
    assert prune_to_ratio(LABELS, 3, 1, 2.0, 0, "pool").tolist() == list(range(200))


def test_the_choice_is_the_seed_s_and_the_part_s():
    chosen = prune_to_ratio(LABELS, 3, 1, 10.0, 0, "pool").tolist()
    assert chosen == prune_to_ratio(LABELS, 3, 1, 10.0, 0, "pool").tolist()
    assert chosen != prune_to_ratio(LABELS, 3, 1, 10.0, 1, "pool").tolist()
    assert chosen != prune_to_ratio(LABELS, 3, 1, 10.0, 0, "validation").tolist()


def test_a_stronger_ratio_keeps_a_subset():
    mild, strong = (set(prune_to_ratio(LABELS, 3, 1, ratio, 0, "pool").tolist()) for ratio in (6.0, 30.0))
    assert strong < mild
