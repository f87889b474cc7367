import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import k_means as reference
from scipy.stats import chisquare

from jaxal.kernels.distances import embedding_geometry, embedding_points, mean_embedding
from jaxal.kernels.k_means import draw_seeds, k_means, nearest_to_centers
from jaxal.kernels.lloyd import add_by_cluster, argmin_with_ties, lloyd

from .content import examples, kinds, largest_square, rows, seeds

# (N, D, K): one row; more clusters than rows; an ordinary pool; several blocks are tried apart.
SHAPES = [(1, 3, 2), (5, 2, 9), (60, 3, 12)]
k_means_jit = jax.jit(k_means, static_argnames=("max_clusters", "num_iterations"))
nearest_jit = jax.jit(nearest_to_centers)


@functools.partial(jax.jit, static_argnames=("num_iterations", "block_size"))
def lloyd_jit(embeddings, is_member, centers, has_center, is_in_use, num_iterations, block_size):
    middle = mean_embedding(embeddings, is_member)
    points = embedding_points(embeddings, middle)
    return lloyd(points, middle, is_member, centers, has_center, is_in_use, num_iterations, block_size)


def run(embeddings, is_member, num_clusters, max_clusters, *, seed=0, ids=None):
    ids = np.arange(len(embeddings)) if ids is None else ids
    arguments = (jnp.asarray(embeddings), jnp.asarray(ids, jnp.int32), jnp.asarray(is_member))
    return jax.device_get(k_means_jit(jax.random.key(seed), *arguments, jnp.int32(num_clusters), max_clusters))


@pytest.mark.parametrize(("num_rows", "dim", "max_clusters"), SHAPES)
@examples(40)
@given(seed=seeds, kind=kinds, share=st.sampled_from([0.0, 0.3, 0.9, 1.0]), data=st.data())
def test_members_are_at_their_nearest_center_and_centers_are_means(
    num_rows, dim, max_clusters, seed, kind, share, data
):
    rng = np.random.default_rng(seed)
    embeddings, is_member = rows(rng, kind, num_rows, dim), rng.random(num_rows) < share
    num_clusters = data.draw(st.integers(0, max_clusters + 2))
    garbage = np.where(is_member[:, None], embeddings, np.float32(rng.choice([np.nan, np.inf, -3e38])))
    centers, assignment, counts = run(garbage, is_member, num_clusters, max_clusters, seed=seed)

    assert centers.shape == (max_clusters, dim)
    assert assignment.dtype == counts.dtype == np.int32
    np.testing.assert_array_equal(assignment == max_clusters, ~is_member | (num_clusters == 0))
    np.testing.assert_array_equal(counts, np.bincount(assignment, minlength=max_clusters + 1)[:max_clusters])
    num_distinct = len(np.unique(embeddings[is_member], axis=0))
    assert np.sum(counts > 0) == min(num_clusters, max_clusters, num_distinct)
    assert np.all(counts[min(num_clusters, int(is_member.sum())) :] == 0)
    np.testing.assert_array_equal(centers[counts == 0], 0)
    if not np.any(counts):
        return
    scale = largest_square(embeddings)
    for k in np.flatnonzero(counts):
        mean = np.mean(embeddings[assignment == k].astype(np.float64), axis=0)
        np.testing.assert_allclose(centers[k], mean, rtol=1e-5, atol=1e-6 * np.sqrt(scale))
    for i in np.flatnonzero(is_member):
        _, best = reference.nearest_center(embeddings[i], centers[counts > 0])
        own = reference.squared_distance(embeddings[i], centers[assignment[i]])
        assert np.sqrt(own) <= np.sqrt(best) * (1 + 1e-5) + 1e-6 * np.sqrt(scale)


