import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from reference import distances as reference

from jaxal.kernels.distances import distances_to_centers, squared_distances

from .content import examples, kinds, largest_square, rows, seeds

distances_to_centers_jit = jax.jit(distances_to_centers)
squared_distances_jit = jax.jit(squared_distances)


@pytest.mark.parametrize(("num_rows", "dim", "num_centers"), [(1, 3, 1), (4, 2, 9), (50, 7, 3)])
@examples(20)
@given(seed=seeds, kind=kinds)
def test_distances_match_differences_in_float64(num_rows, dim, num_centers, seed, kind):
    rng = np.random.default_rng(seed)
    embeddings = rows(rng, kind, num_rows, dim)
    centers = embeddings[rng.integers(0, num_rows, num_centers)]
    centers = centers + rng.integers(0, 2, (num_centers, 1)).astype(np.float32)  # half of them are pool rows
    tolerance = 1e-5 * largest_square(embeddings, centers)

    distances = np.asarray(distances_to_centers_jit(jnp.asarray(embeddings), jnp.asarray(centers)), np.float64)
    expected = reference.distances_to_centers(embeddings, centers)
    assert distances.shape == (num_rows, num_centers)
    assert np.all(distances >= 0)
    np.testing.assert_allclose(distances**2, expected**2, rtol=1e-5, atol=tolerance)

    squares = np.asarray(squared_distances_jit(jnp.asarray(embeddings), jnp.asarray(centers[0])))
    assert np.all(squares >= 0)
    np.testing.assert_allclose(squares, expected[:, 0] ** 2, rtol=1e-5, atol=tolerance)


def test_a_row_on_its_center_has_no_nan_and_a_small_distance():
    embeddings = (1000.0 + np.random.default_rng(0).normal(size=(40, 16))).astype(np.float32)
    distances = np.asarray(distances_to_centers_jit(jnp.asarray(embeddings), jnp.asarray(embeddings)))
    assert np.all(np.isfinite(distances))
    assert np.all(np.diag(distances) ** 2 <= 1e-5 * largest_square(embeddings))
