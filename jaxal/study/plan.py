"""What a study is going to do, counted before it begins."""

import itertools
from typing import NamedTuple

import msgspec
import numpy as np

from jaxal.config.losses import BCEConfig
from jaxal.config.models import ModelConfig
from jaxal.config.reading import experiment_config
from jaxal.config.strategies import (
    BudgetSplitConfig,
    CBDALConfig,
    DiversifiedEntropyConfig,
    DiversifiedLeastConfidenceConfig,
    DiversifiedMarginConfig,
)
from jaxal.config.strategy_words import source_rules
from jaxal.config.study import ArmConfig, ExperimentConfig, StudyConfig
from jaxal.config.training import TrainingConfig
from jaxal.data.dataset import Dataset, Part
from jaxal.data.embedding_manifest import digest_of
from jaxal.data.problems import counted
from jaxal.errors import ConfigError
from jaxal.experiment import make_model, plan_labels
from jaxal.experiment.embeddings import Start, read_given_embeddings
from jaxal.experiment.source import open_source_model
from jaxal.models.facts import ModelFacts, describe_model, is_frozen, model_facts
from jaxal.models.pretrained import model_name
from jaxal.models.weights import LoadReport
from jaxal.study.protocol_notes import protocol_notes
from jaxal.training.batches import steps_per_epoch
from jaxal.training.choosing import NUM_FITS
from jaxal.training.parallel import fit_sharding
from jaxal.training.restarts import epochs_of_round
from jaxal.training.sampling import epoch_size

__all__ = ["ArmPlan", "SourceFacts", "StudyPlan", "plan_study"]

DIVERSIFIED = (DiversifiedEntropyConfig, DiversifiedMarginConfig, DiversifiedLeastConfidenceConfig)


class SourceFacts(NamedTuple):
    """A source model in figures."""

    name: str
    num_classes: int  # S, its own
    weights: LoadReport


class ArmPlan(NamedTuple):
    """What one arm does with each seed."""

    name: str
    num_labeled: tuple[int, ...]  # labels that train the model, round by round from 0
    # Optimization steps of all that a round fits: a choice by cross-validation counts all the fits that it may come to,
    # a support vector machine is one.
    steps: tuple[int, ...]
    model: ModelFacts
    embeddings_sha256: str  # of those of data.embeddings; empty where it reads none
    source: SourceFacts | None = None  # the source model that it asks by
    query_model: ModelFacts | None = None  # the model that asks in place of `model`; `steps` are those of both


class StudyPlan(NamedTuple):
    """What a study does; the sizes are those of the first seed, and the same for all where classes are split evenly."""

    minority: str  # the class whose finding is counted
    pool_counts: dict[str, int]
    validation_counts: dict[str, int]  # empty where validation is held out of the labels bought
    test_counts: dict[str, int]
    external_counts: dict[str, int]  # empty where there is no external test set
    arms: tuple[ArmPlan, ...]
    notes: tuple[str, ...]


def plan_study(study: StudyConfig, dataset: Dataset) -> StudyPlan:
    """Count what each arm will train on and ask for, and note what a reader of the results should know.

    Raises:
        ConfigError: a model or a loss that does not fit the data.
        DataError: pretrained weights that are not found, or do not fit; or data.embeddings are damaged, or of other
            data, another model or other weights.
    """
    counts = [_counts(part, dataset) for part in (dataset.pool, dataset.validation, dataset.test, dataset.external)]
    arms = tuple(_plan_arm(study, arm, dataset) for arm in study.arms)
    minority = dataset.class_names[dataset.minority]
    notes = (*_weights_warnings(arms), *dataset.notes, *_notes(study, dataset, arms))
    return StudyPlan(minority, *counts, arms=arms, notes=notes)


def _counts(part: Part | None, dataset: Dataset) -> dict[str, int]:
    if part is None:
        return {}
    return {name: int((part.labels == index).sum()) for index, name in enumerate(dataset.class_names)}


def _plan_arm(study: StudyConfig, arm: ArmConfig, dataset: Dataset) -> ArmPlan:
    config = experiment_config(study, arm, study.seeds[0])
    # What cannot be built, or has no weights to start from, is refused before anything is trained.
    facts, embeddings_sha256 = _model_of(study, arm, dataset, config.model, config.training)
    query_facts = None
    query_training = config.query_training or config.training
    _check_sharing(arm, config.training, query_training)
    if config.query_model is not None:
        query_facts, query_sha256 = _model_of(study, arm, dataset, config.query_model, query_training)
        embeddings_sha256 = embeddings_sha256 or query_sha256
    if BCEConfig in (type(config.training.loss), type(query_training.loss)) and len(dataset.class_names) != 2:
        raise ConfigError(
            f"arm {arm.name}: training.loss = 'bce' is for two classes, the data has {len(dataset.class_names)}; set"
            " data.one_vs_rest, or use 'cross_entropy'"
        )
    known, query_sizes = plan_labels(config, dataset)
    num_labeled = tuple(itertools.accumulate([int(np.sum(known >= 0)), *query_sizes]))
    steps = _steps(config, dataset, num_labeled)
    source = _source_facts(config, dataset)
    return ArmPlan(arm.name, num_labeled, steps, facts, embeddings_sha256, source, query_facts)


