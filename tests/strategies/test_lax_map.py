"""Every strategy as one program over many keys, and under byte budgets that make blocks of every size."""

import jax
import numpy as np
import pytest

from jaxal.kernels.blocks import block_budget
from jaxal.strategies.registry import make_strategy

from .pools import C, Q, make_inputs
from .variants import VARIANTS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", VARIANTS)
def test_a_map_over_keys_picks_what_each_key_picks(name):
    strategy, inputs = make_strategy(VARIANTS[name], num_classes=C), make_inputs(1)

    def acquire(key):
        return strategy.acquire(key, strategy.init(inputs), inputs, Q)[0].indices

    keys = jax.random.split(jax.random.key(3), 4)
    mapped = np.asarray(jax.jit(lambda keys: jax.lax.map(acquire, keys))(keys))
    alone = jax.jit(acquire)
    np.testing.assert_array_equal(mapped, np.stack([alone(key) for key in keys]))


@pytest.mark.parametrize("name", VARIANTS)
def test_blocks_of_any_size_pick_the_same(name):
    strategy, inputs = make_strategy(VARIANTS[name], num_classes=C), make_inputs(2)
    picks = []
    for num_bytes in (2**26, 2000, 1):
        with block_budget(num_bytes):  # looked up while tracing: a new function each time
            acquire = jax.jit(lambda key: strategy.acquire(key, strategy.init(inputs), inputs, Q)[0].indices)
            picks.append(np.asarray(acquire(jax.random.key(3))))
    np.testing.assert_array_equal(picks[1], picks[0])
    np.testing.assert_array_equal(picks[2], picks[0])
