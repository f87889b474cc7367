"""What a reader of the results should know of how models are fitted, and of when a run stops."""

from collections.abc import Iterator

from jaxal.config.augmentation import AugmentationConfig
from jaxal.config.study import ArmConfig, ScheduleConfig, StudyConfig

__all__ = ["protocol_notes"]


def protocol_notes(study: StudyConfig) -> list[str]:
    """Tell what is not as it is by default; what does not hold for all arms names those for which it does."""
    sharing: dict[str, list[str]] = {}
    for arm in study.arms:
        for note in _arm_notes(study, arm):
            sharing.setdefault(note, []).append(arm.name)
    num_arms = len(study.arms)
    told = [note if len(names) == num_arms else f"{', '.join(names)}: {note}" for note, names in sharing.items()]
    return [*_plateau_notes(study), *told]


def _plateau_notes(study: StudyConfig) -> Iterator[str]:
    schedule: ScheduleConfig = study.schedule
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
    training = arm.training or study.training
    if arm.kind == "active" and (arm.query_model or study.query_model) is not None:
        yield (
            "A query model is fitted and asks; the model is trained on the same labels, from its own start in every"
            " round, and scored. Seconds of training are those of both."
        )
    if training.start == "continue" and arm.kind == "active":
        yield "Each fit goes on from the variables that the round before kept, with a new optimizer."
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
    if training.thresholding:
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
