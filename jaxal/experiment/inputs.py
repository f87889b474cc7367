"""What a strategy may look at when it chooses."""

import jax.numpy as jnp

from jaxal.experiment.layout import PoolLayout, lay_rows, one_device, spread_rows
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
    layout: PoolLayout | None = None,
) -> AcquisitionInputs:
    """Compute what the strategy may look at, once for the whole pool.

    Args:
        experiment: what runs.
        draw_key: of Monte-Carlo draws.
        pool: with the labels that there are; lies as the embeddings do.
        variables: of the fitted model.
        embeddings: of the pool by that.
        labels_left: what the query may buy.
        layout: of the pool over devices; on one where absent.
    """
    model = experiment.model
    needs = frozenset() if experiment.strategy is None else experiment.strategy.needs
    head, logits = model.linear_head(variables), head_logits(model, variables, embeddings)
    draws = None
    if "mc_logits" in needs and head is not None:
        dropout = experiment.config.mc_dropout
        draws = mc_logits(draw_key, embeddings, *head, num_draws=dropout.num_draws, rate=dropout.rate)
    layout = layout or one_device(experiment.sample_ids.shape[0])
    return AcquisitionInputs(
        pool=pool,
        embeddings=embeddings,
        sample_ids=spread_rows(layout, experiment.sample_ids),
        labels_left=jnp.asarray(labels_left, jnp.int32),
        logits=lay_rows(layout, logits),
        head=head,
        mc_logits=None if draws is None else lay_rows(layout, draws, axis=1),
        source_logits=_source_logits(experiment, logits, layout) if "source_logits" in needs else None,
    )


def _source_logits(experiment: Experiment, logits: Float[Array, "N C"], layout: PoolLayout) -> Array:
    """Return the source model's logits; without one, the model that is trained stands in for it."""
    given = experiment.source_logits
    return lay_rows(layout, logits) if given is None else spread_rows(layout, given)
