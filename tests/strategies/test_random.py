import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import chisquare

from jaxal.config.strategies import RandomConfig
from jaxal.pool import EXCLUDED, UNLABELED
from jaxal.strategies.random import random, row_bits
from jaxal.strategies.strategy import AcquisitionInputs

from .pools import C, pool_of

NUM_KEYS = 2000


def draw_pairs():
    """Two of six unlabeled rows (between a labeled and an excluded one), once for each key."""
    labels = [0, *[UNLABELED] * 6, EXCLUDED]
    inputs = AcquisitionInputs(
        pool=pool_of(labels),
        embeddings=jnp.zeros((8, 1), jnp.float32),
        sample_ids=jnp.arange(100, 108, dtype=jnp.int32),
        labels_left=jnp.asarray(2, jnp.int32),
    )
    strategy = random(RandomConfig(), num_classes=C)
    keys = jax.random.split(jax.random.key(2024), NUM_KEYS)
    query, _, _ = jax.jit(jax.vmap(lambda key: strategy.acquire(key, (), inputs, 2)))(keys)
    return np.asarray(query.indices)


def test_every_ordered_pair_is_equally_likely():
    pairs = draw_pairs()
    assert pairs.min() == 1
    assert pairs.max() == 6
    counts = np.zeros((6, 6))
    np.add.at(counts, (pairs[:, 0] - 1, pairs[:, 1] - 1), 1)
    assert np.all(np.diagonal(counts) == 0), "without replacement"
    assert chisquare(counts[~np.eye(6, dtype=bool)]).pvalue > 1e-3


def test_the_bits_of_a_sample_hang_on_its_id_alone():
    key = jax.random.key(1)
    ids = jnp.asarray([7, 0, 999_999, 2**31 - 1], jnp.int32)
    high, low = (np.asarray(bits) for bits in row_bits(key, ids))
    reversed_high, reversed_low = (np.asarray(bits)[::-1] for bits in row_bits(key, ids[::-1]))
    np.testing.assert_array_equal(high, reversed_high)
    np.testing.assert_array_equal(low, reversed_low)
    assert len(np.unique(np.concatenate([high, low]))) == 8
