import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import k_center as reference

from jaxal.kernels.distances import embedding_geometry, embedding_points
from jaxal.kernels.k_center import k_center, nearest_center_distances

from .content import examples, kinds, largest_square, rows, seeds

# The last shape is larger than any block of candidates, so that a blocked implementation needs several passes.
SMALL, LARGE = [(1, 3, 1), (5, 2, 9), (60, 3, 12)], (3000, 4, 200)
k_center_jit = jax.jit(k_center, static_argnames="query_size")


def run(embeddings, is_center, is_selectable, first_priority, num_wanted, query_size):
    """The valid picks and their distances, after checking everything that does not depend on the embeddings."""
    indices, is_valid, distance = k_center_jit(
        jnp.asarray(embeddings),
        jnp.asarray(is_center),
        jnp.asarray(is_selectable),
        jnp.asarray(first_priority),
        jnp.int32(num_wanted),
        query_size=query_size,
    )
    indices, is_valid, distance = np.asarray(indices), np.asarray(is_valid), np.asarray(distance)
    num_picks = min(num_wanted, query_size, int(is_selectable.sum()))
    assert indices.shape == is_valid.shape == distance.shape == (query_size,)
    np.testing.assert_array_equal(is_valid, np.arange(query_size) < num_picks)
    np.testing.assert_array_equal(indices[num_picks:], len(embeddings))
    assert np.all(np.isnan(distance[num_picks:]))
    picks = indices[:num_picks]
    assert len(set(picks.tolist())) == num_picks
    assert np.all(is_selectable[picks])
    return picks, distance[:num_picks]


def roles(rng, num_rows, share_of_centers):
    """Centers, selectable rows and rows that are neither (excluded), and a first priority with ties."""
    is_center = rng.random(num_rows) < share_of_centers
    is_selectable = ~is_center & (rng.random(num_rows) < 0.9)
    return is_center, is_selectable, rng.integers(0, 5, num_rows).astype(np.float32)


def check(embeddings, is_center, is_selectable, first_priority, num_wanted, query_size, *, exact):
    picks, distance = run(embeddings, is_center, is_selectable, first_priority, num_wanted, query_size)
    arguments = (embeddings, is_center, is_selectable, first_priority, len(picks))
    replay = reference.k_center(*arguments, follow=picks)
    if exact:
        np.testing.assert_array_equal(picks, reference.k_center(*arguments).picks)
        np.testing.assert_allclose(distance, replay.distance, rtol=1e-6)
        return
    if len(picks) and not is_center.any():
        assert picks[0] == reference.k_center(*arguments).picks[0]
        assert distance[0] == np.inf
    steps = np.isfinite(replay.best)
    # Each pick is as far as the best there was at that step, up to float32.
    tolerance = 1e-5 * np.maximum(replay.best[steps] ** 2, largest_square(embeddings))
    assert np.all(replay.distance[steps] ** 2 >= replay.best[steps] ** 2 - tolerance)
    assert np.all(np.abs(distance[steps].astype(np.float64) ** 2 - replay.distance[steps] ** 2) <= tolerance)


@pytest.mark.parametrize(("num_rows", "dim", "query_size"), SMALL)
@examples(30)
@given(seed=seeds, kind=kinds, share=st.sampled_from([0.0, 0.2, 1.0]), data=st.data())
def test_each_pick_is_the_farthest_left(num_rows, dim, query_size, seed, kind, share, data):
    rng = np.random.default_rng(seed)
    num_wanted = data.draw(st.integers(0, query_size + 2))
    check(rows(rng, kind, num_rows, dim), *roles(rng, num_rows, share), num_wanted, query_size, exact=kind == "integer")


@pytest.mark.parametrize("kind", ["normal", "integer", "clustered", "all_equal"])
@pytest.mark.parametrize("share", [0.0, 0.02])
def test_many_picks_from_a_large_pool(kind, share):
    num_rows, dim, query_size = LARGE
    rng = np.random.default_rng(7)
    # On small integers distances are exact and nearly all of them tie: order must be the lowest index's.
    check(
        rows(rng, kind, num_rows, dim),
        *roles(rng, num_rows, share),
        query_size - 3,
        query_size,
        exact=kind in ("integer", "all_equal"),
    )


def test_without_a_center_the_first_pick_has_the_highest_priority():
    embeddings = np.array([[0.0], [1.0], [5.0], [9.0]], np.float32)
    nothing, everything = np.zeros(4, bool), np.array([True, True, True, False])
    priority = np.array([-3.0, -1.0, -1.0, 7.0], np.float32)  # row 3 may not be taken; rows 1 and 2 tie
    picks, distance = run(embeddings, nothing, everything, priority, 3, 3)
    np.testing.assert_array_equal(picks, [1, 2, 0])
    np.testing.assert_array_equal(distance, [np.inf, 4.0, 1.0])


def test_duplicates_of_centers_are_taken_last_and_once():
    embeddings = np.array([[0.0], [0.0], [0.0], [2.0]], np.float32)
    is_center = np.array([True, False, False, False])
    picks, distance = run(embeddings, is_center, ~is_center, np.zeros(4, np.float32), 3, 3)
    np.testing.assert_array_equal(picks, [3, 1, 2])
    np.testing.assert_array_equal(distance, [2.0, 0.0, 0.0])


def test_a_query_of_size_zero_is_empty():
    picks, _ = run(np.ones((3, 2), np.float32), np.zeros(3, bool), np.ones(3, bool), np.zeros(3, np.float32), 0, 0)
    assert picks.shape == (0,)


@pytest.mark.parametrize("num_centers", [0, 1, 127, 513, 700])
def test_however_many_centers_there_are_all_are_folded_in(num_centers):
    rng = np.random.default_rng(num_centers)
    embeddings = rng.normal(size=(800, 3)).astype(np.float32)
    is_center = np.zeros(800, bool)
    is_center[rng.choice(800, num_centers, replace=False)] = True

    @jax.jit
    def measure(z, is_center):
        middle = z[0]
        return nearest_center_distances(embedding_geometry(middle), embedding_points(z, middle), is_center, 256)

    found = measure(jnp.asarray(embeddings), jnp.asarray(is_center))
    centers = embeddings[is_center].astype(np.float64)
    expected = np.square(embeddings[:, None] - centers[None]).sum(axis=2).min(axis=1, initial=np.inf)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
