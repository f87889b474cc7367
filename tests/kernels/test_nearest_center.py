import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from reference import distances as reference

from jaxal.kernels.distances import embedding_geometry, embedding_points
from jaxal.kernels.nearest_center import fold_centers, lower_bounds, search, take

from .content import examples, kinds, rows, seeds

NUM_ROWS, DIM, NUM_CENTERS = 150, 5, 6  # more rows than are measured at a time


def layout(embeddings, centers):
    middle = embeddings[0]
    return embedding_geometry(middle), embedding_points(embeddings, middle), embedding_points(centers, middle)


@jax.jit
def run_search(embeddings, centers, is_real, nearest, number):
    geometry, points, center_points = layout(embeddings, centers)
    bounds = jnp.where(is_real[None], lower_bounds(geometry, points, center_points), jnp.inf)
    measure = lambda rows, columns: geometry.by_differences(take(points, rows), take(center_points, columns))  # noqa: E731
    return search(measure, bounds, jnp.arange(len(centers), dtype=jnp.int32), nearest, number)


def run_fold(embeddings, centers, is_real, nearest, block_size):
    def fold(embeddings, centers, is_real, nearest):
        geometry, points, center_points = layout(embeddings, centers)
        return fold_centers(geometry, points, nearest, center_points, is_real, block_size)

    return np.asarray(jax.jit(fold)(embeddings, centers, is_real, nearest))


@examples(40)
@given(seed=seeds, kind=kinds)
def test_the_nearest_center_is_found_and_measured_by_differences(seed, kind):
    rng = np.random.default_rng(seed)
    embeddings = rows(rng, kind, NUM_ROWS, DIM)
    centers = embeddings[rng.choice(NUM_ROWS, NUM_CENTERS)] + rng.integers(0, 2, (NUM_CENTERS, 1)).astype(np.float32)
    is_real = rng.random(NUM_CENTERS) < 0.8
    squares = reference.distances_to_centers(embeddings, centers) ** 2
    known = np.where(rng.random(NUM_ROWS) < 0.5, np.inf, rng.permutation(squares.min(axis=1))).astype(np.float32)
    arguments = (jnp.asarray(value) for value in (embeddings, centers, is_real, known))
    nearest, number, bounds = run_search(*arguments, jnp.full(NUM_ROWS, -1, jnp.int32))
    squares = np.where(is_real[None], squares, np.inf)
    best = np.minimum(known, squares.min(axis=1))
    np.testing.assert_allclose(nearest, best, rtol=1e-5)
    changed = np.asarray(number) >= 0
    assert np.all(np.asarray(nearest)[~changed] == known[~changed])
    assert np.all(squares[changed, np.asarray(number)[changed]] <= best[changed] * (1 + 2e-5))
    # Every bound holds, and what was measured, the chosen ones among it, is marked.
    was_measured = np.signbit(bounds)
    np.testing.assert_allclose(np.abs(bounds)[was_measured], squares[was_measured], rtol=1e-5)
    assert np.all(np.abs(bounds) <= squares * (1 + 1e-5))
    assert np.all(was_measured[changed, np.asarray(number)[changed]])


def test_equally_near_centers_give_the_lowest_and_what_is_known_stays():
    z = jnp.asarray([[0.0, 0.0], [4.0, 0.0], [2.0, 0.0]])
    centers = jnp.asarray([[9.0, 9.0], [1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [3.0, 0.0]])
    nowhere, unknown = jnp.full(3, 7, jnp.int32), jnp.full(3, jnp.inf)
    nearest, number, _ = run_search(z, centers, jnp.ones(5, bool), unknown, nowhere)
    np.testing.assert_array_equal(nearest, [1.0, 1.0, 1.0])
    np.testing.assert_array_equal(number, [1, 4, 1])
    half = jnp.asarray([1.0, 0.5, 2.0])
    nearest, number, _ = run_search(z, centers, jnp.ones(5, bool), half, jnp.full(3, -1, jnp.int32))
    np.testing.assert_array_equal(nearest, [1.0, 0.5, 1.0])
    np.testing.assert_array_equal(number, [-1, -1, 1])
    nearest, number, _ = run_search(z, centers, jnp.ones(5, bool), half, nowhere)
    np.testing.assert_array_equal(nearest, [1.0, 0.5, 1.0])
    np.testing.assert_array_equal(number, [1, 7, 1])


@pytest.mark.parametrize("block_size", [150, 64, 7])
def test_neither_blocks_nor_rows_of_garbage_nor_a_large_offset_matter(block_size):
    rng = np.random.default_rng(1)
    embeddings = (rng.integers(-8, 9, (NUM_ROWS, DIM)) / 8 + 1000).astype(np.float32)
    centers = embeddings[:NUM_CENTERS].copy()
    squares = (reference.distances_to_centers(embeddings, centers) ** 2).astype(np.float32)
    embeddings[-3:] = np.array([np.nan, np.inf, -3e38], np.float32)[:, None]
    known = jnp.full(NUM_ROWS, 2.0)
    found = run_fold(jnp.asarray(embeddings), jnp.asarray(centers), jnp.ones(NUM_CENTERS, bool), known, block_size)
    # On eighths every difference and its square is exact.
    np.testing.assert_array_equal(found[:-3], np.minimum(2.0, squares.min(axis=1))[:-3])
    np.testing.assert_array_equal(found[-3:], 2.0)
