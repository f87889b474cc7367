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
    if training.classifier == "linear_svm":
        yield (
            "The last layer is a linear support vector machine on the embeddings, each class against the rest, C by"
            " cross-validation on the labels; its decision values are the logits. With less than two labeled classes"
            " nothing is fitted, and scores stay empty. The journal has C and folds of each round."
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
    if training.thresholding:
        yield "Models are scored by their probabilities divided by the classes' shares of the labels that trained them."
    augmentation = arm.augmentation or study.augmentation
    if not augmentation.is_none:
        yield f"Training images are changed by chance: {_changes(augmentation)}."


def _changes(augmentation: AugmentationConfig) -> str:
    axes = {"horizontal": "flipped left to right", "vertical": "flipped upside down", "both": "flipped over both axes"}
    told = [axes[augmentation.flips]] if augmentation.flips != "none" else []
    if augmentation.rotation:
        told.append(f"turned by up to ±{augmentation.rotation:g}°")
    return ", ".join(told)
