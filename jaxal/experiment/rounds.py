"""A round: labels are revealed, the network is fitted to all there are, and evaluated."""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxal import processes
from jaxal.data.splits import hold_out, max_held_out
from jaxal.evaluation.metrics import Metrics, accuracies, evaluate, undefined
from jaxal.evaluation.rows import MetricRow, plain_value, pool_rows, split_rows, subgroup_rows
from jaxal.experiment.asking import ask, asked_rows, padded_answers
from jaxal.experiment.fitting import fit_round
from jaxal.experiment.setup import Experiment, is_fitted, is_scored
from jaxal.experiment.state import ExperimentState, state_template
from jaxal.models.model import Variables
from jaxal.pool import UNLABELED, PoolState, Query, class_counts, reveal
from jaxal.training.calibration import thresholded
from jaxal.training.inference import apply_images
from jaxal.training.placement import take_images
from jaxal.training.restarts import begins_anew, epochs_of_round
from jaxal.training.trainer import EvaluationSet, FitResult
from jaxal.typing import Array

__all__ = ["RoundRecord", "run_round", "start", "tell"]


class RoundRecord(NamedTuple):
    """What a round's fit came to; of a round that is not scored, that of the query model, if there is one."""

    metrics: tuple[MetricRow, ...]  # of a round that is not scored, of its labels alone
    seconds_train: float
    best_epoch: int
    num_epochs: int  # run, up to a stop; 0 where nothing is fitted


def start(
    experiment: Experiment, on_steps: Callable[[int], None] = lambda num_steps: None
) -> tuple[ExperimentState, RoundRecord]:
    """Begin with round 0: fit to the initial labels, evaluate, where the schedule has this round scored."""
    return _fit_and_evaluate(experiment, state_template(experiment), on_steps)


def tell(
    experiment: Experiment,
    state: ExperimentState,
    query: Query,
    labels: np.ndarray,
    on_steps: Callable[[int], None] = lambda num_steps: None,
) -> tuple[ExperimentState, RoundRecord]:
    """Reveal the labels of a query, fit, evaluate, where the schedule has this round scored.

    Args:
        experiment: what runs.
        state: as `ask` returned it.
        query: what was asked.
        labels: int32, one for each valid entry of the query, in its order; EXCLUDED for a skipped image.
        on_steps: called as each epoch of the fit ends, with the optimization steps it took.

    Raises:
        InputError: too few or too many labels, or one outside the classes.
    """
    answers = padded_answers(query, labels, len(experiment.class_names))
    state = state._replace(pool=reveal(state.pool, query, jnp.asarray(answers)))
    return _fit_and_evaluate(experiment, state, on_steps)


def run_round(experiment: Experiment, state: ExperimentState) -> tuple[ExperimentState, RoundRecord]:
    """Run one round against the experiment's oracle: ask, answer, tell."""
    state, query, _ = ask(experiment, state, experiment.oracle.answer)
    return tell(experiment, state, query, experiment.oracle.answer(asked_rows(query)))


def _fit_and_evaluate(
    experiment: Experiment, state: ExperimentState, on_steps: Callable[[int], None]
) -> tuple[ExperimentState, RoundRecord]:
    training, number = experiment.config.training, int(state.pool.round)
    rows = list(pool_rows(np.asarray(state.pool.labels), experiment.class_names, experiment.minority))
    if not is_fitted(experiment, number):
        return state, RoundRecord(tuple(rows), 0.0, 0, 0)
    began = time.perf_counter()
    begin = None if begins_anew(training, number) else state.variables
    # Of a model that only asks nobody reads a score.
    is_validated = experiment.scored is None or training.keep != "last"
    asking = last = _fit(experiment, state.pool, epochs_of_round(training, number), begin, is_validated, on_steps)
    if experiment.scored is not None and is_scored(experiment, number):
        # A model that does not ask starts from its own beginning in every round, on all that the other has asked for.
        num_epochs = experiment.scored.config.training.num_epochs
        last = _fit(experiment.scored, state.pool, num_epochs, None, True, on_steps)
    jax.block_until_ready((asking.result.variables, last.result.variables))
    seconds_train = time.perf_counter() - began
    if is_scored(experiment, number):
        rows += _all_scored(experiment.scored or experiment, state.pool, last)
    record = RoundRecord(tuple(rows), seconds_train, last.result.best_epoch, last.result.num_epochs)
    # Hosts that are not quite alike may differ in the last bits of the same fit: all go on with that of the first.
    return state._replace(variables=processes.from_first_arrays(asking.result.variables)), record


