"""What a study is going to do, counted before it begins."""

import itertools
from typing import NamedTuple

import numpy as np

from jaxal.config.reading import experiment_config
from jaxal.config.study import ArmConfig, StudyConfig
from jaxal.data.dataset import Dataset
from jaxal.experiment import make_model, plan_labels
from jaxal.training.batches import steps_per_epoch

__all__ = ["ArmPlan", "StudyPlan", "plan_study"]


class ArmPlan(NamedTuple):
    """What one arm does with each seed."""

    name: str
    num_labeled: tuple[int, ...]  # labels that train the model, round by round from 0
    steps: tuple[int, ...]  # optimization steps of each epoch of those fits
    num_epochs: int


class StudyPlan(NamedTuple):
    """What a study does; the sizes are those of the first seed, and the same for all where classes are split evenly."""

    pool_counts: dict[str, int]
    validation_counts: dict[str, int]
    test_counts: dict[str, int]
    arms: tuple[ArmPlan, ...]
    notes: tuple[str, ...]


def plan_study(study: StudyConfig, dataset: Dataset) -> StudyPlan:
    """Count what each arm will train on and ask for, and note what a reader of the results should know."""
    counts = {
        name: dict(zip(dataset.class_names, _counts(getattr(dataset, name).labels, dataset), strict=True))
        for name in ("pool", "validation", "test")
    }
    arms = tuple(_plan_arm(study, arm, dataset) for arm in study.arms)
    return StudyPlan(counts["pool"], counts["validation"], counts["test"], arms, tuple(_notes(study, dataset, arms)))


def _counts(labels: np.ndarray, dataset: Dataset) -> list[int]:
    return [int((labels == index).sum()) for index in range(len(dataset.class_names))]


def _plan_arm(study: StudyConfig, arm: ArmConfig, dataset: Dataset) -> ArmPlan:
    config = experiment_config(study, arm, study.seeds[0])
    make_model(config, dataset)  # so that what cannot be built is refused before anything is trained
    known, query_sizes = plan_labels(config, dataset)
    num_labeled = tuple(itertools.accumulate([int(np.sum(known >= 0)), *query_sizes]))
    steps = tuple(steps_per_epoch(size, config.training.batch_size) for size in num_labeled)
    return ArmPlan(arm.name, num_labeled, steps, config.training.num_epochs)


def _notes(study: StudyConfig, dataset: Dataset, arms: tuple[ArmPlan, ...]) -> list[str]:
    validation = len(dataset.validation.labels)
    notes = [f"{validation} validation labels choose the epoch that is kept; they are outside the label budget."]
    if study.schedule.initial_fraction is not None:
        notes.append("The initial labels are drawn class by class, which uses labels that nobody has bought yet.")
    minority = dataset.class_names[dataset.minority]
    for part in ("pool", "validation", "test"):
        found = int((getattr(dataset, part).labels == dataset.minority).sum())
        if found == 0:
            notes.append(f"The {part} part holds no sample of the minority class {minority!r}.")
    num_pool = len(dataset.pool.labels)
    for arm in arms:
        for number, (before, after) in enumerate(itertools.pairwise(arm.num_labeled), start=1):
            if after - before < (study.schedule.query_size or 1):
                reason = "the pool is used up" if after == num_pool else "so much is labeled already"
                notes.append(f"Arm {arm.name}, from round {number} on, buys fewer labels or none: {reason}.")
                break
    return notes
