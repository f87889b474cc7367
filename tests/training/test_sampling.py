"""Sampling: how often each row comes up, against plain counts; shapes that no labeled set changes."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxal.training.batches import steps_per_epoch
from jaxal.training.sampling import epoch_size, largest_epoch_size, sampled_batches

N, C, B = 14, 4, 3
STEPS = steps_per_epoch(largest_epoch_size("oversample", N, C), B)


def labeling(*counts):
    """Label rows class by class, in a shuffled order, with rows left that have no label."""
    labels = np.repeat([*range(len(counts)), -1], [*counts, N - sum(counts)])
    labels[np.flatnonzero(labels < 0)[::2]] = -2
    return np.random.default_rng(0).permutation(labels).astype(np.int32)


def rows_of(sampling, labels, seed=0):
    counts = np.bincount(labels[labels >= 0], minlength=C)
    arguments = sampling, jax.random.key(seed), jnp.asarray(labels), jnp.asarray(counts, jnp.int32)
    batches = sampled_batches(*arguments, num_steps=STEPS, batch_size=B)
    assert batches.shape == (STEPS, B)
    return np.asarray(batches).ravel(), counts


@pytest.mark.parametrize("counts", [(5, 2, 3, 1), (4, 0, 3, 0), (0, 0, 0, 7), (1, 1, 1, 1), (11, 1, 1, 1)])
def test_oversampling_repeats_whole_classes_up_to_the_largest(counts):
    labels = labeling(*counts)
    rows, counts = rows_of("oversample", labels)
    size, largest = epoch_size("oversample", counts), counts.max()
    epoch = rows[:size]
    assert size == (counts > 0).sum() * largest
    assert np.array_equal(np.bincount(labels[epoch], minlength=C), np.where(counts > 0, largest, 0))
    times = np.bincount(epoch, minlength=N)
    for c in np.flatnonzero(counts):
        assert set(times[labels == c]) <= {largest // counts[c], -(-largest // counts[c])}
    assert np.array_equal(rows[size : 2 * size], epoch[: len(rows) - size])  # wraps around


def test_which_rows_are_repeated_once_more_is_drawn_anew():
    labels = labeling(5, 2, 3, 1)
    times = {tuple(np.bincount(rows_of("oversample", labels, seed)[0][:20], minlength=N)) for seed in range(40)}
    assert len(times) == 2 * 3  # one of two rows a third time, two of three rows a second time


def test_a_class_balanced_place_draws_a_class_then_a_row():
    labels = labeling(9, 0, 3, 1)
    drawn = np.concatenate([rows_of("class_balanced", labels, seed)[0] for seed in range(60)])
    by_class = np.bincount(labels[drawn], minlength=C)
    assert by_class[1] == 0
    expected = len(drawn) / 3
    assert np.abs(by_class[[0, 2, 3]] - expected).max() < 4 * np.sqrt(expected * 2 / 3)
    by_row = np.bincount(drawn, minlength=N)[labels == 0]
    assert np.abs(by_row - expected / 9).max() < 4 * np.sqrt(expected / 9)


@pytest.mark.parametrize("sampling", ["oversample", "class_balanced"])
def test_order_is_the_key_s_and_a_new_labeled_set_compiles_nothing(sampling):
    labels = labeling(5, 2, 3, 1)
    first = rows_of(sampling, labels, 3)[0]
    events = []

    def listener(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            events.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        assert np.array_equal(first, rows_of(sampling, labels, 3)[0])
        assert not np.array_equal(first, rows_of(sampling, labels, 4)[0])
        rows_of(sampling, labeling(9, 0, 3, 1))
        assert events == []
        jax.jit(lambda: 0)()
        assert len(events) == 1  # the listener does hear of compilations
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)


@pytest.mark.parametrize(("max_labeled", "num_classes"), [(1, 3), (2, 2), (5, 2), (6, 3), (6, 6)])
def test_the_largest_epoch_is_the_largest_of_all_labeled_sets(max_labeled, num_classes):
    splits = itertools.product(range(max_labeled + 1), repeat=num_classes)
    sizes = [epoch_size("oversample", np.array(each)) for each in splits if sum(each) <= max_labeled]
    assert largest_epoch_size("oversample", max_labeled, num_classes) == max(sizes)
    assert largest_epoch_size("class_balanced", max_labeled, num_classes) == max_labeled
