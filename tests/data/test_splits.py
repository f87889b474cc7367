"""The split: stratified, disjoint, complete, a function of the seed, and of sizes that no seed moves."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxal.config.data import SplitConfig
from jaxal.data.splits import choose_per_class, draw_parts, draw_priorities, hold_out, max_held_out, round_half_up

# A fixed sequence, so that red stays red; no clock, because of the first compilation and shared machines.
SAME_EXAMPLES = settings(deadline=None, derandomize=True, database=None)

LABELS = np.repeat([0, 1, 2], [70, 20, 11]).astype(np.int32)
CONFIG = SplitConfig(validation_fraction=0.2, test_fraction=0.1)


class Split(NamedTuple):
    pool: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def stratified_split(labels, num_classes, config, seed):
    """Draw test, then validation; what is left is the pool."""
    fractions = (config.test_fraction, config.validation_fraction)
    priorities = draw_priorities(len(labels), seed, "split")
    test, validation = draw_parts(labels, None, num_classes, fractions, priorities)
    return Split(np.setdiff1d(np.arange(len(labels)), np.concatenate([test, validation])), validation, test)


@pytest.mark.parametrize(("value", "rounded"), [(0.4, 0), (0.5, 1), (1.5, 2), (2.5, 3), (2.4999, 2), (7.0, 7)])
def test_halves_are_rounded_up(value, rounded):
    assert round_half_up(value) == rounded


def test_priorities_are_a_permutation_for_each_seed_and_purpose():
    ranks = draw_priorities(50, 3, "split")
    assert sorted(ranks) == list(range(50))
    assert np.array_equal(ranks, draw_priorities(50, 3, "split"))
    assert not np.array_equal(ranks, draw_priorities(50, 4, "split"))
    assert not np.array_equal(ranks, draw_priorities(50, 3, "initial"))


def test_the_lowest_priorities_of_each_class_are_chosen():
    labels = np.array([1, 0, 1, 0, 1], np.int32)
    chosen = choose_per_class(labels, np.array([1, 2]), np.array([0, 4, 3, 1, 2]))
    assert chosen.tolist() == [0, 3, 4]
    assert choose_per_class(labels, np.array([0, 9]), np.arange(5)).tolist() == [0, 2, 4]


def test_split_is_disjoint_complete_and_ascending():
    split = stratified_split(LABELS, 3, CONFIG, 5)
    assert sorted(np.concatenate(split)) == list(range(len(LABELS)))
    assert all(np.all(np.diff(part) > 0) for part in split)


def test_each_part_holds_each_class_by_its_share():
    split = stratified_split(LABELS, 3, CONFIG, 5)
    assert np.bincount(LABELS[split.test]).tolist() == [7, 2, 1]
    assert np.bincount(LABELS[split.validation]).tolist() == [14, 4, 2]
    assert np.bincount(LABELS[split.pool]).tolist() == [49, 14, 8]


def test_split_is_the_seed_s():
    split, again, other = (stratified_split(LABELS, 3, CONFIG, seed) for seed in (5, 5, 6))
    for name in split._fields:
        assert np.array_equal(getattr(split, name), getattr(again, name))
        assert not np.array_equal(getattr(split, name), getattr(other, name))


def test_the_test_part_does_not_hang_on_the_validation_fraction():
    wider = SplitConfig(validation_fraction=0.4, test_fraction=0.1)
    assert np.array_equal(stratified_split(LABELS, 3, CONFIG, 5).test, stratified_split(LABELS, 3, wider, 5).test)


def test_every_sample_lands_in_every_part_for_some_seed():
    splits = [stratified_split(LABELS, 3, CONFIG, seed) for seed in range(150)]
    for part in zip(*splits, strict=True):
        assert set(np.concatenate(part)) == set(range(len(LABELS)))


def test_a_class_of_one_and_an_empty_class_are_split_without_loss():
    labels = np.array([0] * 10 + [2], np.int32)
    split = stratified_split(labels, 3, SplitConfig(validation_fraction=0.5, test_fraction=0.4), 0)
    assert sorted(np.concatenate(split)) == list(range(11))
    assert [len(part) for part in split] == [1, 6, 4]


fractions = st.floats(0.01, 0.49)


@given(st.lists(st.integers(0, 3), max_size=60), fractions, fractions, st.integers(0, 2**31 - 1))
@settings(SAME_EXAMPLES)
def test_every_split_is_a_partition_with_sizes_that_no_seed_moves(labels, validation, test, seed):
    labels = np.array(labels, np.int32)
    config = SplitConfig(validation_fraction=validation, test_fraction=test)
    split, other = stratified_split(labels, 4, config, seed), stratified_split(labels, 4, config, seed ^ 1)
    assert sorted(np.concatenate(split)) == list(range(len(labels)))
    for part, other_part, fraction in zip(split, other, (None, validation, test), strict=True):
        counts = np.bincount(labels[part], minlength=4)
        assert counts.tolist() == np.bincount(labels[other_part], minlength=4).tolist()
        if fraction is not None:
            assert np.all(np.abs(counts - fraction * np.bincount(labels, minlength=4)) <= 1)


@given(st.lists(st.integers(-1, 3), max_size=60), st.integers(0, 12), st.floats(0.01, 0.9), st.integers(0, 99))
@settings(SAME_EXAMPLES)
def test_what_is_held_out_is_labeled_bounded_and_never_all_of_a_class(labels, num_groups, fraction, seed):
    labels = np.array(labels, np.int32)
    groups = None if num_groups == 0 else np.array([f"g{row % num_groups}" for row in range(len(labels))])
    held = hold_out(labels, groups, 4, fraction, seed)
    assert np.array_equal(held, np.unique(held))
    assert np.all(labels[held] >= 0)
    known = np.flatnonzero(labels >= 0)
    assert len(held) <= max_held_out(len(known), groups, 4, fraction)
    counts, held_counts = (np.bincount(labels[rows], minlength=4) for rows in (known, held))
    assert np.all(counts - held_counts >= np.minimum(counts, 1))
    if groups is None:
        assert np.all((held_counts >= 1) | (counts < 2))
        assert np.all(np.abs(held_counts - fraction * counts)[counts > 1] <= 1)
    else:
        assert not set(groups[held]) & set(groups[np.setdiff1d(known, held)])


def test_the_same_labels_hold_out_the_same_and_more_labels_keep_most():
    labels = np.full(400, -1, np.int32)
    labels[:100] = np.arange(100) % 4 == 0
    held = hold_out(labels, None, 2, 0.2, 0)
    assert np.array_equal(held, hold_out(labels, None, 2, 0.2, 0))
    assert np.bincount(labels[held]).tolist() == [15, 5]
    assert not np.array_equal(held, hold_out(labels, None, 2, 0.2, 1))
    labels[100:] = np.arange(300) % 4 == 0
    more = hold_out(labels, None, 2, 0.2, 0)
    assert np.bincount(labels[more]).tolist() == [60, 20]
    # A sample keeps its rank among those of its class: about a fifth of the first 100 are among the lowest again.
    assert len(set(held) & set(more)) >= 10


def test_grouped_hold_out_takes_whole_patients():
    labels = np.array([0, 0, 1, 0, 0, 1, 0, 0, 1, 0] * 10, np.int32)
    groups = np.array([f"p{row // 5}" for row in range(100)])
    held = hold_out(labels, groups, 2, 0.2, 0)
    assert 15 <= len(held) <= 26
    assert not set(groups[held]) & set(np.delete(groups, held))
    assert set(labels[held]) == {0, 1}


@pytest.mark.parametrize("num_rare", [3, 5, 10])
@pytest.mark.parametrize("seed", range(5))
def test_the_rarest_class_is_held_out_too_where_patients_are_large(num_rare, seed):
    groups = np.repeat([f"p{number}" for number in range(100)], 16)
    labels = np.zeros(1600, np.int32)
    labels[np.arange(num_rare) * 160] = 1  # in patients of their own
    held = hold_out(labels, groups, 2, 0.1, seed)
    assert 1 <= labels[held].sum() < num_rare
    assert 160 <= len(held) <= max_held_out(1600, groups, 2, 0.1)


def test_one_large_group_may_be_held_out_whole_but_never_a_class():
    groups = np.repeat(["a", "b", "c"], 20)
    labels = np.tile([0, 1], 30).astype(np.int32)
    held = hold_out(labels, groups, 2, 0.1, 0)
    assert len(held) == 20
    assert len(set(groups[held])) == 1
    assert len(hold_out(labels, np.repeat(["a"], 60), 2, 0.1, 0)) == 0
