import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import masking as reference

from jaxal.kernels.masking import lowest

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
