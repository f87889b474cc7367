"""Fitting a model to the labeled set, and keeping the variables that validate best."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.config.training import TrainingConfig
from jaxal.data.loading import Images
from jaxal.errors import InputError
from jaxal.evaluation.metrics import Metrics, evaluate, is_better, selection_score
from jaxal.models.model import Model, Variables
from jaxal.training.batches import steps_per_epoch
from jaxal.training.inference import apply_images
from jaxal.training.sampling import epoch_size, largest_epoch_size, sampled_batches
from jaxal.training.steps import FitPlan, new_fit, run_epoch
from jaxal.typing import Array, Bool, Int32, PRNGKey, Shaped

__all__ = ["EvaluationSet", "FitResult", "evaluate_model", "fit", "initial_variables"]


class EvaluationSet(NamedTuple):
    """Images, or what the model takes for them, with known labels that are scored, never trained on."""

    images: Shaped[Array, "n ..."] | Images
    labels: Int32[Array, " n"]
    is_counted: Bool[Array, " n"]  # False for padding rows


class FitResult(NamedTuple):
    """A fitted model."""

    variables: Variables
    best_epoch: int  # epoch whose variables were kept, from 1; 0 = those it began with (nothing labeled)
    num_epochs: int  # epochs run


class _Best(NamedTuple):
    variables: Variables
    score: tuple[Array, Array]
    epoch: Array


def evaluate_model(
    model: Model, config: TrainingConfig, variables: Variables, evaluation_set: EvaluationSet, positive_class: int
) -> Metrics:
    """Score a model on a set."""
    logits = apply_images(model, variables, evaluation_set.images, config.inference_batch_size)
    return evaluate(logits, evaluation_set.labels, evaluation_set.is_counted, positive_class=positive_class)


def initial_variables(model: Model, key: PRNGKey) -> Variables:
    """Return what a fit with this key begins with where it is not told."""
    return model.init(jax.random.split(key, 3)[0])


def fit(
    model: Model,
    config: TrainingConfig,
    key: PRNGKey,
    images: Shaped[Array, "N ..."] | Images,
    labels: Int32[Array, " N"],
    validation: EvaluationSet,
    *,
    positive_class: int,
    max_labeled: int,
    begin: Variables | None = None,
    targets: Int32[Array, " N"] | None = None,
    on_steps: Callable[[int], None] = lambda num_steps: None,
) -> FitResult:
    """Fit a model to the labeled rows, and keep the variables of the best validation AUROC.

    Equal AUROCs are decided by the smaller validation loss, then by the earlier epoch; where AUROC is not defined
    (a class missing from validation) the loss alone decides, and with nothing to validate on the last epoch is kept.
    With config.early_stop the fit ends at the first validation that is so many epochs behind the best one.

    Args:
        model: the network.
        config: of training.
        key: of this fit: initialization, shuffling and the network's own noise.
        images: the pool's; those of the labeled rows are streamed to the device where it does not hold them.
        labels: class of each row, negative where there is none. With no label at all nothing is fitted.
        validation: scored every config.validate_every epochs, and after the last one.
        positive_class: the class whose AUROC counts where there are two.
        max_labeled: the largest labeled set of the run; fixes the shapes.
        begin: variables to begin with, which are not changed; freshly initialized ones where absent.
        targets: what the model's training logits are told of each labeled row in place of its class.
        on_steps: called as each epoch ends, with the number of optimization steps it took; and once with all that an
            early stop leaves out.

    Returns:
        The kept variables, their epoch, and the number of epochs run.

    Raises:
        InputError: more rows are labeled than max_labeled.
    """
    _, shuffle_key, noise_key = jax.random.split(key, 3)
    # A copy, because the fit's own buffers are donated.
    variables = initial_variables(model, key) if begin is None else jax.tree.map(jnp.copy, begin)
    num_labeled = int(jnp.sum(labels >= 0))
    if num_labeled == 0:
        return FitResult(variables, 0, 0)
    if num_labeled > max_labeled:
        raise InputError(f"max_labeled: {num_labeled} rows are labeled, more than the {max_labeled} that were planned")
    num_classes, sampling = model.spec.num_classes, config.sampling
    class_counts = jnp.bincount(jnp.maximum(labels, -1) + 1, length=num_classes + 1)[1:]
    num_steps = steps_per_epoch(epoch_size(sampling, np.asarray(class_counts)), config.batch_size)
    max_steps = steps_per_epoch(largest_epoch_size(sampling, max_labeled, num_classes), config.batch_size)
    plan = FitPlan(jnp.asarray(num_steps * config.num_epochs, jnp.float32), class_counts)
    # Copies and separate arrays, because both the fit's and the best's buffers are donated as they are renewed.
    worst = (jnp.full((), -jnp.inf, jnp.float32), jnp.full((), -jnp.inf, jnp.float32))
    best = _Best(jax.tree.map(jnp.copy, variables), worst, jnp.asarray(0, jnp.int32))
    state = new_fit(config, variables)
    targets = labels if targets is None else targets
    epoch = 0
    for epoch in range(1, config.num_epochs + 1):
        epoch_key = jax.random.fold_in(shuffle_key, epoch)
        batches = sampled_batches(
            sampling, epoch_key, labels, class_counts, num_steps=max_steps, batch_size=config.batch_size
        )
        state = run_epoch(model, config, state, noise_key, images, targets, batches, num_steps, plan)
        is_validated = epoch % config.validate_every == 0 or epoch == config.num_epochs
        if is_validated:
            metrics = evaluate_model(model, config, state.variables, validation, positive_class)
            score = selection_score(metrics)
            best = _keep_better(best, state.variables, score, jnp.asarray(epoch, jnp.int32), validation.is_counted)
        on_steps(num_steps)
        if is_validated and config.early_stop and epoch - int(best.epoch) >= config.early_stop:
            on_steps(num_steps * (config.num_epochs - epoch))
            break
    return FitResult(best.variables, int(best.epoch), epoch)


@functools.partial(jax.jit, donate_argnames="best")
def _keep_better(
    best: _Best, variables: Variables, score: tuple[Array, Array], epoch: Array, is_counted: Array
) -> _Best:
    # The first validation is always kept, or a loss that is never finite would leave the untrained variables.
    candidate = _Best(variables, score, epoch)
    better = is_better(score, best.score) | (best.epoch == 0) | ~jnp.any(is_counted)
    return jax.tree.map(lambda new, old: jnp.where(better, new, old), candidate, best)
