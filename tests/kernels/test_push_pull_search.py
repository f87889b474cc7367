import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import push_pull as reference

from jaxal.kernels.blocks import block_budget
from jaxal.kernels.masking import candidate_room, lowest, picked_values
from jaxal.kernels.push_pull import push_pull_scores
from jaxal.kernels.push_pull_search import lowest_push_pull, push_pull_bounds

from .content import examples, kinds, largest_square, rows, seeds

bounds_jit, scores_jit = jax.jit(push_pull_bounds), jax.jit(push_pull_scores)
search_jit = jax.jit(lowest_push_pull, static_argnames="query_size")


@jax.jit
def textbook_jit(embeddings, centroids, counts, is_selectable, num_wanted):
    """Score every row, and sort all."""
    keys = push_pull_scores(embeddings, centroids, counts)
    indices, is_valid = lowest(keys, is_selectable, num_wanted, Q)
    return indices, is_valid, picked_values(keys[0], indices, is_valid)


# So many rows that a search by bounds is worth while.
Q = 7
N = 4 * candidate_room(Q) + 3


def poles(rng, kind, num_rows, dim, num_classes, scale=1.0):
    """Rows of which some are centroids, and some nearly; centroids of which some may be the same."""
    centroids = rows(rng, kind, num_classes, dim)
    near = centroids[rng.integers(0, num_classes, num_rows)]
    near = near + rng.choice([0.0, 1e-6, 1e-3], (num_rows, 1)) * rng.normal(size=near.shape)
    embeddings = np.where(rng.random((num_rows, 1)) < 0.3, near, rows(rng, kind, num_rows, dim))
    counts = rng.integers(1, 4, num_classes).astype(np.int32)
    return (embeddings * scale).astype(np.float32), (centroids * scale).astype(np.float32), counts


@pytest.mark.parametrize(("num_rows", "dim", "num_classes"), [(60, 1, 2), (60, 7, 5), (60, 300, 3)])
@examples(40)
@given(seed=seeds, kind=kinds, scale=st.sampled_from([1e-30, 1e-19, 1e-12, 1.0, 1e6]))
def test_every_score_lies_between_its_bounds(num_rows, dim, num_classes, seed, kind, scale):
    embeddings, centroids, counts = poles(np.random.default_rng(seed), kind, num_rows, dim, num_classes, scale)
    low, high = (np.asarray(each, np.float64) for each in bounds_jit(embeddings, centroids, counts))
    measured = np.asarray(scores_jit(embeddings, centroids, counts)[0], np.float64)
    assert np.all(low <= measured)
    assert np.all(measured <= high)
    if scale >= 1e-12:
        expected, _ = reference.push_pull_scores(embeddings, centroids, counts)
        assert np.all(low <= expected)
        assert np.all(expected <= high)


@pytest.mark.parametrize("num_classes", [1, 2, 10])
@pytest.mark.parametrize("num_bytes", [3000, 30_000])
def test_bounds_hold_in_blocks_and_beyond_the_budget(num_classes, num_bytes):
    """Of 203 rows of 40 numbers in blocks of some: with a few numbers a row and class within the budget, and beyond."""
    rng = np.random.default_rng(7)
    embeddings, centroids = rows(rng, "normal", 203, 40), rows(rng, "normal", num_classes, 40)
    counts = rng.integers(1, 4, num_classes).astype(np.int32)
    measured = np.asarray(scores_jit(embeddings, centroids, counts)[0])
    with block_budget(num_bytes):
        low, high = jax.device_get(jax.jit(lambda *arrays: push_pull_bounds(*arrays))(embeddings, centroids, counts))
    assert np.all(low <= measured)
    assert np.all(measured <= high)
    assert num_classes == 1 or np.max(high - low) < 1e-3 * np.ptp(measured)


