"""The fit of a round: of the network, to classes or to pseudo-classes, or of what stands in its last layer's place."""

from collections.abc import Callable

from jaxal.evaluation.rows import MetricRow
from jaxal.experiment.keys import FIT, REGROUP
from jaxal.experiment.setup import Experiment
from jaxal.experiment.state import round_key
from jaxal.models.model import Variables
from jaxal.training.regrouping import regroup
from jaxal.training.shallow import fit_linear_svm
from jaxal.training.trainer import EvaluationSet, FitResult, fit, initial_variables
from jaxal.typing import Array, Int32

__all__ = ["fit_round"]


def fit_round(
    experiment: Experiment,
    number: int,
    labels: Int32[Array, " N"],
    validation: EvaluationSet,
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
        validation: chooses the epoch.
        max_labeled: the largest labeled set of the run.
        num_epochs: of this fit.
        begin: variables to begin with; where absent, those of the round's key.
        on_steps: called as each epoch ends, with the optimization steps it took.
    """
    if experiment.config.training.classifier == "linear_svm":
        fitted = _fit_shallow(experiment, number, labels)
        on_steps(1)  # as the plan counts it
        return fitted
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


def _fit_shallow(experiment: Experiment, number: int, labels: Array) -> tuple[FitResult, list[MetricRow]]:
    """Fit a support vector machine in place of the last layer, and tell how its cost was chosen."""
    key = round_key(experiment, number, FIT)
    fitted, choice = fit_linear_svm(experiment.model, key, experiment.pool_images, labels)
    told = [("svm_cost", choice.penalty), ("svm_folds", choice.num_folds)]
    return fitted, [MetricRow("pool", "", name, value) for name, value in told]
