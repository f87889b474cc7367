"""The labels known from the start, and those bought in each round."""

import numpy as np
import pytest
from data_sources import made_pool
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxal.config.study import ScheduleConfig
from jaxal.data.schedule import initial_labels, query_sizes
from jaxal.pool import UNLABELED

# A fixed sequence, so that red stays red; no clock, because of the first compilation and shared machines.
SAME_EXAMPLES = settings(deadline=None, derandomize=True, database=None)

POOL = made_pool([0] * 60 + [1] * 25 + [3] * 3)


def by_fraction(fraction: float) -> ScheduleConfig:
    return ScheduleConfig(initial_fraction=fraction, query_size=5, num_rounds=2)


def by_size(size: int) -> ScheduleConfig:
    return ScheduleConfig(initial_size=size, query_size=5, num_rounds=2)


def test_a_fraction_of_each_class_is_labeled_and_at_least_one():
    labels = initial_labels(by_fraction(0.1), POOL, 4, 0)
    assert labels.dtype == np.int32
    assert labels.shape == POOL.labels.shape
    known = labels != UNLABELED
    assert np.array_equal(labels[known], POOL.labels[known])
    assert np.bincount(labels[known], minlength=4).tolist() == [6, 3, 0, 1]


def test_a_size_is_drawn_whatever_the_class():
    labels = initial_labels(by_size(10), POOL, 4, 0)
    known = labels != UNLABELED
    assert known.sum() == 10
    assert np.array_equal(labels[known], POOL.labels[known])


@pytest.mark.parametrize(("size", "expected"), [(0, 0), (1, 1), (88, 88), (89, 88), (10**6, 88)])
def test_sizes_of_nothing_and_beyond_the_pool(size, expected):
    assert (initial_labels(by_size(size), POOL, 4, 0) != UNLABELED).sum() == expected


@pytest.mark.parametrize("config", [by_fraction(0.2), by_size(20)])
def test_the_initial_labels_hang_on_the_seed_alone(config):
    labels = initial_labels(config, POOL, 4, 7)
    assert np.array_equal(labels, initial_labels(config, POOL, 4, 7))
    assert not np.array_equal(labels, initial_labels(config, POOL, 4, 8))
    assert (labels >= 0).sum() == (initial_labels(config, POOL, 4, 8) >= 0).sum()


def test_a_larger_initial_set_holds_the_smaller():
    small, large = (initial_labels(by_size(size), POOL, 4, 7) != UNLABELED for size in (5, 20))
    assert np.all(large[small])


def test_rounds_of_one_size_until_the_pool_is_used_up():
    config = ScheduleConfig(initial_size=10, query_size=20, num_rounds=4)
    assert query_sizes(config, 1000, 10) == (20, 20, 20, 20)
    assert query_sizes(config, 60, 10) == (20, 20, 10, 0)
    assert query_sizes(config, 10, 10) == (0, 0, 0, 0)
    assert query_sizes(ScheduleConfig(initial_size=10, query_size=20, num_rounds=0), 60, 10) == ()


def test_labeled_fractions_are_reached_exactly():
    config = ScheduleConfig(initial_fraction=0.1, labeled_fractions=(0.1, 0.25, 0.5, 1.0))
    assert query_sizes(config, 50, 5) == (0, 8, 12, 25)  # 5, 12.5 → 13, 25, 50
    assert query_sizes(config, 50, 20) == (0, 0, 5, 25)
    assert query_sizes(config, 50, 50) == (0, 0, 0, 0)
    assert query_sizes(ScheduleConfig(initial_size=1, labeled_fractions=()), 50, 1) == ()


shares = st.lists(st.floats(0.001, 1), max_size=5, unique=True).map(sorted).map(tuple)


@given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 600), st.integers(0, 6), shares)
@settings(SAME_EXAMPLES)
def test_no_schedule_buys_more_than_there_is_or_less_than_nothing(num_pool, num_initial, size, rounds, fractions):
    num_initial = min(num_initial, num_pool)
    by_number = ScheduleConfig(initial_size=0, query_size=size, num_rounds=rounds)
    by_share = ScheduleConfig(initial_size=0, labeled_fractions=fractions)
    for config, num_rounds in ((by_number, rounds), (by_share, len(fractions))):
        sizes = query_sizes(config, num_pool, num_initial)
        assert len(sizes) == num_rounds
        assert all(each >= 0 for each in sizes)
        assert num_initial + sum(sizes) <= num_pool
    assert query_sizes(by_number, num_pool, num_initial)[:1] == (min(size, num_pool - num_initial),)[:rounds]
