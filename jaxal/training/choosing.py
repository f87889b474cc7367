"""A support vector machine or a trained network, whichever predicts held-out labels better.

References:
    Aggarwal, Popescu, Hudelot, WACV 2020: a linear SVM on frozen features or fine-tuning, by 10-fold cross-validation.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxal import processes
from jaxal.config.training import TrainingConfig
from jaxal.data.loading import Images
from jaxal.models.model import Model
from jaxal.pool import UNLABELED
from jaxal.training.batches import steps_per_epoch
from jaxal.training.folds import MAX_FOLDS, balanced_accuracy, fold_seed, stratified_folds
from jaxal.training.inference import apply_images, rows_through
from jaxal.training.sampling import epoch_size
from jaxal.training.shallow import SVMChoice, fit_linear_svm
from jaxal.training.trainer import EvaluationSet, FitResult, fit, initial_variables
from jaxal.typing import Array, Int32, PRNGKey, Shaped

__all__ = ["NUM_FITS", "ClassifierChoice", "fit_better"]

OnSteps = Callable[[int], None]

# What progress counts a choice as, in fits of the network to all labels: the most folds that there are, and the last.
NUM_FITS = MAX_FOLDS + 1


class ClassifierChoice(NamedTuple):
    """What was chosen, and by what."""

    num_folds: int  # 0 where there are none, and the machine is taken
    svm_accuracy: float | None  # balanced, over the rows held out of each fold
    network_accuracy: float | None
    is_svm: bool


def fit_better(
    model: Model,
    config: TrainingConfig,
    key: PRNGKey,
    fold_key: PRNGKey,
    images: Shaped[Array, "N ..."] | Images,
    labels: Int32[Array, " N"],
    validation: EvaluationSet | None,
    *,
    positive_class: int,
    max_labeled: int,
    on_steps: OnSteps = lambda num_steps: None,
) -> tuple[FitResult, ClassifierChoice, SVMChoice]:
    """Fit a linear support vector machine to the embeddings that the fit begins with, or the network, the better one.

    Both predict each labeled row from the other folds of `stratified_folds`, the same for both, and the larger
    balanced accuracy over all rows wins, ties to the machine; the winner is fitted to all labels. Two things make the
    comparison less than clean, one for each side. The machine's C is chosen once, by these very folds, and not anew
    within each of them, which would take ten times as long: its accuracy is the best of six. The network of each fold
    is fitted just as the last one would be, so that it is the same validation set that chooses its epoch.
    With a single label of a class there is nothing to compare, and the machine is taken.

    Args:
        model, config, key, images, labels, validation, positive_class, max_labeled: as of `trainer.fit`; what is fitted
            to all labels is what that would fit with this key.
        fold_key: of the folds, as of `fit_linear_svm`, and of the fits to them.
        on_steps: told of NUM_FITS fits in all, however many folds there are and whoever wins.

    Returns:
        The fit, what was chosen, and how the machine came to be.

    Cost: up to ten fits of the network to nine tenths of the labels, beside the last one; nothing is compiled for a
    fold that is not for a round.
    """
    batch_size, known = config.inference_batch_size, np.asarray(labels)
    rows = np.flatnonzero(known >= 0)
    fit_steps, begin = _num_steps(config, known, model.spec.num_classes), initial_variables(model, key)

    def fit_to(shown: Array, fit_key: PRNGKey, told: OnSteps) -> FitResult:
        return fit(
            model,
            config,
            fit_key,
            images,
            shown,
            validation,
            positive_class=positive_class,
            max_labeled=max_labeled,
            begin=begin,
            on_steps=told,
        )

    fitted, svm = fit_linear_svm(model, begin, fold_key, images, labels, batch_size)
    if svm.accuracy is None:
        on_steps(NUM_FITS * fit_steps)
        return fitted, ClassifierChoice(0, None, None, True), svm
    fold_of, num_folds = stratified_folds(known[rows], fold_seed(fold_key))
    predicted, progress = np.empty_like(known[rows]), _spread(on_steps, MAX_FOLDS * fit_steps, num_folds)
    for fold in range(num_folds):
        is_held = fold_of == fold
        shown = known.copy()
        shown[rows[is_held]] = UNLABELED
        told = progress(fold, _num_steps(config, shown, model.spec.num_classes))
        variables = fit_to(jnp.asarray(shown), jax.random.fold_in(fold_key, fold), told).variables
        logits = rows_through(apply_images, model, variables, images, rows[is_held], batch_size)
        predicted[is_held] = np.argmax(logits, axis=1)
    network_accuracy = balanced_accuracy(predicted, known[rows])
    is_svm = svm.accuracy >= network_accuracy
    is_svm = processes.from_first("the better classifier", lambda: is_svm)
    choice = ClassifierChoice(num_folds, svm.accuracy, network_accuracy, is_svm)
    if choice.is_svm:
        on_steps(fit_steps)
        return fitted, choice, svm
    return fit_to(labels, key, on_steps), choice, svm


def _num_steps(config: TrainingConfig, labels: np.ndarray, num_classes: int) -> int:
    """Count the optimization steps of a fit, as if it did not stop early."""
    counts = np.bincount(labels[labels >= 0], minlength=num_classes)
    return config.num_epochs * steps_per_epoch(epoch_size(config.sampling, counts), config.batch_size)


def _spread(on_steps: OnSteps, total: int, num_parts: int) -> Callable[[int, int], OnSteps]:
    """Tell of so many steps in all, however many each of some equal parts really takes.

    Returns:
        Gives, for a part and the number of its steps, what is to be told of them.
    """
    told = 0

    def of_part(part: int, num_steps: int) -> OnSteps:
        done = 0

        def tell(steps: int) -> None:
            nonlocal told, done
            done += steps
            reached = total * (part * num_steps + done) // (num_parts * num_steps)
            on_steps(reached - told)
            told = reached

        return tell

    return of_part