@pytest.mark.parametrize("num_clusters", [1, 3, 8, 12])
@pytest.mark.parametrize("seed", range(6))
def test_the_clusters_are_those_of_the_textbook_from_the_same_start(seed, num_clusters):
    num_rows, dim, max_clusters = SHAPES[2]
    rng = np.random.default_rng(seed)
    embeddings, is_member = rng.normal(size=(num_rows, dim)).astype(np.float32) + 5, rng.random(num_rows) < 0.8
    start = np.zeros((max_clusters, dim), np.float32)
    start[:num_clusters] = embeddings[rng.choice(np.flatnonzero(is_member), num_clusters, replace=False)]
    centers, assignment = reference.lloyd(embeddings, is_member, start[:num_clusters], 100)
    is_in_use = jnp.arange(max_clusters) < num_clusters
    arguments = (jnp.asarray(embeddings), jnp.asarray(is_member), jnp.asarray(start), is_in_use, is_in_use)
    result = lloyd_jit(*arguments, num_iterations=100, block_size=16)
    np.testing.assert_array_equal(np.where(result.assignment == max_clusters, -1, result.assignment), assignment)
    np.testing.assert_allclose(result.centers[:num_clusters], centers, rtol=1e-5)


@pytest.mark.parametrize("num_clusters", [pytest.param(5, marks=pytest.mark.slow), 24])
@pytest.mark.parametrize("kind", ["normal", "duplicates"])
def test_measuring_only_what_moved_changes_no_step(kind, num_clusters):
    # Dozens of steps: most of them move a few centers only, and every member is settled in one of the two ways.
    rng = np.random.default_rng(num_clusters)
    embeddings = rng.normal(size=(400, 3)).astype(np.float32)
    if kind == "duplicates":
        embeddings = embeddings[rng.integers(0, 150, 400)]
    is_member = rng.random(400) < 0.9
    start = embeddings[rng.choice(np.flatnonzero(is_member), num_clusters, replace=False)]
    everywhere = jnp.ones(num_clusters, bool)
    arguments = (jnp.asarray(embeddings), jnp.asarray(is_member), jnp.asarray(start), everywhere, everywhere)
    for num_iterations in (3, 25):
        centers, assignment = reference.lloyd(embeddings, is_member, start, num_iterations)
        result = lloyd_jit(*arguments, num_iterations=num_iterations, block_size=64)
        np.testing.assert_array_equal(result.assignment, np.where(assignment == -1, num_clusters, assignment))
        np.testing.assert_allclose(result.centers, centers, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("distance", "spread"), [(1, 1e-4), (1000, 0.05)])
def test_members_of_tight_groups_far_apart_are_at_their_nearest_center(distance, spread):
    # By ‖c‖² - 2z·c alone, a sixth of them would not be: what tells their centers apart is rounding there.
    rng = np.random.default_rng(1)
    num_rows, dim, num_clusters = 360, 6, 24
    embeddings = (distance * rng.normal(size=(8, dim))[np.arange(num_rows) % 8]).astype(np.float32)
    embeddings += spread * rng.normal(size=(num_rows, dim)).astype(np.float32)
    result = run(embeddings, np.ones(num_rows, bool), num_clusters, num_clusters)
    squares = np.sum((embeddings[:, None].astype(np.float64) - result.centers[None].astype(np.float64)) ** 2, axis=2)
    own = squares[np.arange(num_rows), result.assignment]
    assert np.all(np.sqrt(own) <= np.sqrt(squares.min(axis=1)) * (1 + 1e-5) + 3e-3 * spread)


def test_the_law_of_the_seeds_is_that_of_k_means_plus_plus():
    rng = np.random.default_rng(6)
    embeddings = rng.normal(size=(5, 2)).astype(np.float32) + 3
    middle, ids = jnp.asarray(embeddings.mean(axis=0)), jnp.arange(5, dtype=jnp.int32)
    points = embedding_points(jnp.asarray(embeddings), middle)
    draw = lambda key: draw_seeds(  # noqa: E731
        key, embedding_geometry(middle), points, ids, jnp.ones(5, bool), jnp.int32(3), 3, 5
    )
    seeds = np.asarray(jax.jit(lambda keys: jax.lax.map(draw, keys))(jax.random.split(jax.random.key(3), 8000)))
    law = {}
    for first in range(5):
        for second in {*range(5)} - {first}:
            for third in {*range(5)} - {first, second}:
                to_first, to_both = (
                    [min(reference.squared_distance(row, embeddings[j]) for j in chosen) for row in embeddings]
                    for chosen in ([first], [first, second])
                )
                law[first, second, third] = to_first[second] / sum(to_first) * to_both[third] / sum(to_both) / 5
    drawn = dict.fromkeys(law, 0)
    for outcome in map(tuple, seeds.tolist()):
        drawn[outcome] += 1
    pooled = np.array([[drawn[outcome], 8000 * law[outcome]] for outcome in law if 8000 * law[outcome] > 5]).T
    assert pooled[1].sum() > 0.95 * 8000
    assert chisquare(pooled[0], pooled[1] * pooled[0].sum() / pooled[1].sum()).pvalue > 1e-3


