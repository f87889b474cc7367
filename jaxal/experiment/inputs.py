"""What a strategy may look at when it chooses."""

import jax.numpy as jnp

from jaxal.experiment.setup import Experiment
from jaxal.kernels.mc_dropout import mc_logits
from jaxal.models.model import Variables
from jaxal.pool import PoolState
from jaxal.strategies.strategy import AcquisitionInputs
from jaxal.training.inference import head_logits
from jaxal.typing import Array, Float, PRNGKey

__all__ = ["pool_inputs"]


def pool_inputs(
    experiment: Experiment,
    draw_key: PRNGKey,
    pool: PoolState,
    variables: Variables,
    embeddings: Float[Array, "N D"],
    *,
    labels_left: int,
) -> AcquisitionInputs:
    """Compute what the strategy may look at, once for the whole pool."""
    model = experiment.model
    needs = frozenset() if experiment.strategy is None else experiment.strategy.needs
    head, logits = model.linear_head(variables), head_logits(model, variables, embeddings)
    draws = None
    if "mc_logits" in needs and head is not None:
        dropout = experiment.config.mc_dropout
        draws = mc_logits(draw_key, embeddings, *head, num_draws=dropout.num_draws, rate=dropout.rate)
    return AcquisitionInputs(
        pool=pool,
        embeddings=embeddings,
        sample_ids=experiment.sample_ids,
        labels_left=jnp.asarray(labels_left, jnp.int32),
        logits=logits,
        head=head,
        mc_logits=draws,
        source_logits=_source_logits(experiment, logits) if "source_logits" in needs else None,
    )


def _source_logits(experiment: Experiment, logits: Float[Array, "N C"]) -> Array:
    """Return the source model's logits; without one, the model that is trained stands in for it."""
    return logits if experiment.source_logits is None else experiment.source_logits
