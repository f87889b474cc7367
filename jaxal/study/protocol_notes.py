"""What a reader of the results should know of how models are fitted, and of when a run stops."""

import json
from collections.abc import Iterator

import msgspec

from jaxal.config.augmentation import AugmentationConfig
from jaxal.config.study import ArmConfig, ScheduleConfig, StudyConfig
from jaxal.config.training import TrainingConfig

__all__ = ["protocol_notes"]


def protocol_notes(study: StudyConfig) -> list[str]:
    """Tell what is not as it is by default; what does not hold for all arms names those for which it does."""
    sharing: dict[str, list[str]] = {}
    for arm in study.arms:
        for note in _arm_notes(study, arm):
            sharing.setdefault(note, []).append(arm.name)
    num_arms = len(study.arms)
    told = [note if len(names) == num_arms else f"{', '.join(names)}: {note}" for note, names in sharing.items()]
    return [*_schedule_notes(study), *told]


def _schedule_notes(study: StudyConfig) -> Iterator[str]:
    schedule: ScheduleConfig = study.schedule
    if schedule.scored_rounds == "last":
        yield (
            "The model is fitted and scored after the last round only: the rounds before it have labels and no scores,"
            " and no seconds of training but those of a query model."
        )
    if schedule.plateau_rounds is None:
        return
    rounds = "1 round" if schedule.plateau_rounds == 1 else f"{schedule.plateau_rounds} rounds"
    growth = f" by more than {schedule.plateau_gain:g}" if schedule.plateau_gain else ""
    yield (
        f"A run asks no further once its best validation AUROC has not grown{growth} for {rounds}: arms and seeds may"
        " end with unequal numbers of labels."
    )
    if study.data.split.validation == "from_labeled":
        yield "Validation is held out of the labels anew in each round, so that AUROC is of other samples each time."


def _arm_notes(study: StudyConfig, arm: ArmConfig) -> Iterator[str]:
    training = asking = arm.training or study.training
    if arm.kind == "active" and (arm.query_model or study.query_model) is not None:
        asking = arm.query_training or study.query_training or training
        yield (
            "A query model is fitted and asks; the model is trained on the same labels, from its own start in every"
            " round that is scored. Seconds of training are those of both."
        )
    if asking != training:
        told = ", ".join(f"{name} {new}" for name, new in _differences(training, asking))
        yield f"The query model is trained by settings of its own: {told}."
    if asking.start == "continue" and arm.kind == "active":
        of_query_model = " of the query model" if asking != training else ""
        yield (
            f"Each fit{of_query_model} goes on from the variables that the round before kept, with a new optimizer"
            f"{_restarts(asking)}."
        )
    yield from _keep_notes(training)
    if training.early_stop:
        epochs = "1 epoch" if training.early_stop == 1 else f"{training.early_stop} epochs"
        yield f"A fit ends after {epochs} without a better validation: steps are counted as if none did."
    if training.num_parts > 1:
        yield (
            f"Batches of {training.batch_size} go through the network {training.micro_batch_size} images at a time:"
            " one step by the mean of the gradients; batch norm goes by each part."
        )
    if training.sampling == "oversample":
        yield (
            "Rows of rarer classes are repeated up to the count of the largest: epochs are longer, and their steps are"
            " estimated as if labels fell on classes as the pool does."
        )
    if training.sampling == "class_balanced":
        yield "Each place of a batch draws one of the classes found, then a row of it."
    if training.regrouping != "none":
        score = "the sum of their probabilities" if training.regrouping == "sum" else "the most probable of them"
        yield (
            "Each class is split into as many clusters as it has labels for each one of the rarest class, up to"
            f" {training.regrouping_limit}, and scored by {score}."
        )
    if training.thresholding == "beside":
        yield (
            "Beside the scores metrics.csv has thresholded_accuracy and thresholded_balanced_accuracy, of probabilities"
            " divided by the classes' shares of the labels."
        )
    elif training.thresholding:
        yield "Probabilities are divided by the classes' shares of the labels before they are scored."
    if training.classifier == "linear_svm":
        yield (
            "A linear support vector machine takes the last layer's place, each class against the rest; its decision"
            " values are the logits, and epochs and steps do not apply. Its cost is chosen by 10 folds, or as many as"
            " the rarest class found has labels: pool, svm_folds in metrics.csv. With less than two classes nothing is"
            " fitted, and scores stay empty."
        )
    if training.classifier == "cross_validated":
        yield (
            "In each round a linear support vector machine, on the embeddings that the fit begins with, or the network"
            " is taken, whichever predicts held-out labels better, by balanced accuracy over 10 folds, or as many as"
            " the rarest class found has labels; the machine where both are equal or nothing can be held out: pool,"
            " chose_svm in metrics.csv. The machine's cost is chosen by the same folds, and the network's epoch by the"
            " same validation labels. Steps are counted as if there were 10 folds and the network won."
        )
    augmentation = arm.augmentation or study.augmentation
    if not augmentation.is_none:
        if augmentation.mode == "pool_once":
            yield f"Each image of the pool is changed once by chance, for choosing too: {_changes(augmentation)}."
        else:
            yield f"Training images are changed by chance: {_changes(augmentation)}."


def _restarts(training: TrainingConfig) -> str:
    """Tell when a model that goes on begins anew all the same."""
    if not training.restart_every:
        return ""
    every = "every round" if training.restart_every == 1 else f"every {training.restart_every} rounds"
    extra = "1 epoch" if training.extra_epochs == 1 else f"{training.extra_epochs} epochs"
    return f", but begins anew {every}" + (f", for {extra} more each time" if training.extra_epochs else "")


def _keep_notes(training: TrainingConfig) -> Iterator[str]:
    """Tell which epoch is kept."""
    if training.keep == "best_accuracy":
        yield "The epoch of the best validation accuracy is kept."
    if training.keep == "last":
        yield (
            "The last epoch is kept; validation, max_accuracy in metrics.csv is the best that validation accuracy ever"
            " was, of any epoch."
        )


def _differences(training: TrainingConfig, other: TrainingConfig) -> Iterator[tuple[str, str]]:
    """List what another training has otherwise, by name, in the words of a config file."""
    for name in training.__struct_fields__:
        value = getattr(other, name)
        if value != getattr(training, name):
            yield name, value if isinstance(value, str) else json.dumps(msgspec.to_builtins(value))


def _changes(augmentation: AugmentationConfig) -> str:
    axes = {"horizontal": "flipped left to right", "vertical": "flipped upside down", "both": "flipped over both axes"}
    told = [axes[augmentation.flips]] if augmentation.flips != "none" else []
    if augmentation.rotation:
        told.append(f"turned by up to ±{augmentation.rotation:g}°")
    if augmentation.elastic:
        told.append(f"deformed by {augmentation.elastic:g} pixels (standard deviation)")
    if augmentation.blur:
        told.append(f"blurred by up to {augmentation.blur:g} pixels (standard deviation)")
    return ", ".join(told)
