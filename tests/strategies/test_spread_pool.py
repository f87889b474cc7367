"""Pools whose rows lie on several devices: the same picks as on one, for every strategy and option.

Needs eight devices, so a process of its own: `test_many_devices.py` starts it.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding

from jaxal.kernels.blocks import block_budget
from jaxal.kernels.masking import candidate_room
from jaxal.kernels.pool_mesh import BY_ROWS, everywhere, pool_mesh
from jaxal.kernels.push_pull_search import lowest_push_pull
from jaxal.strategies.registry import make_strategy
from jaxal.strategies.spread_pool import make_pool_mesh, spread_inputs

from .pools import C, Q, make_inputs, picks, with_rows
from .variants import VARIANTS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(len(jax.devices()) < 8, reason="needs --xla_force_host_platform_device_count=8"),
]

SMALL_BLOCK = 256  # bytes: a few rows, so that a device passes over several blocks
NUM_ROWS = 21  # divided by neither 2 nor 8
NUM_FEW_ROWS = 5  # fewer than devices


@functools.partial(jax.jit, static_argnums=(0, 2, 3))
def _acquire(strategy, inputs, query_size, mesh):
    with pool_mesh(mesh), block_budget(SMALL_BLOCK):
        return everywhere(strategy.acquire(jax.random.key(5), strategy.init(inputs), inputs, query_size)[::2])


def assert_same_on_many(name, inputs, query_size):
    strategy = make_strategy(VARIANTS[name], num_classes=C)
    query, info = _acquire(strategy, inputs, query_size, None)
    for number in (2, 8):
        mesh = make_pool_mesh(jax.devices()[:number])
        found, found_info = _acquire(strategy, spread_inputs(inputs, mesh), query_size, mesh)
        np.testing.assert_array_equal(picks(found), picks(query))
        np.testing.assert_array_equal(found_info.reason, info.reason)
        np.testing.assert_allclose(found_info.score, info.score, rtol=1e-5, atol=1e-6)
        assert found_info.num_fallback == info.num_fallback


def first_rows(inputs, num_rows):
    return with_rows(inputs, np.arange(num_rows))


@pytest.mark.parametrize("name", VARIANTS)
def test_a_pool_over_devices_is_asked_the_same(name):
    for labels in ("every class labeled", "a class without labels", "nothing labeled"):
        assert_same_on_many(name, first_rows(make_inputs(2, labels), NUM_ROWS), Q)
    inputs = make_inputs(3)
    twins = with_rows(inputs, np.r_[np.arange(8), np.arange(13)])._replace(sample_ids=inputs.sample_ids[:NUM_ROWS])
    assert_same_on_many(name, twins._replace(pool=first_rows(inputs, NUM_ROWS).pool), Q)


@pytest.mark.parametrize("name", VARIANTS)
def test_fewer_rows_than_devices(name):
    assert_same_on_many(name, first_rows(make_inputs(4), NUM_FEW_ROWS)._replace(labels_left=jnp.asarray(2)), 2)


@pytest.mark.parametrize("name", ["mpps", "cb_dal"])
def test_a_query_of_one_leaves_nothing_for_some_stages(name):
    assert_same_on_many(name, first_rows(make_inputs(5), NUM_ROWS), 1)


def test_mpps_searches_by_bounds_on_each_device():
    """Small integers, of which scores are the same in whatever shape; a device's rows may all tie."""
    rng = np.random.default_rng(0)
    num_own = 4 * candidate_room(Q) + 8
    embeddings = rng.integers(-3, 4, (8 * num_own, 3)).astype(np.float32)
    embeddings[num_own : 2 * num_own] = embeddings[0]
    embeddings[-num_own:] = embeddings[:num_own]
    poles = jnp.array([[2, 0, 1], [0, 1, 0], [-1, 1, 1]], jnp.float32), jnp.array([9, 1, 5], jnp.int32)
    is_selectable = rng.random(8 * num_own) < 0.5

    @functools.partial(jax.jit, static_argnums=2)
    def search(embeddings, is_selectable, mesh):
        with pool_mesh(mesh):
            return everywhere(lowest_push_pull(embeddings, *poles, is_selectable, jnp.int32(Q), Q))

    expected = jax.device_get(search(embeddings, is_selectable, None))
    assert expected[1].all()
    for number in (2, 8):
        mesh = make_pool_mesh(jax.devices()[:number])
        by_rows = jax.device_put((embeddings, is_selectable), NamedSharding(mesh, BY_ROWS))
        found = jax.device_get(search(*by_rows, mesh))
        jax.tree.map(np.testing.assert_array_equal, found, expected)
