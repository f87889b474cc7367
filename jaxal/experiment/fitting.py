"""The fit of a round: of the network, to classes or to pseudo-classes, or of what stands in its last layer's place."""

from collections.abc import Callable

from jaxal.evaluation.rows import MetricRow
from jaxal.experiment.keys import FIT, FOLDS, REGROUP
from jaxal.experiment.setup import Experiment
from jaxal.experiment.state import round_key
from jaxal.models.model import Variables
from jaxal.training.choosing import fit_better
from jaxal.training.regrouping import regroup
from jaxal.training.shallow import fit_linear_svm
from jaxal.training.trainer import EvaluationSet, FitResult, fit, initial_variables
from jaxal.typing import Array, Int32

__all__ = ["fit_round"]


def fit_round(
    experiment: Experiment,
    number: int,
    labels: Int32[Array, " N"],
    validation: EvaluationSet | None,
    *,
    max_labeled: int,
    num_epochs: int,
    begin: Variables | None,
    on_steps: Callable[[int], None],
) -> tuple[FitResult, list[MetricRow]]:
    """Fit as the config says; return what was fitted, and what is to be told of how beside the scores.

    Args:
        experiment: what runs.
        number: of the round.
        labels: of the pool that train, negative elsewhere.
        validation: chooses the epoch; None where the last one is kept, and no score is asked for.
        max_labeled: the largest labeled set of the run.
        num_epochs: of this fit.
        begin: variables to begin with; where absent, those of the round's key.
        on_steps: called as each epoch ends, with the optimization steps it took.
    """
    if experiment.config.training.classifier != "network":
        return _fit_shallow(experiment, number, labels, validation, max_labeled=max_labeled, on_steps=on_steps)
    model, config = experiment.model, experiment.config.training
    key, targets = round_key(experiment, number, FIT), None
    if config.regrouping != "none":
        begin, targets = regroup(
            model,
            initial_variables(model, key),
            round_key(experiment, number, REGROUP),
            experiment.pool_images,
            labels,
            experiment.sample_ids,
            max_labeled=max_labeled,
            limit=config.regrouping_limit,
            batch_size=config.inference_batch_size,
        )
    fitted = fit(
        model,
        config,
        key,
        experiment.pool_images,
        labels,
        validation,
        positive_class=experiment.minority,
        max_labeled=max_labeled,
        num_epochs=num_epochs,
        begin=begin,
        targets=targets,
        on_steps=on_steps,
    )
    return fitted, []


def _fit_shallow(
    experiment: Experiment,
    number: int,
    labels: Array,
    validation: EvaluationSet | None,
    *,
    max_labeled: int,
    on_steps: Callable[[int], None],
) -> tuple[FitResult, list[MetricRow]]:
    """Fit a support vector machine in place of the last layer, or the better of that and the network; tell how."""
    model, config, images = experiment.model, experiment.config.training, experiment.pool_images
    key, fold_key = round_key(experiment, number, FIT), round_key(experiment, number, FOLDS)
    if config.classifier == "linear_svm":
        begin = initial_variables(model, key)
        fitted, svm = fit_linear_svm(model, begin, fold_key, images, labels, config.inference_batch_size)
        told = []
        on_steps(1)  # as the plan counts it
    else:
        fitted, choice, svm = fit_better(
            model,
            config,
            key,
            fold_key,
            images,
            labels,
            validation,
            positive_class=experiment.minority,
            max_labeled=max_labeled,
            on_steps=on_steps,
        )
        told = [
            ("choice_folds", choice.num_folds),
            ("svm_accuracy", choice.svm_accuracy),
            ("network_accuracy", choice.network_accuracy),
            ("chose_svm", int(choice.is_svm)),
        ]
    told = [("svm_cost", svm.penalty), ("svm_folds", svm.num_folds), *told]
    return fitted, [MetricRow("pool", "", name, value) for name, value in told]