class _Fitted(NamedTuple):
    result: FitResult
    told: list[MetricRow]
    labels: Array  # int32 [N], those that trained it
    validation: EvaluationSet


def _fit(
    experiment: Experiment,
    pool: PoolState,
    num_epochs: int,
    begin: Variables | None,
    is_validated: bool,
    on_steps: Callable[[int], None],
) -> _Fitted:
    """Fit an experiment's model to the labels that there are."""
    max_labeled = int(np.sum(experiment.initial_labels != UNLABELED)) + sum(experiment.query_sizes)
    labels, validation = _fit_sets(experiment, pool.labels, max_labeled)
    fitted, told = fit_round(
        experiment,
        int(pool.round),
        labels,
        validation if is_validated else None,
        max_labeled=max_labeled,
        num_epochs=num_epochs,
        begin=begin,
        on_steps=on_steps,
    )
    return _Fitted(fitted, told, labels, validation)


def _all_scored(scored: Experiment, pool: PoolState, fitted: _Fitted) -> list[MetricRow]:
    """Score a fitted model on every set, after what is told of its fit."""
    rows = [*fitted.told, MetricRow("validation", "", "max_accuracy", fitted.result.max_accuracy)]
    counts = class_counts(pool._replace(labels=fitted.labels), num_classes=len(scored.class_names))
    for name, evaluation_set in {"validation": fitted.validation, **scored.test_sets}.items():
        rows += _scored(scored, fitted.result, name, evaluation_set, counts)
    return rows


def _scored(
    experiment: Experiment, fitted: FitResult, name: str, evaluation_set: EvaluationSet, counts: Array
) -> list[MetricRow]:
    """Score a fitted model on a set, and on its subgroups from the same logits; counts are of the labels it knows."""
    images, labels, is_counted = evaluation_set
    thresholding, names = experiment.config.training.thresholding, experiment.class_names
    logits = divided = None
    if fitted.best_epoch > 0:
        logits = apply_images(
            experiment.model, fitted.variables, images, experiment.config.training.inference_batch_size
        )
        divided = thresholded(logits, counts) if thresholding else logits
        logits = logits if thresholding == "beside" else divided

    def score(is_counted: Array) -> Metrics:
        if logits is None:  # no label has trained the network: a score would be what its random start happens to give
            return undefined(np.asarray(labels), np.asarray(is_counted), len(names))
        return jax.device_get(evaluate(logits, labels, is_counted, positive_class=experiment.minority))

    rows = list(split_rows(name, score(is_counted), names))
    if thresholding == "beside":
        of_divided = (jnp.nan, jnp.nan) if divided is None else accuracies(divided, labels, is_counted)
        for metric, value in zip(("balanced_accuracy", "accuracy"), jax.device_get(of_divided), strict=True):
            rows.append(MetricRow(name, "", f"thresholded_{metric}", plain_value(value)))
    for group, is_member in experiment.subgroups.get(name, {}).items():
        rows += subgroup_rows(f"{name}:{group}", score(is_counted & is_member), names)
    return rows


def _fit_sets(experiment: Experiment, labels: Array, max_labeled: int) -> tuple[Array, EvaluationSet]:
    """Return the labels that train, and the set that validates: a fixed one, or some of the labels bought so far."""
    if experiment.validation is not None:
        return labels, experiment.validation
    fraction, num_classes = experiment.config.data.split.validation_fraction, len(experiment.class_names)
    known = np.asarray(labels)
    held = hold_out(known, experiment.pool_groups, num_classes, fraction, experiment.config.seed)
    training = known.copy()
    training[held] = UNLABELED
    # Padded to the most that any round can hold out: shapes never change.
    rows = np.zeros(max_held_out(max_labeled, experiment.pool_groups, num_classes, fraction), np.int32)
    rows[: len(held)] = held
    is_counted = jnp.asarray(np.arange(len(rows)) < len(held))
    return jnp.asarray(training), EvaluationSet(take_images(experiment.pool_images, rows), labels[rows], is_counted)
