"""What the next round needs, and the random keys of a round, which are drawn from the seed alone."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxal.experiment.inputs import pool_inputs
from jaxal.experiment.setup import Experiment
from jaxal.models.model import Variables
from jaxal.pool import PoolState, new_pool
from jaxal.typing import Array

__all__ = ["ACQUIRE", "DRAW_HEADS", "FIT", "ExperimentState", "round_key", "state_template"]

# What a round's key is folded with; each purpose draws from its own stream.
FIT, ACQUIRE, DRAW_HEADS = 0, 1, 2


class ExperimentState(NamedTuple):
    """What the next round needs; no random key (see `round_key`)."""

    pool: PoolState
    variables: Variables
    strategy: Any


def round_key(experiment: Experiment, round_number: int, purpose: int) -> Array:
    """Derive the key of a purpose in a round from the seed alone, so that a resumed run draws what it would have."""
    seed_key = jax.random.key(experiment.config.seed)
    return jax.random.fold_in(jax.random.fold_in(seed_key, round_number), purpose)


def state_template(experiment: Experiment) -> ExperimentState:
    """Build the state before round 0: initial labels, unfitted variables; a checkpoint is restored into its shapes."""
    pool = new_pool(jnp.asarray(experiment.initial_labels))
    variables = experiment.model.init(round_key(experiment, 0, FIT))
    if experiment.strategy is None:
        return ExperimentState(pool, variables, ())
    # A strategy's state starts from the pool and from shapes: nothing is fitted yet, so there is nothing to embed.
    images = jax.ShapeDtypeStruct((len(experiment.pool_ids), *experiment.model.spec.image_shape), jnp.uint8)
    embeddings = jax.eval_shape(experiment.model.embed, variables, images)
    draw_key = round_key(experiment, 0, DRAW_HEADS)
    shapes = jax.eval_shape(
        functools.partial(pool_inputs, experiment, draw_key, labels_left=0), pool, variables, embeddings
    )
    blank = jax.tree.map(lambda array: jnp.zeros(array.shape, array.dtype), shapes)
    return ExperimentState(pool, variables, experiment.strategy.init(blank._replace(pool=pool)))