def test_centroids_whose_differences_have_no_squares_bound_nothing_falsely():
    rng = np.random.default_rng(5)
    centroids = np.stack([np.zeros(40), 1e-20 * rng.normal(size=40)]).astype(np.float32)
    embeddings = rng.normal(size=(500, 40))
    embeddings -= np.outer(embeddings @ centroids[1], centroids[1]) / np.sum(centroids[1].astype(np.float64) ** 2)
    given_arrays = (embeddings.astype(np.float32), centroids, np.array([1, 2], np.int32))
    low, high = jax.device_get(bounds_jit(*given_arrays))
    measured = np.asarray(scores_jit(*given_arrays)[0])
    assert np.all(low <= measured)
    assert np.all(measured <= high)


def test_the_bounds_are_as_tight_as_the_rounding():
    rng = np.random.default_rng(0)
    embeddings, centroids = rows(rng, "normal", 500, 256), rows(rng, "normal", 4, 256)
    low, high = jax.device_get(bounds_jit(embeddings, centroids, np.array([9, 9, 1, 9], np.int32)))
    assert np.max(high - low) < 1e-3 * np.ptp(low)
    shifted = jax.device_get(bounds_jit(embeddings + 100, centroids + 100, np.array([9, 9, 1, 9], np.int32)))
    assert np.max(shifted[1] - shifted[0]) < 1e-3 * np.ptp(low)  # a common offset blows nothing up


@pytest.mark.parametrize("dim", [3, 40])
@examples(25)
@given(seed=seeds, kind=kinds, num_wanted=st.integers(0, Q + 3), share=st.sampled_from([0.0, 0.001, 0.5, 1.0]))
def test_the_best_of_all_rows_are_found(dim, seed, kind, num_wanted, share):
    rng = np.random.default_rng(seed)
    embeddings, centroids, counts = poles(rng, kind, N, dim, 3)
    is_selectable = rng.random(N) < share
    given_arrays = (embeddings, centroids, counts, is_selectable, jnp.int32(num_wanted))
    found = jax.device_get(search_jit(*given_arrays, query_size=Q))
    expected = jax.device_get(textbook_jit(*given_arrays))
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_array_equal(found[0][~found[1]], N)
    # Other shapes round otherwise: the same rows, or others whose scores agree but for that.
    error = 1e-6 * np.sqrt(largest_square(embeddings - centroids[0], centroids - centroids[0]))
    np.testing.assert_allclose(found[2], expected[2], rtol=1e-5, atol=error)
    differs = found[0] != expected[0]
    exact, _ = reference.push_pull_scores(embeddings[found[0][differs]], centroids, counts) if differs.any() else (0, 0)
    assert np.all(np.abs(exact - expected[2][differs]) <= 2 * error)
    assert len(set(found[0][found[1]].tolist())) == found[1].sum()
    assert is_selectable[found[0][found[1]]].all()


def test_ties_go_to_the_nearest_then_to_the_lowest_row_however_many_they_are():
    """On a line, majority at 20, minority at 0: all behind the minority score -20."""
    centroids, counts = jnp.array([[20.0], [0.0]], jnp.float32), jnp.array([9, 1], jnp.int32)
    rng = np.random.default_rng(1)
    for num_behind in (Q + 30, N // 2):  # few enough for a search among them, and too many
        places = rng.permutation(N)[:num_behind]
        embeddings = rng.integers(1, 19, N).astype(np.float32)
        embeddings[places] = -rng.integers(1, 5, num_behind)
        found, _, score = jax.device_get(
            search_jit(embeddings[:, None], centroids, counts, jnp.ones(N, bool), jnp.int32(Q), query_size=Q)
        )
        expected = sorted(places, key=lambda row: (-embeddings[row], row))[:Q]
        assert found.tolist() == expected
        np.testing.assert_array_equal(score, -20)


def test_rows_left_out_may_hold_anything():
    rng = np.random.default_rng(3)
    embeddings, centroids, counts = poles(rng, "normal", N, 6, 4)
    is_selectable = np.arange(N) % 4 != 1
    results = []
    for content in (0.0, np.nan, np.inf, 1e30):
        embeddings = np.where(is_selectable[:, None], embeddings, np.float32(content))
        results.append(
            jax.device_get(search_jit(embeddings, centroids, counts, is_selectable, jnp.int32(Q), query_size=Q))
        )
    for other in results[1:]:
        jax.tree.map(np.testing.assert_array_equal, other, results[0])
