"""What the next round needs."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxal.experiment.inputs import pool_inputs
from jaxal.experiment.keys import DRAW_HEADS, FIT, purpose_key
from jaxal.experiment.setup import Experiment
from jaxal.models.model import Variables
from jaxal.pool import PoolState, new_pool
from jaxal.training.placement import shapes_of
from jaxal.typing import Array

__all__ = ["ExperimentState", "round_key", "state_template"]


class ExperimentState(NamedTuple):
    """What the next round needs; no random key (see `round_key`)."""

    pool: PoolState
    variables: Variables
    strategy: Any


def round_key(experiment: Experiment, round_number: int, purpose: int) -> Array:
    """Derive the key of a purpose in a round of the experiment."""
    return purpose_key(experiment.config.seed, round_number, purpose)


def state_template(experiment: Experiment) -> ExperimentState:
    """Build the state before round 0: initial labels, unfitted variables; a checkpoint is restored into its shapes."""
    pool = new_pool(jnp.asarray(experiment.initial_labels))
    variables = experiment.model.init(round_key(experiment, 0, FIT))
    if experiment.strategy is None:
        return ExperimentState(pool, variables, ())
    # A strategy's state starts from the pool and from shapes: nothing is fitted yet, so there is nothing to embed.
    embeddings = jax.eval_shape(experiment.model.embed, variables, shapes_of(experiment.pool_images))
    draw_key = round_key(experiment, 0, DRAW_HEADS)
    shapes = jax.eval_shape(
        functools.partial(pool_inputs, experiment, draw_key, labels_left=0), pool, variables, embeddings
    )
    blank = jax.tree.map(lambda array: jnp.zeros(array.shape, array.dtype), shapes)
    return ExperimentState(pool, variables, experiment.strategy.init(blank._replace(pool=pool)))
