"""jaxal's own contestant where a task is a whole strategy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.config.strategies import StrategyConfig
from jaxal.pool import new_pool
from jaxal.strategies.registry import make_strategy
from jaxal.strategies.strategy import AcquisitionInputs

from .contestants import Call
from .pools import Pool

Array = jax.Array


def strategy_call(config: StrategyConfig, pool: Pool, num_picks: int) -> Call:
    """Acquire as an experiment does, under one jit, with another key each time; fewer picks by the labels left."""
    num_rows, num_classes = pool.logits.shape
    strategy = make_strategy(config, num_classes=num_classes)
    seeds = itertools.count()
    inputs = AcquisitionInputs(
        pool=new_pool(jnp.asarray(pool.labels)),
        embeddings=pool.on_device,
        sample_ids=jnp.arange(num_rows, dtype=jnp.int32),
        labels_left=jnp.asarray(num_picks, jnp.int32),
        logits=jnp.asarray(pool.logits),
    )

    @jax.jit
    def acquire(key: Array, inputs: AcquisitionInputs) -> tuple[Array, Array]:
        query, _, _ = strategy.acquire(key, strategy.init(inputs), inputs, num_picks)
        return query.indices, query.is_valid

    def run(num_wanted: int) -> np.ndarray:
        wanted = inputs._replace(labels_left=jnp.asarray(num_wanted, jnp.int32))
        indices, is_valid = acquire(jax.random.key(next(seeds)), wanted)
        return np.asarray(indices)[np.asarray(is_valid)]

    return Call(lambda: run(num_picks), run, num_picks)
