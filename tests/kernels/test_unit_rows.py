import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from jaxal.kernels.unit_rows import unit_rows

from .content import examples, kinds, rows, seeds

unit_rows_jit = jax.jit(unit_rows)


@pytest.mark.parametrize(("num_rows", "dim"), [(1, 1), (40, 6)])
@examples(15)
@given(seed=seeds, kind=kinds)
def test_rows_keep_their_direction_and_have_length_one(num_rows, dim, seed, kind):
    embeddings = rows(np.random.default_rng(seed), kind, num_rows, dim)
    embeddings[0] = 0
    units = np.asarray(unit_rows_jit(jnp.asarray(embeddings)))
    expected = np.zeros((num_rows, dim))
    for row, z in enumerate(embeddings.astype(np.float64)):
        length = np.sqrt(np.sum(z * z))
        expected[row] = z / length if length > 0 else 0
    np.testing.assert_allclose(units, expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(units[0], 0)
