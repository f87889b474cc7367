"""Fitting a model to the labeled set, and keeping the variables that validate best, or the last."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxal import processes
from jaxal.config.training import Sampling, TrainingConfig
from jaxal.data.loading import Images
from jaxal.errors import InputError
from jaxal.evaluation.metrics import Metrics, evaluate, is_better, selection_score
from jaxal.evaluation.rows import plain_value
from jaxal.models.model import Model, Variables
from jaxal.training.batches import steps_per_epoch
from jaxal.training.inference import apply_images
from jaxal.training.parallel import fit_sharding, own_variables
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
    max_accuracy: float | None = None  # the largest of all validations, whatever is kept; None: not defined


class _Best(NamedTuple):
    variables: Variables
    score: tuple[Array, Array]
    epoch: Array
    max_accuracy: Array  # of all validations so far; NaN where none has defined it


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
    validation: EvaluationSet | None,
    *,
    positive_class: int,
    max_labeled: int,
    num_epochs: int | None = None,
    begin: Variables | None = None,
    targets: Int32[Array, " N"] | None = None,
    on_steps: Callable[[int], None] = lambda num_steps: None,
) -> FitResult:
    """Fit a model to the labeled rows, and keep the variables of the best validation by config.keep, or the last.

    Equal AUROCs are decided by the smaller validation loss, then by the earlier epoch; where AUROC is not defined
    (a class missing from validation) the loss alone decides, and with nothing to validate on the last epoch is kept.
    The same goes for accuracy. With config.early_stop the fit ends at the first validation that is so many epochs
    behind the best one.

    Args:
        model: the network.
        config: of training.
        key: of this fit: initialization, shuffling and the network's own noise.
        images: the pool's; those of the labeled rows are streamed to the device where it does not hold them.
        labels: class of each row, negative where there is none. With no label at all nothing is fitted.
        validation: scored every config.validate_every epochs, and after the last one. None where nobody asks for its
            scores and config.keep is "last", without early stop: nothing is scored then.
        positive_class: the class whose AUROC counts where there are two.
        max_labeled: the largest labeled set of the run; fixes the shapes.
        num_epochs: of this fit; config.num_epochs where absent. Apart from config, which is compiled in: rounds of
            unequal length share one compilation.
        begin: variables to begin with, which are not changed; freshly initialized ones where absent.
        targets: what the model's training logits are told of each labeled row in place of its class.
        on_steps: called as each epoch ends, with the number of optimization steps it took; and once with all that an
            early stop leaves out.

    Returns:
        The kept variables, their epoch, the number of epochs run, and the largest validation accuracy of them all,
        None where there is no validation.

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
    num_epochs = config.num_epochs if num_epochs is None else num_epochs
    num_classes, sampling = model.spec.num_classes, config.sampling
    class_counts = jnp.bincount(jnp.maximum(labels, -1) + 1, length=num_classes + 1)[1:]
    num_steps = steps_per_epoch(epoch_size(sampling, np.asarray(class_counts)), config.batch_size)
    max_steps = steps_per_epoch(largest_epoch_size(sampling, max_labeled, num_classes), config.batch_size)
    plan = FitPlan(jnp.asarray(num_steps * num_epochs, jnp.float32), class_counts)
    # Copies and separate arrays, because both the fit's and the best's buffers are donated as they are renewed.
    worst = (jnp.full((), -jnp.inf, jnp.float32), jnp.full((), -jnp.inf, jnp.float32))
    no_accuracy = jnp.full((), jnp.nan, jnp.float32)
    best = _Best(jax.tree.map(jnp.copy, variables), worst, jnp.asarray(0, jnp.int32), no_accuracy)
    targets = labels if targets is None else targets
    sharding = fit_sharding(config)
    if sharding is not None:  # one fit of all processes begins with one and the same
        variables, targets = processes.from_first_arrays((variables, targets))
    state = new_fit(config, variables)
    epoch = 0
    for epoch in range(1, num_epochs + 1):
        batches = _batches_of_epoch(
            sampling, shuffle_key, epoch, labels, class_counts, num_steps=max_steps, batch_size=config.batch_size
        )
        state = run_epoch(model, config, state, noise_key, images, targets, batches, num_steps, plan)
        is_validated = epoch % config.validate_every == 0 or epoch == num_epochs
        if is_validated and validation is not None:
            variables = own_variables(sharding, state.variables)
            metrics = evaluate_model(model, config, variables, validation, positive_class)
            candidate = _Best(
                variables,
                selection_score(metrics, "accuracy" if config.keep == "best_accuracy" else "auroc"),
                jnp.asarray(epoch, jnp.int32),
                jnp.asarray(metrics.accuracy, jnp.float32),
            )
            best = _keep_better(best, candidate, validation.is_counted, keeps_last=config.keep == "last")
        on_steps(num_steps)
        if is_validated and config.early_stop and _stops(config, epoch, best):
            on_steps(num_steps * (num_epochs - epoch))
            break
    if validation is None:
        return FitResult(own_variables(sharding, state.variables), epoch, epoch)
    return FitResult(best.variables, int(best.epoch), epoch, plain_value(best.max_accuracy))


@functools.partial(jax.jit, static_argnames=("sampling", "num_steps", "batch_size"))
def _batches_of_epoch(
    sampling: Sampling,
    key: PRNGKey,
    epoch: int | Array,
    labels: Array,
    class_counts: Array,
    *,
    num_steps: int,
    batch_size: int,
) -> Array:
    epoch_key = jax.random.fold_in(key, epoch)
    return sampled_batches(sampling, epoch_key, labels, class_counts, num_steps=num_steps, batch_size=batch_size)


def _stops(config: TrainingConfig, epoch: int, best: _Best) -> bool:
    """Tell whether a fit ends early; where it is one of all processes, the first of them decides."""
    is_behind = epoch - int(best.epoch) >= config.early_stop
    return processes.from_first("early stop", lambda: is_behind) if config.data_parallel else is_behind


@functools.partial(jax.jit, donate_argnames="best", static_argnames="keeps_last")
def _keep_better(best: _Best, candidate: _Best, is_counted: Array, *, keeps_last: bool) -> _Best:
    # The first validation is always kept, or a loss that is never finite would leave the untrained variables.
    better = is_better(candidate.score, best.score) | (best.epoch == 0) | ~jnp.any(is_counted) | keeps_last
    kept = jax.tree.map(lambda new, old: jnp.where(better, new, old), candidate, best)
    return kept._replace(max_accuracy=jnp.fmax(candidate.max_accuracy, best.max_accuracy))