def _check_sharing(arm: ArmConfig, *trainings: TrainingConfig) -> None:
    try:
        for training in trainings:
            fit_sharding(training)
    except ConfigError as error:
        raise ConfigError(f"arm {arm.name}: {error}") from error


def _steps(config: ExperimentConfig, dataset: Dataset, num_labeled: tuple[int, ...]) -> tuple[int, ...]:
    """Count the optimization steps of all fits of each round."""
    training_share = 1 if dataset.validation is not None else 1 - config.data.split.validation_fraction

    def steps_of(training: TrainingConfig, size: int, num_epochs: int) -> int:
        if training.classifier == "linear_svm":
            return 1
        num_fits = NUM_FITS if training.classifier == "cross_validated" else 1
        epoch = _epoch_size(training, dataset, round(size * training_share))
        return num_fits * num_epochs * steps_per_epoch(epoch, training.batch_size)

    def steps_in(number: int, size: int) -> int:
        is_scored = config.schedule.scored_rounds == "all" or number == len(num_labeled) - 1
        if config.query_model is None:
            return steps_of(config.training, size, epochs_of_round(config.training, number)) if is_scored else 0
        asking = config.query_training or config.training
        scored = steps_of(config.training, size, config.training.num_epochs) if is_scored else 0
        return scored + steps_of(asking, size, epochs_of_round(asking, number))

    return tuple(steps_in(number, size) for number, size in enumerate(num_labeled))


def _model_of(
    study: StudyConfig, arm: ArmConfig, dataset: Dataset, model: ModelConfig, training: TrainingConfig
) -> tuple[ModelFacts, str]:
    """Return the facts of a model that an arm fits, and the SHA-256 of given embeddings, empty where it reads none."""
    configs = [
        msgspec.structs.replace(experiment_config(study, arm, seed), model=model, training=training)
        for seed in study.seeds
    ]
    network = make_model(configs[0], dataset)
    facts, embeddings_sha256 = model_facts(network, model), ""
    if is_frozen(model) and study.data.embeddings:
        for config in configs:
            start = Start(config, dataset, network, facts.weights)
            embeddings_sha256 = digest_of(read_given_embeddings(start).manifest)
    return facts, embeddings_sha256


def _source_facts(config: ExperimentConfig, dataset: Dataset) -> SourceFacts | None:
    if config.source_model is None:
        return None
    source = open_source_model(config, dataset)
    return SourceFacts(model_name(config.source_model), source.model.spec.num_classes, source.weights)


def _source_notes(study: StudyConfig, arms: tuple[ArmPlan, ...]) -> list[str]:
    """Tell where the logits come from that strategies take for a source model's."""
    asking = [plan for arm, plan in zip(study.arms, arms, strict=True) if [*source_rules(arm.strategy)]]
    names, source = ", ".join(plan.name for plan in asking), asking[0].source if asking else None
    if source is None:
        return [f"No source_model is set: the model that is trained stands in for it in {names}."] if asking else []
    notes = "".join(f"; {note}" for note in source.weights.notes)
    return [
        f"Source model of {names}: {source.name} by its own {source.num_classes} classes, weights of"
        f" {source.weights.source} (SHA-256 {source.weights.sha256}){notes}. It is never trained."
    ]


def _epoch_size(training: TrainingConfig, dataset: Dataset, num_labeled: int) -> int:
    """Count the rows of an epoch; where that depends on the labels' classes, as if these were like the pool's."""
    if training.sampling != "oversample":
        return num_labeled
    counts = np.bincount(dataset.pool.labels, minlength=len(dataset.class_names))
    return epoch_size(training.sampling, np.ceil(counts * (num_labeled / counts.sum())).astype(int))


