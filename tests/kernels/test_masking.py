import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import masking as reference

from jaxal.kernels.masking import first_argmax, first_argmin, lowest, top_values

from .content import examples, seeds

lowest_jit = jax.jit(lowest, static_argnums=3)


def check(keys, is_selectable, num_wanted, query_size):
    indices, is_valid = lowest_jit(
        tuple(jnp.asarray(key) for key in keys), jnp.asarray(is_selectable), jnp.int32(num_wanted), query_size
    )
    expected = reference.lowest(keys, is_selectable, min(num_wanted, query_size))
    assert indices.shape == is_valid.shape == (query_size,)
    assert indices.dtype == jnp.int32
    np.testing.assert_array_equal(is_valid, np.arange(query_size) < len(expected))
    np.testing.assert_array_equal(np.asarray(indices)[: len(expected)], expected)
    np.testing.assert_array_equal(np.asarray(indices)[len(expected) :], len(is_selectable))


@pytest.mark.parametrize(("num_rows", "query_size"), [(1, 3), (5, 0), (5, 9), (40, 7)])
@examples(20)
@given(seed=seeds, data=st.data())
def test_lowest_sorts_by_every_key_then_by_index(num_rows, query_size, seed, data):
    rng = np.random.default_rng(seed)
    # Few distinct values, the infinities and both zeros among them: almost everything is a tie somewhere.
    first = rng.choice(np.array([-np.inf, -1.0, -0.0, 0.0, 2.0, np.inf], np.float32), num_rows)
    second = rng.integers(-1, 2, num_rows).astype(np.int32)
    third = rng.choice(np.array([0.5, np.inf], np.float32), num_rows)
    is_selectable = rng.random(num_rows) < data.draw(st.sampled_from([0.0, 0.5, 1.0]))
    num_wanted = data.draw(st.integers(0, query_size + 3))
    check((first, second, third), is_selectable, num_wanted, query_size)


def test_all_equal_keys_are_taken_in_index_order():
    check((np.zeros(6, np.float32),), np.array([0, 1, 1, 0, 1, 1], bool), 3, 4)


def test_an_infinite_key_is_still_taken_before_a_row_that_may_not_be():
    check((np.array([0.0, np.inf, 0.0], np.float32),), np.array([False, True, False]), 3, 3)


@pytest.mark.parametrize("num_distinct", [1, 3, 40, 10**6])
@pytest.mark.parametrize("share", [0.0, 0.0005, 0.5, 1.0])
def test_few_of_many_are_found_as_by_a_full_sort(num_distinct, share):
    # Rows enough for the partial sort; with few distinct values its room is too small, and the full one takes over.
    num_rows, query_size = 6000, 20
    rng = np.random.default_rng(num_distinct)
    first = rng.integers(0, num_distinct, num_rows).astype(np.float32)
    first[rng.integers(0, num_rows, 9)] = np.array([np.inf, -np.inf, np.nan] * 3, np.float32)
    second = rng.integers(0, 3, num_rows).astype(np.float32)
    check((first, second), rng.random(num_rows) < share, query_size, query_size)


def test_nan_goes_behind_infinity_where_few_of_many_are_asked():
    first = np.full(6000, np.nan, np.float32)
    first[5000:5010] = np.inf
    check((first,), np.ones(6000, bool), 20, 20)


@pytest.mark.parametrize("num_values", [1, 1000, 2048, 5000])
def test_the_first_of_equal_extremes_is_found(num_values):
    rng = np.random.default_rng(num_values)
    for values in (rng.integers(0, 4, num_values), rng.permutation(num_values), np.full(num_values, -np.inf)):
        values = values.astype(np.float32)
        assert first_argmax(jnp.asarray(values)) == np.argmax(values)
        assert first_argmin(jnp.asarray(values)) == np.argmin(values)
    last = np.zeros(num_values, np.float32)
    last[-1] = 1
    assert first_argmax(jnp.asarray(last)) == num_values - 1


def test_the_largest_come_first_and_ties_in_the_order_of_rows():
    values, rows = top_values(jnp.asarray([1.0, 3.0, 2.0, 3.0, -jnp.inf]), 4)
    np.testing.assert_array_equal(values, [3.0, 3.0, 2.0, 1.0])
    np.testing.assert_array_equal(rows, [1, 3, 2, 0])