def test_neither_order_nor_padding_nor_garbage_changes_the_clusters():
    num_rows, dim, max_clusters = SHAPES[2]
    for seed in range(10):
        rng = np.random.default_rng(seed)
        embeddings = (np.round(64 * rng.normal(size=(num_rows, dim))) / 64).astype(np.float32)
        is_member, ids = rng.random(num_rows) < 0.7, rng.choice(10**6, num_rows, replace=False)
        embeddings[~is_member] = np.nan
        plain = run(embeddings, is_member, 9, max_clusters, seed=seed, ids=ids)
        order = rng.permutation(num_rows)
        shuffled = run(embeddings[order], is_member[order], 9, max_clusters, seed=seed, ids=ids[order])
        np.testing.assert_array_equal(shuffled.assignment, plain.assignment[order])
        np.testing.assert_array_equal(shuffled.centers, plain.centers)


def test_far_blobs_are_found_whatever_the_seed():
    # Uniform seeding would put two seeds into one blob nearly always; k-means++ never does.
    num_rows, dim, max_clusters = SHAPES[2]
    blob = np.arange(num_rows) % 6
    for seed in range(30):
        rng = np.random.default_rng(seed)
        embeddings = (1000 * np.eye(6)[:, :dim][blob] - 1000 * np.eye(6)[:, 3:][blob]).astype(np.float32)
        embeddings += rng.normal(size=embeddings.shape).astype(np.float32)
        result = run(embeddings, np.ones(num_rows, bool), 6, max_clusters, seed=seed)
        assert len({(b, k) for b, k in zip(blob, result.assignment, strict=True)}) == 6


@pytest.mark.parametrize("block_size", [60, 16])
@pytest.mark.parametrize("num_far", [1, 4, 11])
def test_empty_clusters_take_the_members_farthest_from_their_centers(num_far, block_size):
    num_rows, dim, num_clusters = SHAPES[2]
    for seed in range(5):
        rng = np.random.default_rng(seed)
        embeddings, is_member = rng.normal(size=(num_rows, dim)).astype(np.float32), rng.random(num_rows) < 0.8
        start = rng.normal(size=(num_clusters, dim)).astype(np.float32)
        start[1 + rng.permutation(num_clusters - 1)[:num_far]] += 50 + np.arange(num_far, dtype=np.float32)[:, None]
        centers, assignment = reference.lloyd(embeddings, is_member, start, 100)
        everywhere = jnp.ones(num_clusters, bool)
        arguments = (jnp.asarray(embeddings), jnp.asarray(is_member), jnp.asarray(start), everywhere, everywhere)
        result = lloyd_jit(*arguments, num_iterations=100, block_size=block_size)
        expected = np.where(assignment == -1, num_clusters, assignment)
        np.testing.assert_array_equal(result.assignment, expected)
        np.testing.assert_allclose(result.centers, centers, rtol=1e-5, atol=1e-6)


def test_a_second_step_is_not_taken_when_one_is_asked_for():
    z = jnp.asarray([[0.0], [1.0], [2.0], [10.0]])
    ones = jnp.ones(2, bool)
    once, twice = (lloyd_jit(z, jnp.ones(4, bool), jnp.asarray([[0.0], [1.0]]), ones, ones, n, 4) for n in (1, 9))
    np.testing.assert_array_equal(once.assignment, [0, 1, 1, 1])
    np.testing.assert_array_equal(twice.assignment, [0, 0, 0, 1])
    np.testing.assert_array_equal(twice.centers, [[1.0], [10.0]])