def _notes(study: StudyConfig, dataset: Dataset, arms: tuple[ArmPlan, ...]) -> list[str]:
    keeps_last = all(training.keep == "last" for training in _trainings(study))
    if dataset.validation is None:
        share = study.data.split.validation_fraction
        use = (
            "and choose nothing"
            if keeps_last
            else "to choose the epoch that is kept (the last one, while no class can spare a sample)"
        )
        notes = [
            f"{share:.0%} of the labels bought are held out in each round {use}: validation is inside the label budget,"
            " and every count of labels here includes it."
        ]
    else:
        validation = len(dataset.validation.labels)
        use = "choose nothing" if keeps_last else "choose the epoch that is kept"
        notes = [f"{validation} validation labels {use}; they are outside the label budget."]
    notes.append(f"The {len(dataset.test.labels)} test labels are outside the label budget and choose nothing.")
    if dataset.external is not None:
        notes.append(f"So are the {len(dataset.external.labels)} labels of the external test set.")
    if dataset.pool.groups is not None:
        num_groups = len(np.unique(dataset.pool.groups))
        aside = "; none of them is on another side of the split" if study.data.split.by == "group" else ""
        notes.append(f"The pool's samples belong to {counted(num_groups, 'group')}{aside}.")
        if len(study.seeds) > 1 and study.data.split.by == "group":
            notes.append(f"Sizes are those of seed {study.seeds[0]}; whole groups shift them from seed to seed.")
    if study.schedule.initial_fraction is not None:
        notes.append("The initial labels are drawn class by class, which uses labels that nobody has bought yet.")
    notes += _reveal_notes(study) + protocol_notes(study) + _model_notes(arms) + _source_notes(study, arms)
    minority = dataset.class_names[dataset.minority]
    for name in ("pool", "validation", "test", "external"):
        part = getattr(dataset, name)
        if part is not None and not np.any(part.labels == dataset.minority):
            notes.append(f"The {name} part holds no sample of the minority class {minority!r}.")
    num_pool = len(dataset.pool.labels)
    for arm in arms:
        for number, (before, after) in enumerate(itertools.pairwise(arm.num_labeled), start=1):
            if after - before < (study.schedule.query_size or 1):
                reason = "the pool is used up" if after == num_pool else "so much is labeled already"
                notes.append(f"Arm {arm.name}, from round {number} on, buys fewer labels or none: {reason}.")
                break
    return notes


def _trainings(study: StudyConfig) -> list[TrainingConfig]:
    """List how each model of each arm is trained."""
    configs = [experiment_config(study, arm, study.seeds[0]) for arm in study.arms]
    return [each for config in configs for each in (config.training, config.query_training or config.training)]


def _model_notes(arms: tuple[ArmPlan, ...]) -> list[str]:
    """Tell what each arm's model starts from, once for all arms that share it."""
    told = []
    for kind, found in (
        ("Model", [(arm.name, arm.model) for arm in arms]),
        ("Query model", [(arm.name, arm.query_model) for arm in arms if arm.query_model is not None]),
    ):
        names: dict[str, list[str]] = {}
        for name, facts in found:
            names.setdefault(describe_model(facts), []).append(name)
        told += [
            f"{kind}: {text}" if len(sharing) == len(arms) else f"{kind} of {', '.join(sharing)}: {text}"
            for text, sharing in names.items()
        ]
    return told


def _weights_warnings(arms: tuple[ArmPlan, ...]) -> list[str]:
    """Warn of each model that starts from random variables for lack of pretrained ones."""
    lacking: dict[str, list[str]] = {}
    for arm in arms:
        for facts in {arm.model, arm.query_model or arm.model}:
            if facts.lacks_weights:
                lacking.setdefault(facts.lacks_weights, []).append(arm.name)
    return [
        f"WARNING: {'every arm' if len(names) == len(arms) else ', '.join(names)} starts from RANDOM weights, not from"
        f" pretrained ones: {why}"
        for why, names in lacking.items()
    ]


def _reveal_notes(study: StudyConfig) -> list[str]:
    by_every: dict[int, list[ArmConfig]] = {}
    for arm in study.arms:
        every = arm.reveal_every or study.schedule.reveal_every
        if arm.kind == "active" and every is not None:
            by_every.setdefault(every, []).append(arm)
    notes = []
    for every, arms in by_every.items():
        labels = "1 label is" if every == 1 else f"{every} labels are"
        of = "" if len(arms) == sum(arm.kind == "active" for arm in study.arms) else f" of {_names(arms)}"
        notes.append(
            f"Of each query{of} {labels} asked at a time and revealed before the next; the model is fitted after the"
            " last."
        )
        # A base that `balanced` asks once for the whole query is not concerned.
        sharing = [arm for arm in arms if isinstance(arm.strategy, BudgetSplitConfig | CBDALConfig)]
        if sharing:
            notes.append(
                f"So it is each {every} and not the query that the stages of these arms share: {_names(sharing)}."
                " A stage whose share of so few rounds to none gets none."
            )
        in_laps = [arm for arm in arms if isinstance(arm.strategy, DIVERSIFIED)]
        if in_laps:
            notes.append(f"So laps over the predicted classes begin anew with each {every} of: {_names(in_laps)}.")
    return notes


def _names(arms: list[ArmConfig]) -> str:
    return ", ".join(arm.name for arm in arms)
