"""From a document to a checked config, and back to its canonical text: the one validation path."""

import copy
import hashlib
import itertools
import json
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from jaxal.config.data import DataConfig, SourceConfig
from jaxal.config.document import (
    complete_models,
    expand_arms,
    expand_class_names,
    expand_words,
    load_document,
)
from jaxal.config.keys import check_keys
from jaxal.config.models import ModelConfig, OrganCNNConfig
from jaxal.config.strategies import RandomConfig
from jaxal.config.strategy_words import source_rules, strategy_contradictions
from jaxal.config.study import ArmConfig, ExperimentConfig, ScheduleConfig, StudyConfig
from jaxal.config.table_rules import parse_tables
from jaxal.config.training import TrainingConfig
from jaxal.config.training_rules import training_contradictions
from jaxal.config.variation import vary_document
from jaxal.config.words import word_places, wrong_word
from jaxal.errors import ConfigError

__all__ = [
    "RESERVED_NAMES",
    "arm_names",
    "config_digest",
    "config_text",
    "experiment_config",
    "load_study",
    "parse_study",
    "recheck_study",
]

# A run folder keeps its own files beside the arms' folders, and that of a family beside its members'.
RESERVED_NAMES = frozenset(
    {"config.toml", "environment.json", "figures", "metrics.csv", "report.html", "results.csv", "tables.csv"}
)


def load_study(path: str | Path, overrides: Iterable[tuple[str, str]] = ()) -> StudyConfig:
    """Read a study from a TOML file, with values set over it by dotted path, as `load_document` has it.

    Tables laid beside a paper's are checked and left out: `load_family` has them.

    Raises:
        ConfigError: unreadable file, unknown keys (with the nearest known), wrong types or ranges, or settings that
            contradict each other; nothing is guessed. Or the file is a family of several studies.
    """
    document = load_document(path, overrides)
    members = vary_document(document, str(path))
    names = [name for name, _ in members]
    if names != [""]:
        raise ConfigError(
            f"{path}: a family of {len(names)} {'study' if len(names) == 1 else 'studies'} ({', '.join(names)}), not a"
            " study; `jaxal run` runs it"
        )
    study = parse_study(members[0][1], origin=str(path))
    parse_tables(document, {"": arm_names(study)}, str(path))
    return study


def arm_names(study: StudyConfig) -> tuple[str, ...]:
    """Return the names of a study's arms, in order."""
    return tuple(arm.name for arm in study.arms)


