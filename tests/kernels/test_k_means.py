import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import k_means as reference
from scipy.stats import chisquare

from jaxal.kernels.k_means import argmin_with_ties, assign_block, draw_row, k_means, lloyd, nearest_to_centers

from .content import examples, kinds, largest_square, rows, seeds

# (N, D, K): one row; more clusters than rows; an ordinary pool; several blocks are tried apart.
SHAPES = [(1, 3, 2), (5, 2, 9), (60, 3, 12)]
k_means_jit = jax.jit(k_means, static_argnames=("max_clusters", "num_iterations"))
lloyd_jit = jax.jit(lloyd, static_argnames=("num_iterations", "block_size"))
nearest_jit = jax.jit(nearest_to_centers)


def run(embeddings, is_member, num_clusters, max_clusters, *, seed=0, ids=None):
    ids = np.arange(len(embeddings)) if ids is None else ids
    arguments = (jnp.asarray(embeddings), jnp.asarray(ids, jnp.int32), jnp.asarray(is_member))
    return jax.device_get(k_means_jit(jax.random.key(seed), *arguments, jnp.int32(num_clusters), max_clusters))


@functools.cache
def gumbel_noise(seed, num_rows, num_steps):
    """The noise that the kernel's docstring promises: by key, step and id."""
    key = jax.random.key(seed)
    by_row = jax.vmap(
        lambda step, row: jax.random.gumbel(jax.random.fold_in(jax.random.fold_in(key, step), row), mode="high"),
        (None, 0),
    )
    by_step = jax.jit(jax.vmap(by_row, (0, None)))
    return np.asarray(by_step(jnp.arange(num_steps), jnp.arange(num_rows)), np.float64)


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
        assert reference.squared_distance(embeddings[i], centers[assignment[i]]) <= best + 1e-5 * scale


@pytest.mark.parametrize("num_clusters", [1, 3, 8, 12])
@pytest.mark.parametrize("seed", range(6))
def test_the_clusters_are_those_of_the_textbook_from_the_same_noise(seed, num_clusters):
    num_rows, dim, max_clusters = SHAPES[2]
    rng = np.random.default_rng(seed)
    embeddings, is_member = rng.normal(size=(num_rows, dim)).astype(np.float32) + 5, rng.random(num_rows) < 0.8
    start = reference.seed_rows(embeddings, is_member, gumbel_noise(seed, num_rows, max_clusters), num_clusters)
    centers, assignment = reference.lloyd(embeddings, is_member, embeddings[start], 100)
    result = run(embeddings, is_member, num_clusters, max_clusters, seed=seed)
    np.testing.assert_array_equal(np.where(result.assignment == max_clusters, -1, result.assignment), assignment)
    np.testing.assert_allclose(result.centers[:num_clusters], centers, rtol=1e-5)


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
        start[rng.permutation(num_clusters)[:num_far]] += 50 + np.arange(num_far, dtype=np.float32)[:, None]
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


@pytest.mark.parametrize("kind", ["normal", "integer", "duplicates"])
def test_blocks_of_any_size_add_up(kind):
    rng = np.random.default_rng(3)
    z, centers = jnp.asarray(rows(rng, kind, 24, 3)), jnp.asarray(rows(rng, kind, 5, 3))
    is_member, has_center = jnp.asarray(rng.random(24) < 0.8), jnp.asarray([True, True, False, True, True])
    whole = assign_block(z, is_member, centers, has_center)
    parts = [assign_block(z[i : i + 8], is_member[i : i + 8], centers, has_center) for i in range(0, 24, 8)]
    np.testing.assert_array_equal(np.concatenate([part[0] for part in parts]), whole[0])
    np.testing.assert_allclose(np.concatenate([part[1] for part in parts]), whole[1], rtol=1e-6)
    np.testing.assert_allclose(sum(part[2] for part in parts), whole[2], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(sum(part[3] for part in parts), whole[3])
    assert not np.any(np.asarray(whole[0]) == 2), "a cluster without a center gets nothing"


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


def test_rows_are_drawn_in_proportion_to_their_weights():
    weights = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 8.0])
    is_eligible = jnp.asarray([True, True, True, True, True, False])
    log_weight = jnp.log(jnp.asarray(weights, jnp.float32))
    keys = jax.random.split(jax.random.key(5), 4000)
    draw = jax.jit(
        jax.vmap(lambda key: draw_row(key, jnp.int32(3), jnp.arange(6, dtype=jnp.int32), log_weight, is_eligible))
    )
    drawn, found = draw(keys)
    assert np.all(found)
    counts = np.bincount(drawn, minlength=6)
    assert counts[0] == counts[5] == 0
    assert chisquare(counts[1:5], 4000 * weights[1:5] / 10).pvalue > 1e-3


def test_nothing_is_drawn_where_no_row_has_weight():
    ids = jnp.arange(3, dtype=jnp.int32)
    weightless = draw_row(jax.random.key(0), jnp.int32(0), ids, jnp.full(3, -jnp.inf), jnp.ones(3, bool))
    ineligible = draw_row(jax.random.key(0), jnp.int32(0), ids, jnp.zeros(3), jnp.zeros(3, bool))
    assert not weightless[1]
    assert not ineligible[1]


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