@pytest.mark.parametrize(
    "kind", [*(pytest.param(each, marks=pytest.mark.slow) for each in ("normal", "integer")), "duplicates"]
)
def test_neither_blocks_nor_missing_centers_change_the_outcome(kind):
    rng = np.random.default_rng(3)
    z, centers = jnp.asarray(rows(rng, kind, 24, 3)), jnp.asarray(rows(rng, kind, 5, 3))
    is_member, has_center = jnp.asarray(rng.random(24) < 0.8), jnp.asarray([True, True, False, True, True])
    arguments = (z, is_member, centers, has_center, has_center)
    whole = lloyd_jit(*arguments, num_iterations=1, block_size=24)
    assert not np.any(np.asarray(whole.assignment) == 2), "a cluster without a center gets nothing"
    for block_size in (8, 7, 1):
        parts = lloyd_jit(*arguments, num_iterations=1, block_size=block_size)
        np.testing.assert_array_equal(parts.assignment, whole.assignment)
        np.testing.assert_array_equal(parts.counts, whole.counts)
        np.testing.assert_allclose(parts.centers, whole.centers, rtol=1e-5, atol=1e-5)


def test_sums_by_product_and_by_scatter_are_the_same():
    rng = np.random.default_rng(4)
    z, assignment = rows(rng, "integer", 40, 3), rng.integers(0, 7, 40).astype(np.int32)
    expected = np.array([z[assignment == k].sum(axis=0) for k in range(6)])  # 6 counts for no cluster
    for by_product in (False, True):
        found = add_by_cluster(jnp.ones((6, 3)), jnp.asarray(z), jnp.asarray(assignment), by_product=by_product)
        np.testing.assert_array_equal(found, 1 + expected)


@pytest.mark.parametrize(("num_rows", "dim", "max_clusters"), SHAPES)
@examples(30)
@given(seed=seeds, kind=kinds)
def test_the_member_nearest_each_center(num_rows, dim, max_clusters, seed, kind):
    rng = np.random.default_rng(seed)
    embeddings, centers = rows(rng, kind, num_rows, dim), rows(rng, kind, max_clusters, dim)
    is_member = rng.random(num_rows) < 0.8
    assignment = np.where(is_member, rng.integers(0, max_clusters, num_rows), max_clusters).astype(np.int32)
    counts = np.bincount(assignment, minlength=max_clusters + 1)[:max_clusters].astype(np.int32)
    arguments = (np.where(is_member[:, None], embeddings, np.float32(np.nan)), is_member, centers, assignment, counts)
    found = np.asarray(nearest_jit(*(jnp.asarray(argument) for argument in arguments)))
    assert found.dtype == np.int32
    for k, distances in enumerate(reference.nearest_members(embeddings, assignment, centers)):
        if not distances:
            assert found[k] == num_rows
            continue
        assert distances[found[k]] <= min(distances.values()) * (1 + 2e-5) + 1e-12
        if kind == "all_equal":
            assert found[k] == min(distances)


def test_of_a_pair_the_member_nearer_the_mean_of_all_is_taken_in_any_order():
    embeddings = np.array([[9.0, 1.0], [7.0, 3.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], np.float32)
    assignment, counts = np.array([1, 1, 0, 0, 0], np.int32), np.array([3, 2], np.int32)
    for order in (np.arange(5), np.arange(5)[::-1]):
        centers = np.stack([embeddings[2:].mean(0), embeddings[:2].mean(0)])
        arguments = (embeddings[order], np.ones(5, bool), centers, assignment[order], counts)
        found = nearest_jit(*(jnp.asarray(argument) for argument in arguments))
        assert order[found[1]] == 1
        assert order[found[0]] == 4


def test_ties_go_to_the_tie_breaker_and_then_to_the_lowest_row():
    values, breaker = jnp.asarray([3.0, 1.000001, 1.0, 1.0, 0.5]), jnp.asarray([0.0, 2.0, 2.0, 3.0, 0.0])
    is_eligible = jnp.asarray([True, True, True, True, False])
    assert argmin_with_ties(values, breaker, is_eligible) == 1
    assert argmin_with_ties(values, breaker[::-1], is_eligible) == 2
    assert argmin_with_ties(values, -1 * breaker + 3, is_eligible) == 3


def test_no_clusters_at_all():
    result = run(np.ones((5, 2), np.float32), np.ones(5, bool), 3, 0)
    assert result.centers.shape == (0, 2)
    np.testing.assert_array_equal(result.assignment, 0)
    arguments = (jnp.ones((5, 2)), jnp.ones(5, bool), *(jnp.asarray(part) for part in result))
    assert nearest_to_centers(*arguments).shape == (0,)
