"""The marked rows in their order, against NumPy."""

import functools

import jax
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jaxal.kernels.marked_rows import marked_rows


@given(is_marked=st.lists(st.booleans(), max_size=12), num_places=st.integers(0, 14))
def test_the_first_marked_rows_are_listed_and_the_rest_holds_their_number(is_marked: list[bool], num_places: int):
    mask = np.asarray(is_marked, bool)
    found = np.asarray(jax.jit(functools.partial(marked_rows, num_places=num_places))(mask))
    expected = np.full(num_places, len(mask))
    first = np.flatnonzero(mask)[:num_places]
    expected[: len(first)] = first
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, expected)
