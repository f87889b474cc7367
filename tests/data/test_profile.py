"""Class counts of a sum and an ir: exact, within the tolerance, and refused where no counts have them."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxal.data.profile import TOLERANCE, imbalance_ratio, profile_counts
from jaxal.errors import DataError

# A fixed sequence, so that red stays red; no clock, because of shared machines.
SAME_EXAMPLES = settings(deadline=None, derandomize=True, database=None)

MIT_67 = np.random.default_rng(67).integers(100, 701, 67)


def spread(counts) -> float:
    """Compute σ/μ by the book."""
    mean = sum(counts) / len(counts)
    return (sum((count - mean) ** 2 for count in counts) / len(counts)) ** 0.5 / mean


def assert_fits(kept: np.ndarray, available: np.ndarray, ir: float, total: int) -> None:
    assert kept.dtype == np.int64
    assert kept.sum() == total
    assert np.all(kept <= available)
    assert np.all(kept >= np.minimum(available, 1))
    assert abs(spread(kept.tolist()) - ir) <= TOLERANCE


def test_ir_is_the_standard_deviation_over_the_mean():
    assert imbalance_ratio(np.array([3, 1])) == 0.5
    assert imbalance_ratio(np.array([4, 4, 4])) == 0
    assert imbalance_ratio(np.array([0, 0])) == 0
    np.testing.assert_allclose(imbalance_ratio(np.array([9, 5, 2, 0])), spread([9, 5, 2, 0]))


@pytest.mark.parametrize(
    ("available", "total", "ir"),
    [
        (np.full(101, 750), 22_956, 0.793),
        (np.full(100, 500), 17_168, 0.740),
        (np.full(100, 1300), 18_558, 0.739),
        (MIT_67, 14_281, 0.789),
    ],
    ids=["Food-101", "CIFAR-100", "IMN-100", "MIT-67"],
)
def test_the_four_sets_of_the_paper(available, total, ir):
    kept = profile_counts(available, ir, total)
    assert_fits(kept, available, ir, total)
    assert abs(spread(kept.tolist()) - ir) < 5e-4  # to the paper's digits


def test_the_profile_is_exponential_where_nothing_caps_it():
    kept = profile_counts(np.full(20, 1000), 0.7, 4000)
    assert np.all(np.diff(kept) <= 0)
    steps = np.diff(np.log(kept))
    assert steps.mean() < -0.1
    np.testing.assert_allclose(steps, steps.mean(), atol=0.03)


def test_classes_with_more_images_keep_more_and_ties_go_by_number():
    available = np.array([50, 400, 50, 100, 400])
    kept = profile_counts(available, 0.8, 300)
    assert_fits(kept, available, 0.8, 300)
    assert kept[1] > kept[4] > kept[3] > kept[0] > kept[2]


@pytest.mark.parametrize(
    ("available", "ir", "total", "expected"),
    [
        ([10, 10, 10], 0.0, 30, [10, 10, 10]),
        ([10, 20, 30], 0.0, 15, [5, 5, 5]),
        ([9, 9], 0.5, 12, [9, 3]),
        ([9, 9], 0.8, 10, [9, 1]),
        ([3, 9], 0.5, 12, [3, 9]),
        ([7], 0.0, 4, [4]),
        ([5, 5, 5], 0.0, 3, [1, 1, 1]),
        ([8, 0, 8], 0.86, 10, [7, 0, 3]),
    ],
)
def test_small_cases(available, ir, total, expected):
    assert profile_counts(np.array(available), ir, total).tolist() == expected


def test_sums_that_cannot_be_kept_are_refused():
    for total in (2, 31):
        with pytest.raises(DataError) as caught:
            profile_counts(np.array([10, 10, 0, 10]), 0.5, total)
        assert str(caught.value) == (
            f"data.imbalance.total = {total}: with at least one image of each class there, from 3 to 30 can be kept"
        )


def test_an_ir_out_of_range_is_refused_with_the_range():
    for available, total, ir, attainable in (
        ([10, 10, 10], 15, 1.5, "from 0.000 to 0.748"),  # at most 10, 4, 1
        ([10, 10, 10], 15, 1e30, "from 0.000 to 0.748"),
        ([20, 2, 2], 12, 0.1, "from 0.707 to 1.061"),  # 8, 2, 2 and 10, 1, 1
        ([9, 9], 11, 0.0, "from 0.091 to 0.636"),  # 6, 5 and 9, 2
    ):
        with pytest.raises(DataError) as caught:
            profile_counts(np.array(available), ir, total)
        assert f"data.imbalance.ir = {ir}: with {total} of these images ir can be {attainable}" in str(caught.value)


def test_an_ir_between_two_that_whole_images_have_is_refused_with_the_nearest():
    with pytest.raises(DataError, match=r"in whole images the nearest found is 0\.333$"):
        profile_counts(np.array([5, 5]), 0.45, 6)


@given(st.lists(st.integers(0, 7), min_size=2, max_size=4).filter(any), st.floats(0, 1.5), st.floats(0, 1))
@settings(SAME_EXAMPLES)
def test_small_sums_against_all_counts_there_are(available, ir, share):
    floor = sum(1 for count in available if count)
    total = round(floor + share * (sum(available) - floor))
    ranges = [range(min(count, 1), count + 1) for count in available]
    spreads = [spread(counts) for counts in itertools.product(*ranges) if sum(counts) == total]
    if min(abs(each - ir) for each in spreads) > TOLERANCE:
        with pytest.raises(DataError, match=f"from {min(spreads):.3f} to {max(spreads):.3f}"):
            profile_counts(np.array(available), ir, total)
    else:
        assert_fits(profile_counts(np.array(available), ir, total), np.array(available), ir, total)


@given(st.lists(st.integers(20, 2000), min_size=2, max_size=40), st.floats(0, 1), st.floats(0.2, 0.9))
@settings(SAME_EXAMPLES)
def test_every_ir_in_the_range_is_met(available, share, kept_share):
    available = np.array(available)
    total = max(round(kept_share * available.sum()), 120)
    total = min(total, int(available.sum()))
    with pytest.raises(DataError) as caught:
        profile_counts(available, 1e6, total)
    least, most = (float(word.strip(",")) for word in str(caught.value).split("from ")[1].split(" to "))
    ir = round(least + share * (most - least), 4)
    kept = profile_counts(available, ir, total)
    assert_fits(kept, available, ir, total)
