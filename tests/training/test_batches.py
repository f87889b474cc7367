"""Batches: full ones, of labeled rows only, all of them, in a new order each epoch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxal.training.batches import epoch_batches, steps_per_epoch

# A fixed sequence, so that red stays red; no clock, because of the first compilation and shared machines.
SAME_EXAMPLES = settings(deadline=None, derandomize=True, database=None)

N, STEPS, B = 13, 5, 4


@pytest.mark.parametrize(("num_labeled", "steps"), [(0, 0), (1, 1), (3, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
def test_steps_cover_the_labeled_set_once(num_labeled, steps):
    assert steps_per_epoch(num_labeled, B) == steps


labelings = st.lists(st.sampled_from([-2, -1, 0, 1, 2]), min_size=N, max_size=N).filter(lambda row: max(row) >= 0)


@given(labelings, st.integers(0, 2**31 - 1))
@settings(SAME_EXAMPLES)
def test_every_labeled_row_and_no_other_is_in_full_batches(labels, seed):
    labels = np.array(labels, np.int32)
    batches = np.asarray(epoch_batches(jax.random.key(seed), jnp.asarray(labels), num_steps=STEPS, batch_size=B))
    assert batches.shape == (STEPS, B)
    assert batches.dtype == np.int32
    labeled = np.flatnonzero(labels >= 0)
    covering = batches[: steps_per_epoch(len(labeled), B)]
    assert set(covering.ravel()) == set(labeled)
    assert set(batches.ravel()) == set(labeled)
    # Wrapping is even: no row is seen twice more often than another, and the first L are a permutation.
    counts = np.bincount(batches.ravel(), minlength=N)[labeled]
    assert counts.max() - counts.min() <= 1
    assert sorted(batches.ravel()[: len(labeled)]) == labeled.tolist()[: STEPS * B]


def test_fewer_labels_than_a_batch_repeat_within_it():
    labels = jnp.full(N, -1, jnp.int32).at[jnp.array([2, 7, 11])].set(0)
    batch = np.asarray(epoch_batches(jax.random.key(0), labels, num_steps=STEPS, batch_size=B))[0]
    assert set(batch) == {2, 7, 11}
    assert np.array_equal(batch[3:], batch[:1])


def test_the_order_is_the_key_s_and_every_order_is_drawn():
    labels = jnp.full(N, -1, jnp.int32).at[jnp.array([2, 7, 11])].set(0)

    def order(seed):
        batches = epoch_batches(jax.random.key(seed), labels, num_steps=STEPS, batch_size=B)
        return tuple(np.asarray(batches).ravel()[:3].tolist())

    orders = [order(seed) for seed in range(120)]
    assert order(0) == orders[0]
    assert len(set(orders)) == 6
    assert min(orders.count(each) for each in set(orders)) >= 6  # 20 expected of each


def test_the_value_of_a_label_does_not_move_the_order():
    labels = jnp.array([0, -1, 1, 1, -2, 0, 0, 1, -1, -1, 0, 1, 0], jnp.int32)
    other = jnp.where(labels >= 0, 1 - labels, -1)
    key = jax.random.key(3)
    one, two = (epoch_batches(key, each, num_steps=STEPS, batch_size=B) for each in (labels, other))
    assert np.array_equal(one, two)
