import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from reference import distances as reference

from jaxal.kernels.blocks import block_budget
from jaxal.kernels.distances import (
    embedding_geometry,
    embedding_points,
    mean_embedding,
    squared_distances,
    squared_distances_by_blocks,
)
from jaxal.kernels.nearest_center import take

from .content import examples, kinds, largest_square, rows, seeds

SHAPES = [(1, 3, 1), (4, 2, 9), (50, 7, 3)]


@jax.jit
def in_both_ways(embeddings, centers, middle):
    geometry, points = embedding_geometry(middle), embedding_points(embeddings, middle)
    center_points = embedding_points(centers, middle)
    pairs = jax.lax.map(
        lambda number: geometry.by_differences(points, take(center_points, number[None])), jnp.arange(len(centers))
    )
    return pairs.T, *geometry.by_products(points, center_points)


@pytest.mark.parametrize(("num_rows", "dim", "num_centers"), SHAPES)
@examples(20)
@given(seed=seeds, kind=kinds)
def test_both_forms_match_float64_as_closely_as_they_claim(num_rows, dim, num_centers, seed, kind):
    rng = np.random.default_rng(seed)
    embeddings = rows(rng, kind, num_rows, dim)
    centers = embeddings[rng.integers(0, num_rows, num_centers)]
    centers = centers + rng.integers(0, 2, (num_centers, 1)).astype(np.float32)  # half of them are pool rows
    arguments = (jnp.asarray(embeddings), jnp.asarray(centers), jnp.asarray(embeddings.mean(axis=0)))
    by_differences, by_products, error = (np.asarray(values, np.float64) for values in in_both_ways(*arguments))
    expected = reference.distances_to_centers(embeddings, centers) ** 2
    np.testing.assert_allclose(by_differences, expected, rtol=1e-5, atol=1e-12 * largest_square(embeddings))
    assert np.all(np.abs(by_products - expected) <= error + 1e-5 * expected + 1e-30)
    assert np.all(by_differences[expected == 0] == 0)


def test_blocks_change_no_distance_and_no_mean():
    rng = np.random.default_rng(0)
    z, used = jnp.asarray(rows(rng, "integer", 50, 7)), jnp.asarray(rng.random(50) < 0.7)
    plain = squared_distances(z, z[3])
    np.testing.assert_array_equal(squared_distances_by_blocks(z, z[3]), plain)
    for num_bytes in (1, 500, 1000):
        with block_budget(num_bytes):
            np.testing.assert_array_equal(squared_distances_by_blocks(z, z[3]), plain)
            np.testing.assert_allclose(mean_embedding(z, used), z[used].mean(axis=0), rtol=1e-6)


def test_the_mean_leaves_out_what_is_not_in_use():
    z = jnp.asarray([[1.0, 2.0], [np.nan, np.inf], [3.0, 4.0]])
    np.testing.assert_array_equal(mean_embedding(z, jnp.asarray([True, False, True])), [2.0, 3.0])
    np.testing.assert_array_equal(mean_embedding(z, jnp.zeros(3, bool)), [0.0, 0.0])
