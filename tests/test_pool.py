import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxal.pool import (
    EXCLUDED,
    UNLABELED,
    PoolState,
    Query,
    class_counts,
    enter_labels,
    is_selectable,
    new_pool,
    reveal,
)

NUM_ROWS, QUERY_SIZE, NUM_CLASSES = 9, 4, 3
examples = settings(max_examples=80, deadline=None, derandomize=True, database=None)
answers = st.integers(EXCLUDED, NUM_CLASSES - 1)
pool_labels = st.lists(answers, min_size=NUM_ROWS, max_size=NUM_ROWS)
reveal_jit = jax.jit(reveal)
class_counts_jit = jax.jit(class_counts, static_argnames="num_classes")


def int32(values):
    return jnp.asarray(np.asarray(values, np.int32))


def query_of(rows):
    """Ask these rows; padding behind them."""
    rows = list(rows)
    padding = QUERY_SIZE - len(rows)
    return Query(int32(rows + [NUM_ROWS] * padding), jnp.asarray([True] * len(rows) + [False] * padding))


def test_a_new_pool_knows_what_it_was_given():
    pool = new_pool(int32([0, UNLABELED, 2, EXCLUDED]))
    np.testing.assert_array_equal(pool.labels, [0, -1, 2, -2])
    np.testing.assert_array_equal(pool.queried_at, [0, -1, 0, -1])
    assert pool.round == 0
    assert pool.queried_at.dtype == pool.round.dtype == jnp.int32
    np.testing.assert_array_equal(is_selectable(pool), [False, True, False, False])


def test_a_class_without_labels_counts_zero_and_keeps_its_place():
    pool = new_pool(int32([2, UNLABELED, 2, EXCLUDED, 0, UNLABELED]))
    np.testing.assert_array_equal(class_counts(pool, num_classes=4), [1, 0, 2, 0])
    np.testing.assert_array_equal(class_counts(new_pool(int32([UNLABELED, EXCLUDED])), num_classes=2), [0, 0])


@examples
@given(labels=pool_labels)
def test_counts_are_the_labels_of_each_class(labels):
    counts = class_counts_jit(new_pool(int32(labels)), num_classes=NUM_CLASSES)
    np.testing.assert_array_equal(counts, [labels.count(c) for c in range(NUM_CLASSES)])
    assert counts.dtype == jnp.int32


def test_an_answer_a_skip_and_one_for_later():
    pool = PoolState(int32([UNLABELED] * NUM_ROWS), int32([-1] * NUM_ROWS), int32(4))
    revealed = reveal(pool, query_of([7, 2, 5]), int32([1, EXCLUDED, UNLABELED, 0]))
    expected = np.full(NUM_ROWS, UNLABELED)
    expected[[7, 2]] = [1, EXCLUDED]
    np.testing.assert_array_equal(revealed.labels, expected)
    np.testing.assert_array_equal(np.flatnonzero(revealed.queried_at == 5), [7])
    np.testing.assert_array_equal(np.delete(revealed.queried_at, 7), -1)
    assert revealed.round == 5
    np.testing.assert_array_equal(np.flatnonzero(~is_selectable(revealed)), [2, 7])


def test_labels_entered_piece_by_piece_are_those_revealed_at_once():
    pool = PoolState(int32([UNLABELED] * NUM_ROWS), int32([-1] * NUM_ROWS), int32(4))
    at_once = reveal(pool, query_of([7, 2, 5]), int32([1, EXCLUDED, 0, 0]))
    entered = pool
    for row, label in ((7, 1), (2, EXCLUDED), (5, 0)):
        entered = enter_labels(entered, query_of([row]), int32([label] * QUERY_SIZE))
        assert entered.round == 4, "the round stays open"
    np.testing.assert_array_equal(entered.labels, at_once.labels)
    np.testing.assert_array_equal(entered.queried_at, at_once.queried_at)
    closed = reveal(entered, query_of([7, 2, 5]), int32([1, EXCLUDED, 0, 0]))
    jax.tree.map(np.testing.assert_array_equal, closed, at_once)


def test_an_empty_query_still_closes_its_round():
    pool = new_pool(int32([0, *[UNLABELED] * (NUM_ROWS - 1)]))
    revealed = reveal(pool, query_of([]), int32([1, 1, 1, 1]))
    np.testing.assert_array_equal(revealed.labels, pool.labels)
    np.testing.assert_array_equal(revealed.queried_at, pool.queried_at)
    assert revealed.round == 1


@pytest.mark.parametrize("index", [0, NUM_ROWS - 1, NUM_ROWS])
def test_what_is_not_valid_is_padding_whatever_its_index(index):
    pool = new_pool(int32([UNLABELED] * NUM_ROWS))
    query = Query(int32([index] * QUERY_SIZE), jnp.zeros(QUERY_SIZE, bool))
    np.testing.assert_array_equal(reveal(pool, query, int32([2] * QUERY_SIZE)).labels, pool.labels)


@examples
@given(
    labels=pool_labels,
    order=st.permutations(range(NUM_ROWS)),
    given_answers=st.lists(answers, min_size=QUERY_SIZE, max_size=QUERY_SIZE),
    round_number=st.integers(0, 50),
)
def test_a_round_enters_exactly_what_was_answered(labels, order, given_answers, round_number):
    asked = [row for row in order if labels[row] == UNLABELED][:QUERY_SIZE]
    queried_at = [0 if label >= 0 else -1 for label in labels]
    pool = PoolState(int32(labels), int32(queried_at), int32(round_number))
    revealed = reveal_jit(pool, query_of(asked), int32(given_answers))
    for row, answer in zip(asked, given_answers, strict=False):
        labels[row] = answer
        if answer >= 0:
            queried_at[row] = round_number + 1
    np.testing.assert_array_equal(revealed.labels, labels)
    np.testing.assert_array_equal(revealed.queried_at, queried_at)
    assert revealed.round == round_number + 1
    assert jax.tree.map(lambda array: (array.shape, array.dtype), revealed) == jax.tree.map(
        lambda array: (array.shape, array.dtype), pool
    )
