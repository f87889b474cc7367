import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import diversification as reference

from jaxal.kernels.diversification import lap_ranks

from .content import examples, seeds

lap_ranks_jit = jax.jit(lap_ranks)


def run(groups, keys, is_selectable):
    keys = tuple(jnp.asarray(key) for key in keys)
    return np.asarray(lap_ranks_jit(jnp.asarray(groups), keys, jnp.asarray(is_selectable)))


@pytest.mark.parametrize(("num_rows", "num_groups"), [(1, 1), (2, 5), (37, 4), (60, 200)])
@examples(20)
@given(seed=seeds, share=st.sampled_from([0.0, 0.3, 1.0]))
def test_ranks_count_the_better_ones_of_the_same_group(num_rows, num_groups, seed, share):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, num_groups, num_rows).astype(np.int32)
    keys = (rng.integers(-2, 3, num_rows).astype(np.float32), rng.integers(0, 2, num_rows).astype(np.int32))
    is_selectable = rng.random(num_rows) < share
    ranks = run(groups, keys, is_selectable)
    np.testing.assert_array_equal(ranks[is_selectable], reference.lap_ranks(groups, keys, is_selectable)[is_selectable])


def test_infinite_keys_have_their_place_and_rows_left_out_none():
    groups = np.array([3, 3, 3, 3, 0, 0], np.int32)
    key = np.array([np.inf, 1.0, -np.inf, np.nan, np.nan, 2.0], np.float32)
    is_selectable = np.array([True, True, True, False, False, True])
    ranks = run(groups, (key,), is_selectable)
    np.testing.assert_array_equal(ranks[is_selectable], [2, 1, 0, 0])
