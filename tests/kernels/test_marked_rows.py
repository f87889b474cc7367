"""The marked rows in their order, against NumPy."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxal.kernels.marked_rows import marked_rows

from .content import examples, seeds

marked_rows_jit = jax.jit(marked_rows, static_argnums=1)


@pytest.mark.parametrize(("num_rows", "num_places"), [(0, 2), (1, 1), (9, 0), (9, 4), (9, 9), (9, 14)])
@examples(25)
@given(share=st.sampled_from([0, 0.2, 0.6, 1]), seed=seeds)
def test_the_first_marked_rows_are_listed_and_the_rest_holds_their_number(num_rows, num_places, share, seed):
    mask = np.random.default_rng(seed).random(num_rows) < share
    found = np.asarray(marked_rows_jit(mask, num_places))
    expected = np.full(num_places, num_rows)
    first = np.flatnonzero(mask)[:num_places]
    expected[: len(first)] = first
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, expected)