def parse_study(document: dict[str, Any], origin: str = "config") -> StudyConfig:
    """Convert a document once, strictly, and check what no single field can know."""
    document = copy.deepcopy(document)
    expand_words(document)
    expand_class_names(document)
    expand_arms(document)
    complete_models(document)
    _check_source(document, origin)
    _check_words(document, origin)
    check_keys(document, StudyConfig, origin)
    try:
        study = msgspec.convert(document, StudyConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{origin}: {error}") from error
    problems = list(_contradictions(study))
    if problems:
        raise ConfigError(f"{origin}: " + "; ".join(problems))
    return study


def _check_source(document: dict[str, Any], origin: str) -> None:
    data = document.get("data")
    source = data.get("source") if isinstance(data, dict) else None
    if isinstance(source, str):
        kinds = sorted(str(each.__struct_config__.tag) for each in typing.get_args(SourceConfig))
        raise ConfigError(
            f'{origin}: data.source = {source!r}: the only source given as text is "tfds:NAME"; any other is a table'
            f" with a kind: {', '.join(kinds)}"
        )


def _check_words(document: dict[str, Any], origin: str) -> None:
    """Refuse models, losses and optimizers that are words, but none that is known."""
    problems = [
        f"{place.path}: {wrong_word(place.what, place.node[place.key])}"
        for place in word_places(document)
        if isinstance(place.node[place.key], str)
    ]
    if problems:
        raise ConfigError(f"{origin}: " + "; ".join(problems))


def recheck_study(study: StudyConfig) -> StudyConfig:
    """Put a study built in Python through the same checks, which constructors do not make."""
    try:
        document = plain_form(study)
    except (TypeError, msgspec.MsgspecError) as error:
        raise ConfigError(f"config: {error}") from error
    return parse_study(document)


def _contradictions(study: StudyConfig) -> Iterator[str]:
    names = [arm.name for arm in study.arms]
    if len({name.lower() for name in names}) < len(names):
        repeated = sorted({name for name in names if [each.lower() for each in names].count(name.lower()) > 1})
        yield f"arms: names must differ, also where upper and lower case do not; repeated: {', '.join(repeated)}"
    if len(set(study.seeds)) < len(study.seeds):
        yield f"seeds: must differ, got {list(study.seeds)}"
    yield from _schedule_contradictions(study.schedule)
    yield from _data_contradictions(study.data)
    models = [model for arm in study.arms for model in _models_of(study, arm)]
    if study.data.embeddings and not any(getattr(model, "trunk", "") == "frozen" for model in models):
        yield 'data.embeddings: nothing would read them, no model has trunk = "frozen"; set that, or remove them'
    yield from _model_contradictions(study.model, "model")
    if study.query_model is not None:
        yield from _model_contradictions(study.query_model, "query_model")
    elif study.query_training is not None and not any(arm.query_model is not None for arm in study.arms):
        yield "query_training: no arm has a query model to train by it; set query_model, or remove it"
    yield from _source_contradictions(study)
    for number, arm in enumerate(study.arms):
        yield from _arm_contradictions(study, arm, f"arms.{number} ({arm.name})")


def _schedule_contradictions(schedule: ScheduleConfig) -> Iterator[str]:
    if (schedule.initial_fraction is None) == (schedule.initial_size is None):
        yield "schedule: give one of initial_fraction and initial_size"
    by_size = schedule.query_size is not None and schedule.num_rounds is not None
    any_size = schedule.query_size is not None or schedule.num_rounds is not None
    if (schedule.labeled_fractions is None) != by_size or (any_size and not by_size):
        yield "schedule: give either query_size and num_rounds, or labeled_fractions"
    fractions = schedule.labeled_fractions or ()
    if any(later <= earlier for earlier, later in itertools.pairwise(fractions)):
        yield f"schedule.labeled_fractions: must grow, got {list(fractions)}"
    if schedule.plateau_gain and schedule.plateau_rounds is None:
        yield "schedule: plateau_gain needs plateau_rounds, the rounds to wait for it"
    if schedule.scored_rounds == "last" and schedule.plateau_rounds is not None:
        yield (
            'schedule: plateau_rounds needs the score of every round; set scored_rounds = "all", or remove'
            " plateau_rounds"
        )


def _data_contradictions(data: DataConfig) -> Iterator[str]:
    if data.split.validation_fraction + data.split.test_fraction >= 1:
        yield "data.split: validation_fraction and test_fraction leave nothing for the pool"


def _model_contradictions(model: ModelConfig, where: str) -> Iterator[str]:
    if not isinstance(model, OrganCNNConfig) and model.weights and model.init == "random":
        yield f'{where}: weights are read where init = "imagenet"; set that, or remove weights'


def _source_contradictions(study: StudyConfig) -> Iterator[str]:
    source = study.source_model
    for number, arm in enumerate(study.arms):
        if source is None and "must" in source_rules(arm.strategy):
            yield (
                f'arms.{number} ({arm.name}): logits_of = "source" asks by a source model, and there is none: set'
                ' source_model, such as "efficientnet_lite0"'
            )
    if source is None:
        return
    if isinstance(source, OrganCNNConfig) or source.init != "imagenet":
        yield (
            "source_model: it is asked by the classes that it was trained for: name an EfficientNet or a ResNet with"
            ' init = "imagenet"'
        )
    asking = [arm for arm in study.arms if arm.kind == "active"]  # a family's member may train on all labels alone
    if asking and not any(True for arm in asking for _ in source_rules(arm.strategy)):
        yield (
            'source_model: nothing would ask by it: give an arm a strategy diversified_…, or logits_of = "source" in'
            " its strategy; or remove it"
        )


def _arm_contradictions(study: StudyConfig, arm: ArmConfig, where: str) -> Iterator[str]:
    if arm.name.lower() in RESERVED_NAMES:
        yield f"{where}: the name is taken by the run folder itself"
    if arm.kind == "active" and arm.strategy is None:
        yield f"{where}: strategy is missing"
    if arm.kind == "full" and arm.strategy is not None:
        yield f"{where}: an arm of kind full asks nothing; remove its strategy"
    if arm.kind == "full" and arm.query_model is not None:
        yield f"{where}: an arm of kind full asks nothing; remove its query_model"
    if arm.query_training is not None and _query_model_of(study, arm) is None:
        yield f"{where}: query_training trains a query model, and it has none; set query_model, or remove it"
    if study.schedule.scored_rounds == "last" and not _chooses_without_model(study, arm):
        yield (
            f'{where}: schedule.scored_rounds = "last" fits its model after the last round only, but it chooses by that'
            ' model in every round; give it a query_model, or set scored_rounds = "all"'
        )
    yield from strategy_contradictions(arm.strategy, f"{where}.strategy")
    if arm.model is not None:
        yield from _model_contradictions(arm.model, f"{where}.model")
    if arm.query_model is not None:
        yield from _model_contradictions(arm.query_model, f"{where}.query_model")
    augmentation = arm.augmentation or study.augmentation
    # What holds of both models is told once.
    yield from dict.fromkeys(
        problem
        for model, training in zip(_models_of(study, arm), _trainings_of(study, arm), strict=False)
        for problem in training_contradictions(training, model, augmentation, arm.strategy, where)
    )


def _models_of(study: StudyConfig, arm: ArmConfig) -> list[ModelConfig]:
    """Return the models that an arm fits: the one that is scored, and the one that asks where that is another."""
    query_model = _query_model_of(study, arm)
    return [arm.model or study.model, *([] if query_model is None else [query_model])]


def _query_model_of(study: StudyConfig, arm: ArmConfig) -> ModelConfig | None:
    return None if arm.strategy is None else arm.query_model or study.query_model


def _trainings_of(study: StudyConfig, arm: ArmConfig) -> tuple[TrainingConfig, TrainingConfig]:
    """Return how the model that is scored is trained, and how a query model would be."""
    training = arm.training or study.training
    return training, arm.query_training or study.query_training or training


def _chooses_without_model(study: StudyConfig, arm: ArmConfig) -> bool:
    """Tell whether an arm's scored model has no part in what is asked."""
    return arm.kind == "full" or isinstance(arm.strategy, RandomConfig) or _query_model_of(study, arm) is not None


def plain_form(study: StudyConfig) -> dict[str, Any]:
    """Return the study, every default written out, as the nested dict that its own TOML text reads back as.

    Defaults are written because an arm's table lies over the study's: a default left out there would read back as the
    study's value. Fields that are None are left out, since TOML has no null.
    """
    return _without_nulls(msgspec.to_builtins(study))


def _without_nulls(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_nulls(value) for key, value in node.items() if value is not None}
    return [_without_nulls(item) for item in node] if isinstance(node, list | tuple) else node


def config_text(study: StudyConfig) -> str:
    """Write the resolved study as TOML that reads back to the same study."""
    return tomli_w.dumps(plain_form(study))


def config_digest(config: msgspec.Struct) -> str:
    """Identify a config on disk: SHA-256 of its canonical JSON (sorted keys, no spaces)."""
    plain = msgspec.json.decode(msgspec.json.encode(config))
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def experiment_config(study: StudyConfig, arm: ArmConfig, seed: int) -> ExperimentConfig:
    """Resolve one arm with one seed."""
    query_model = _query_model_of(study, arm)
    reveal_every = arm.reveal_every or study.schedule.reveal_every
    return ExperimentConfig(
        data=study.data,
        schedule=msgspec.structs.replace(study.schedule, reveal_every=reveal_every),
        model=arm.model or study.model,
        training=arm.training or study.training,
        augmentation=arm.augmentation or study.augmentation,
        mc_dropout=study.mc_dropout,
        strategy=arm.strategy,
        seed=seed,
        query_model=query_model,
        query_training=None if query_model is None else arm.query_training or study.query_training,
        source_model=study.source_model if any(True for _ in source_rules(arm.strategy)) else None,
    )
