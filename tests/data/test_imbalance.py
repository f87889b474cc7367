"""Induced imbalance: the counts are exact, and the choice is the seed's."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxal.config.data import CountsImbalanceConfig, ProfileImbalanceConfig, RatioImbalanceConfig
from jaxal.data.imbalance import named_counts, prune, ratio_counts, share_counts
from jaxal.data.profile import imbalance_ratio
from jaxal.errors import DataError

# A fixed sequence, so that red stays red; no clock, because of shared machines.
SAME_EXAMPLES = settings(deadline=None, derandomize=True, database=None)

NAMES = ("common", "middle", "rare")
LABELS = np.tile([0, 1, 2, 0], 50).astype(np.int32)  # 100, 50, 50
CONFIGS = {
    "ratio": RatioImbalanceConfig(ratio=10.0),
    "ratio and total": RatioImbalanceConfig(ratio=3.0, total=40),
    "counts": CountsImbalanceConfig(counts={"common": 30, "rare": 7}),
    "profile": ProfileImbalanceConfig(ir=0.6, total=90),
}


def kept_counts(config, labels=LABELS, minority=2, like=None, seed=0, part="pool") -> list[int]:
    return np.bincount(labels[prune(config, labels, NAMES, minority, seed, part, like)], minlength=3).tolist()


@pytest.mark.parametrize(
    ("num_minority", "num_others", "ratio", "kept"),
    [
        (50, 150, 3.0, (50, 150)),
        (50, 150, 10.0, (15, 150)),
        (50, 150, 100.0, (1, 100)),
        (50, 150, 2.0, (50, 100)),  # too rare already: the others are pruned
        (50, 150, 1.0, (50, 50)),
        (584, 32542, 55.7, (584, 32529)),
        (5, 33, 1.1, (5, 6)),  # 5.5 others: halves up
        (99, 33, 1.1, (30, 33)),  # 33 / 1.1 is 29.999999999999996 in floating point
        (1, 1, 1.0, (1, 1)),
        (7, 150, 150.0, (1, 150)),
    ],
)
def test_the_largest_subset_of_the_ratio_is_kept(num_minority, num_others, ratio, kept):
    assert ratio_counts(num_minority, num_others, ratio, None, "pool") == kept


ratios = st.floats(1, 200) | st.integers(1, 300).map(float) | st.integers(100, 2000).map(lambda cents: cents / 100)


@given(st.integers(1, 3000), st.integers(1, 30000), ratios)
@settings(SAME_EXAMPLES)
def test_the_ratio_is_exact_and_no_larger_subset_has_it(num_minority, num_others, ratio):
    if num_others < ratio:
        with pytest.raises(DataError, match=rf"at least 1 and {math.ceil(ratio)} are needed"):
            ratio_counts(num_minority, num_others, ratio, None, "pool")
        return
    minority, others = ratio_counts(num_minority, num_others, ratio, None, "pool")
    exact = Fraction(str(ratio))
    assert 1 <= minority <= num_minority
    assert 1 <= others <= num_others
    assert -Fraction(1, 2) < others - minority * exact <= Fraction(1, 2)
    assert minority == num_minority or (minority + 1) * exact > num_others


@given(st.integers(1, 300), st.integers(1, 9000), ratios, st.integers(2, 9300))
@settings(SAME_EXAMPLES)
def test_a_total_is_met_within_the_rounding_of_the_ratio(num_minority, num_others, ratio, total):
    num_others = max(num_others, math.ceil(ratio))
    largest = sum(ratio_counts(num_minority, num_others, ratio, None, "pool"))
    if total > largest:
        with pytest.raises(DataError, match=rf"at ratio .* at most {largest} can be kept"):
            ratio_counts(num_minority, num_others, ratio, total, "pool")
    elif 2 * total < 1 + ratio:
        with pytest.raises(DataError, match=rf"at least {math.ceil((1 + Fraction(str(ratio))) / 2)} can be kept"):
            ratio_counts(num_minority, num_others, ratio, total, "pool")
    else:
        minority, others = ratio_counts(num_minority, num_others, ratio, total, "pool")
        assert 1 <= minority <= num_minority
        assert 1 <= others <= num_others
        assert abs(others - minority * Fraction(str(ratio))) <= Fraction(1, 2)
        assert abs(minority + others - total) <= (1 + ratio) / 2 + 0.5


def test_totals_at_the_edges():
    assert ratio_counts(50, 150, 3.0, 200, "pool") == (50, 150)
    assert ratio_counts(50, 150, 3.0, 2, "pool") == (1, 3)
    assert ratio_counts(50, 150, 9.0, 100, "pool") == (10, 90)
    assert ratio_counts(50, 150, 9.0, 105, "pool") == (11, 99)
    with pytest.raises(DataError) as caught:
        ratio_counts(50, 150, 3.0, 201, "pool")
    assert str(caught.value) == (
        "data.imbalance.total = 201: the pool part has 50 samples of the minority class and 150 others; at ratio 3 at"
        " most 200 can be kept"
    )


@pytest.mark.parametrize(("num_minority", "num_others", "ratio"), [(0, 150, 2.0), (50, 0, 1.0), (50, 29, 30.0)])
def test_a_part_that_cannot_keep_one_minority_sample_is_refused(num_minority, num_others, ratio):
    with pytest.raises(DataError) as caught:
        ratio_counts(num_minority, num_others, ratio, None, "validation")
    assert str(caught.value) == (
        f"data.imbalance.ratio = {ratio:g}: the validation part has {num_minority} samples of the minority class and"
        f" {num_others} others; at least 1 and {ratio:g} are needed;"
        ' data.imbalance.parts = "pool" leaves this part as it is'
    )


@pytest.mark.parametrize("minority", [0, 1, 2])
@pytest.mark.parametrize("ratio", [1.0, 1.7, 3.0, 12.0, 99.0])
def test_the_samples_kept_have_the_ratio(minority, ratio):
    counts = np.array(kept_counts(RatioImbalanceConfig(ratio=ratio), minority=minority))
    available = np.bincount(LABELS)[minority]
    assert counts[minority] == min(available, math.floor((200 - available) / ratio))
    assert counts.sum() - counts[minority] == math.floor(counts[minority] * ratio + 0.5)


def test_others_are_pruned_over_all_other_classes_together():
    config = RatioImbalanceConfig(ratio=1.0)  # 50 rare and 50 of 150 others
    counts = np.array([kept_counts(config, seed=seed) for seed in range(200)])
    assert np.all(counts.sum(1) == 100)
    assert len(set(counts[:, 1].tolist())) > 5  # not a fixed share of each class
    np.testing.assert_allclose(counts[:, 1].mean(), 50 / 3, atol=1)
    rows = np.concatenate([prune(config, LABELS, NAMES, 2, seed, "pool") for seed in range(200)])
    assert set(rows.tolist()) == set(range(200))


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_choice_is_the_seed_s_and_the_part_s(config):
    chosen = prune(config, LABELS, NAMES, 2, 0, "pool")
    assert chosen.dtype == np.int64
    assert np.all(np.diff(chosen) > 0)
    assert np.array_equal(chosen, prune(config, LABELS, NAMES, 2, 0, "pool"))
    for seed, part in ((1, "pool"), (0, "validation")):
        other = prune(config, LABELS, NAMES, 2, seed, part)
        assert len(other) == len(chosen)
        assert not np.array_equal(other, chosen)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_an_empty_part_has_nothing_to_prune(config):
    assert prune(config, np.zeros(0, np.int32), NAMES, 2, 0, "validation").tolist() == []


def test_a_stronger_ratio_keeps_a_subset_of_the_minority():
    mild, strong = (
        set(prune(RatioImbalanceConfig(ratio=r), LABELS, NAMES, 2, 0, "pool").tolist()) for r in (5.0, 50.0)
    )
    rare = set(np.flatnonzero(LABELS == 2).tolist())
    assert strong & rare < mild & rare


def test_counts_are_kept_as_named_and_other_classes_whole():
    assert kept_counts(CONFIGS["counts"]) == [30, 50, 7]
    assert kept_counts(CountsImbalanceConfig(counts={})) == [100, 50, 50]
    assert kept_counts(CountsImbalanceConfig(counts={"rare": 0, "middle": 50})) == [100, 50, 0]


def test_all_that_is_wrong_with_counts_is_said_at_once():
    config = CountsImbalanceConfig(counts={"rare": 51, "x": 1, "common": 101, "middle": 50, "y": 2})
    with pytest.raises(DataError) as caught:
        named_counts(np.bincount(LABELS), config, NAMES)
    assert str(caught.value) == (
        "data.imbalance.counts: no class 'x', 'y' (there are common, middle, rare); 101 of 'common' asked for, the pool"
        " has 100; 51 of 'rare' asked for, the pool has 50"
    )


def test_a_profile_is_met_by_the_samples_kept():
    counts = kept_counts(CONFIGS["profile"])
    assert sum(counts) == 90
    assert abs(imbalance_ratio(np.array(counts)) - 0.6) <= 0.01


def test_draws_of_one_seed_are_apart_and_of_the_same_counts():
    labels, names = np.repeat(np.arange(5), 2000), tuple("abcde")
    rows = [
        prune(ProfileImbalanceConfig(ir=0.8, total=500, **draw), labels, names, minority=4, seed=3, purpose="pool")
        for draw in ({}, {"draw": 0}, {"draw": 1}, {"draw": 2})
    ]
    np.testing.assert_array_equal(rows[0], rows[1])
    for other in rows[2:]:
        np.testing.assert_array_equal(np.bincount(labels[other]), np.bincount(labels[rows[0]]))
        assert len(np.intersect1d(other, rows[0])) < 150  # 77 of the 500 by chance, most of the largest class
    assert len(np.intersect1d(rows[2], rows[3])) < 150


def test_validation_follows_the_pool():
    part = np.repeat([0, 1, 2], [20, 11, 3]).astype(np.int32)
    before = np.array([100, 50, 50])
    for name, after, expected in (
        ("ratio", [100, 50, 15], [20, 11, 3]),  # 31 others: 3 of the 3, and 30 others
        ("ratio and total", [20, 10, 10], [20, 11, 3]),
        ("counts", [30, 50, 7], [6, 11, 1]),
        ("profile", [58, 25, 7], [12, 6, 1]),
    ):
        counts = kept_counts(CONFIGS[name], part, like=(before, np.array(after)), part="validation")
        if name.startswith("ratio"):
            assert counts[2] == 3
            assert sum(counts[:2]) == (30 if name == "ratio" else 9)
        else:
            assert counts == expected


def test_shares_are_rounded_half_up_and_leave_one():
    before, after = np.array([10, 10, 10, 0, 1000, 10]), np.array([5, 4, 0, 0, 1, 10])
    kept = share_counts(np.array([7, 3, 9, 4, 20, 0]), before, after)
    assert kept.tolist() == [4, 1, 0, 4, 1, 0]  # 3.5, 1.2, none left in the pool, no share known, 0.02, none there


class_counts = st.lists(
    st.tuples(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300)), min_size=1, max_size=8
)


@given(class_counts)
@settings(SAME_EXAMPLES)
def test_shares_are_within_rounding_of_those_of_the_pool(rows):
    available, before, pruned = np.array(rows).T
    after = np.minimum(before, pruned)
    for there, was, left, kept in zip(available, before, after, share_counts(available, before, after), strict=True):
        if was == 0 or left == was:
            assert kept == there
        elif there and left:
            assert kept == max(1, math.floor(Fraction(int(there * left), int(was)) + Fraction(1, 2)))
        else:
            assert kept == 0
