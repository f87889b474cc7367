import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import typicality as reference

from jaxal.kernels.nearest_members import rows_per_tile
from jaxal.kernels.typicality import cluster_turns, mean_neighbor_distances, most_typical

from .content import examples, kinds, rows, seeds

# (N, D, K, neighbors): one row; more clusters and neighbors than rows; an ordinary pool; one of several tiles.
SMALL, LARGE = [(1, 3, 2, 2), (5, 2, 9, 20), (60, 3, 6, 4)], (700, 3, 9, 10)
distances_jit = jax.jit(mean_neighbor_distances, static_argnums=(3, 4))
turns_jit = jax.jit(cluster_turns, static_argnums=4)
typical_jit = jax.jit(most_typical, static_argnums=6)


def measure(embeddings, assignment, is_wanted, num_clusters, num_neighbors):
    garbage = np.where((assignment < num_clusters)[:, None], embeddings, np.float32(np.nan))
    arguments = (jnp.asarray(garbage), jnp.asarray(assignment, jnp.int32), jnp.asarray(is_wanted))
    return np.asarray(distances_jit(*arguments, num_clusters, num_neighbors))


def check_distances(rng, kind, num_rows, dim, num_clusters, num_neighbors):
    embeddings = rows(rng, kind, num_rows, dim)
    # Cluster 1 is empty, some rows are no member, and cluster 0 is far larger than the others.
    assignment = rng.choice([0, *([k for k in range(num_clusters + 1) if k != 1])], num_rows)
    is_wanted = (assignment < num_clusters) & (rng.random(num_rows) < 0.5)
    found = measure(embeddings, assignment, is_wanted, num_clusters, num_neighbors)
    np.testing.assert_array_equal(found[~is_wanted], np.inf)
    expected = [
        reference.mean_neighbor_distance(embeddings, assignment, row, num_neighbors)
        for row in np.flatnonzero(is_wanted)
    ]
    np.testing.assert_allclose(found[is_wanted], expected, rtol=1e-5)


@pytest.mark.parametrize(("num_rows", "dim", "num_clusters", "num_neighbors"), SMALL)
@examples(20)
@given(seed=seeds, kind=kinds)
def test_the_mean_distance_to_the_nearest_members(num_rows, dim, num_clusters, num_neighbors, seed, kind):
    check_distances(np.random.default_rng(seed), kind, num_rows, dim, num_clusters, num_neighbors)


@pytest.mark.parametrize("kind", ["normal", "duplicates"])
def test_a_pool_of_several_tiles(kind):
    num_rows, dim, num_clusters, _ = LARGE
    assert rows_per_tile(num_rows, num_clusters, dim) < num_rows / 4, "half of the rows are wanted: two tiles at least"
    check_distances(np.random.default_rng(0), kind, *LARGE)


def test_an_order_of_rows_changes_no_digit():
    num_rows, dim, num_clusters, num_neighbors = LARGE
    rng = np.random.default_rng(1)
    embeddings, assignment = rows(rng, "normal", num_rows, dim), rng.integers(0, num_clusters + 1, num_rows)
    is_wanted, order = assignment < num_clusters, rng.permutation(num_rows)
    found = measure(embeddings, assignment, is_wanted, num_clusters, num_neighbors)
    shuffled = measure(embeddings[order], assignment[order], is_wanted[order], num_clusters, num_neighbors)
    np.testing.assert_array_equal(shuffled, found[order])


@examples(40)
@given(seed=seeds, share=st.sampled_from([0.0, 0.1, 0.5, 1.0]), num_picks=st.integers(0, 14))
def test_the_least_covered_cluster_has_its_turn_the_largest_first(seed, share, num_picks):
    rng = np.random.default_rng(seed)
    assignment = rng.integers(0, 7, 40)  # 6: no member
    is_labeled = rng.random(40) < share
    is_selectable = ~is_labeled & (assignment < 6)
    count = lambda mask: jnp.asarray(np.bincount(assignment[mask], minlength=7)[:6], jnp.int32)  # noqa: E731
    arguments = (count(np.ones(40, bool)), count(is_labeled), count(is_selectable))
    turns = np.asarray(turns_jit(*arguments, jnp.int32(num_picks), 12))
    expected = reference.cluster_turns(assignment, is_labeled, is_selectable, 6, min(num_picks, 12))
    np.testing.assert_array_equal(turns, expected + [6] * (12 - len(expected)))


def test_each_turn_takes_the_most_typical_row_left():
    embeddings = jnp.asarray([[0.0], [4.0], [1.0], [7.0], [5.0]])
    assignment = jnp.asarray([0, 0, 1, 1, 0], jnp.int32)
    is_selectable = jnp.asarray([True, True, True, True, False])
    distances = jnp.asarray([2.0, 3.0, 6.0, 6.0, 1.0])
    turns = jnp.asarray([1, 0, 1, 0, 2], jnp.int32)
    indices, distance = typical_jit(embeddings, assignment, is_selectable, distances, turns, jnp.asarray([6.0]), 2)
    # The pair of cluster 1 ties; row 3 is nearer the middle. Row 4 may not be picked.
    np.testing.assert_array_equal(indices, [3, 0, 2, 1, 5])
    np.testing.assert_array_equal(distance, [6.0, 2.0, 6.0, 3.0, np.nan])


def test_no_turns_pick_nothing():
    indices, distance = typical_jit(
        jnp.ones((3, 2)),
        jnp.zeros(3, jnp.int32),
        jnp.ones(3, bool),
        jnp.ones(3),
        jnp.zeros(0, jnp.int32),
        jnp.ones(2),
        2,
    )
    assert indices.shape == distance.shape == (0,)
