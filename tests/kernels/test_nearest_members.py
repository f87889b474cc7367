import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import typicality as reference

import jaxal.kernels.nearest_members as module
from jaxal.kernels.blocks import block_budget
from jaxal.kernels.nearest_members import SLACK, nearest_members, rows_per_tile, sort_clusters
from jaxal.kernels.typicality import mean_neighbor_distances

from .content import examples, kinds, rows, seeds

N, D, K, NEIGHBORS = 300, 40, 3, 5
TILE = 32  # of which each cluster but the smallest takes several, and several steps of others


def nearest_of_all(embeddings, assignment):
    clusters = sort_clusters(embeddings, assignment, K)
    order = jnp.pad(clusters.by_cluster, (0, -N % TILE), constant_values=N).reshape(-1, TILE)
    order = jnp.where(assignment.at[order].get(mode="fill", fill_value=K) < K, order, N)
    nearest = jax.lax.map(lambda tile: nearest_members(clusters, tile, NEIGHBORS), order)
    return jnp.zeros((N, NEIGHBORS)).at[order.ravel()].set(nearest.reshape(-1, NEIGHBORS), mode="drop")


nearest_jit = jax.jit(nearest_of_all)


def check(embeddings, rng):
    assignment = rng.choice([0, 0, 0, 1, 1, K], N)
    assignment[rng.choice(N, 4, replace=False)] = 2  # fewer than the neighbors
    garbage = np.where((assignment < K)[:, None], embeddings, np.float32(np.nan))
    found = np.asarray(nearest_jit(jnp.asarray(garbage), jnp.asarray(assignment, jnp.int32)))
    for row in np.flatnonzero(assignment < K):
        expected = reference.neighbor_distances(embeddings, assignment, row, NEIGHBORS)
        expected += [np.inf] * (NEIGHBORS - len(expected))
        np.testing.assert_allclose(np.sqrt(found[row]), expected, rtol=2e-6)


@examples(12)
@given(seed=seeds, kind=kinds)
def test_the_distances_to_the_nearest_members(seed, kind):
    rng = np.random.default_rng(seed)
    check(rows(rng, kind, N, D), rng)


@examples(12)
@given(seed=seeds, offset=st.sampled_from([0.0, 1.0, 1000.0]), spread=st.sampled_from([1e-2, 1e-3]))
def test_near_duplicates_that_no_product_can_tell_apart(seed, offset, spread):
    # Clumps of more rows than are kept, each far smaller than its cluster: at 1e-3 of it, squared distances are 1e-6
    # of what enters the products, which is all of their digits.
    rng = np.random.default_rng(seed)
    clumps = rng.normal(size=(8, D))[rng.integers(0, 8, N)] + offset
    assert N / 8 / 2 > NEIGHBORS + SLACK
    check((clumps + spread * rng.normal(size=(N, D))).astype(np.float32), rng)


@examples(6)
@given(seed=seeds)
def test_clusters_of_very_different_scales_far_from_each_other(seed):
    rng = np.random.default_rng(seed)
    scales = 10.0 ** rng.integers(-4, 5, N)
    check((scales[:, None] * (rng.normal(size=(N, D)) + 3)).astype(np.float32), rng)


def test_products_settle_tight_clusters_far_from_each_other(monkeypatch):
    # What they cannot settle costs many times as much, so it must stay rare: here nothing.
    def give_up(clusters, rows, nearest, is_settled):
        return jnp.where(is_settled[:, None], nearest, jnp.nan)

    monkeypatch.setattr(module, "_settle", give_up)
    rng = np.random.default_rng(0)
    assignment = rng.integers(0, K, N)
    embeddings = 5 * rng.normal(size=(K, D))[assignment] + 0.001 * rng.normal(size=(N, D))
    nearest = jax.jit(lambda *arrays: nearest_of_all(*arrays))  # traced anew
    found = nearest(jnp.asarray(embeddings, jnp.float32), jnp.asarray(assignment, jnp.int32))
    assert bool(jnp.all(jnp.isfinite(found)))
    duplicates = rng.normal(size=(6, D))[rng.integers(0, 6, N)]
    found = nearest(jnp.asarray(duplicates, jnp.float32), jnp.asarray(assignment, jnp.int32))
    np.testing.assert_array_equal(found, 0)


@pytest.mark.parametrize("budget", [2**16, 2**20])
def test_the_byte_budget_changes_no_mean(budget):
    rng = np.random.default_rng(0)
    embeddings, assignment = rows(rng, "normal", N, D), rng.integers(0, K, N)
    arguments = (jnp.asarray(embeddings), jnp.asarray(assignment, jnp.int32), jnp.ones(N, bool), K, NEIGHBORS)
    expected = mean_neighbor_distances(*arguments)
    with block_budget(budget):
        assert rows_per_tile(N, K, D) <= 32
        np.testing.assert_allclose(mean_neighbor_distances(*arguments), expected, rtol=1e-6)


def test_memory_is_that_of_a_tile():
    num_rows, width, num_clusters = 20_000, 512, 100
    shapes = (
        jax.ShapeDtypeStruct((num_rows, width), jnp.float32),
        jax.ShapeDtypeStruct((num_rows,), jnp.int32),
        jax.ShapeDtypeStruct((num_rows,), jnp.bool_),
    )
    lowered = jax.jit(mean_neighbor_distances, static_argnums=(3, 4)).lower(*shapes, num_clusters, 20)
    tile = rows_per_tile(num_rows, num_clusters, width)
    # Rows and others, with their differences; pairs; a block of rows to measure; a few integers a row.
    bound = 4 * (6 * tile * width + 8 * tile * tile + 8 * num_rows) + 2**23
    assert bound < 4 * num_rows * width / 2
    memory = lowered.compile().memory_analysis()
    assert memory is not None
    assert memory.temp_size_in_bytes < bound
