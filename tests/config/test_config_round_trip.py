"""A study survives its own text, and its digest stands for it."""

import hashlib
import json
import tomllib
from pathlib import Path

import msgspec
import pytest
from config_documents import DOCUMENT, SAME_EXAMPLES, acquisitions, document_with, studies, trainings
from hypothesis import given, settings

from jaxal.config.augmentation import AugmentationConfig
from jaxal.config.losses import CrossEntropyConfig
from jaxal.config.reading import config_digest, config_text, experiment_config, load_study, parse_study, recheck_study
from jaxal.config.strategies import StrategyConfig
from jaxal.config.strategy_table import STRATEGIES
from jaxal.config.study import ExperimentConfig, StudyConfig
from jaxal.config.training import AdamConfig, AdamWConfig, TrainingConfig
from jaxal.errors import ConfigError

REPOSITORY = Path(__file__).parents[2]


def reread(study: StudyConfig) -> StudyConfig:
    return parse_study(tomllib.loads(config_text(study)))


@given(studies())
@settings(SAME_EXAMPLES, max_examples=60)
def test_a_study_reads_back_from_its_text_and_passes_its_own_check(study):
    assert reread(study) == study
    assert recheck_study(study) == study
    assert config_digest(reread(study)) == config_digest(study)
    assert hash(reread(study)) == hash(study)


def test_an_arm_that_sets_a_default_over_the_study_s_value_keeps_it():
    study = parse_study(document_with(("arms.0.training", {"num_epochs": 50, "loss": "cross_entropy"})))
    assert study.arms[0].training.num_epochs == 50
    for again in (recheck_study(study), reread(study)):
        assert again.arms[0].training.num_epochs == 50
        assert again.arms[0].training.loss == CrossEntropyConfig()
        assert again == study


def test_an_arm_that_goes_back_to_the_default_optimizer_or_width_keeps_it():
    study = parse_study(
        document_with(("arms.0.training", {"optimizer": {"kind": "adam"}}), ("arms.0.model", {"width": 16}))
    )
    assert recheck_study(study).arms[0].training.optimizer == AdamConfig()
    assert recheck_study(study).arms[0].model.width == 16
    assert reread(study) == study


def test_an_arm_overrides_augmentation_key_by_key():
    study = parse_study(
        document_with(("augmentation", {"flips": "both", "rotation": 20}), ("arms.1.augmentation.rotation", 0))
    )
    none, both, flips_only = AugmentationConfig(), study.augmentation, AugmentationConfig(flips="both")
    assert both == AugmentationConfig(flips="both", rotation=20.0) != none == parse_study(DOCUMENT).augmentation
    assert [experiment_config(study, arm, 0).augmentation for arm in study.arms] == [both, flips_only, both, both]
    assert reread(study) == study


def test_digest_does_not_hang_on_the_order_of_keys():
    def backwards(node):
        if isinstance(node, dict):
            return {key: backwards(node[key]) for key in reversed(node)}
        return [backwards(item) for item in node] if isinstance(node, list) else node

    digest = config_digest(parse_study(DOCUMENT))
    assert config_digest(parse_study(backwards(DOCUMENT))) == digest
    assert len(digest) == 64
    assert int(digest, 16) >= 0


def test_digest_is_that_of_canonical_json_and_never_moves():
    written = b'{"beta1":0.5,"beta2":0.25,"kind":"adamw","weight_decay":0.75}'
    config = AdamWConfig(weight_decay=0.75, beta2=0.25, beta1=0.5)
    assert config_digest(config) == hashlib.sha256(written).hexdigest()
    assert config_digest(config) == "2cc72f95a34b4c82119b47b800415af4e2b84a2f85eac71e9d826a37af5defab"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("training.learning_rate", 1e-3),
        ("training.batch_size", 32),
        ("training.optimizer.beta1", 0.9),
        ("arms.1.strategy.mpps", {"kind": "mpps"}),
        ("arms.1.strategy.auto_fm_share", 0.5),
        ("arms.0.kind", "active"),
        ("data.imbalance.parts", "pool_and_validation"),
    ],
)
def test_a_default_written_out_is_the_same_study_with_the_same_text_and_digest(path, value):
    # A run folder compares texts: the same study in other words must go on where it was stopped.
    written_out = parse_study(document_with((path, value)))
    assert written_out == parse_study(DOCUMENT)
    assert config_text(written_out) == config_text(parse_study(DOCUMENT))
    assert config_digest(written_out) == config_digest(parse_study(DOCUMENT))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", "other"),
        ("seeds", [1, 0]),
        ("training.learning_rate", 0.002),
        ("arms.0.strategy", "entropy"),
        ("arms.1.strategy.auto_fm.num_steps", 4),
        ("arms.2.training.batch_size", 17),
        ("data.imbalance.ratio", 21),
    ],
)
def test_every_setting_moves_the_digest(path, value):
    assert config_digest(parse_study(document_with((path, value)))) != config_digest(parse_study(DOCUMENT))


@given(trainings(), trainings())
@settings(SAME_EXAMPLES)
def test_equal_configs_and_no_others_share_hash_and_digest(one, other):
    copied = msgspec.convert(json.loads(msgspec.json.encode(one)), TrainingConfig)
    assert copied == one
    assert hash(copied) == hash(one)
    assert (config_digest(one) == config_digest(other)) == (one == other)


@given(acquisitions)
@settings(SAME_EXAMPLES)
def test_every_strategy_config_is_hashable_and_reads_back(strategy):
    plain = msgspec.json.decode(msgspec.json.encode(strategy))
    assert msgspec.convert(plain, StrategyConfig) == strategy
    assert hash(msgspec.convert(plain, StrategyConfig)) == hash(strategy)


def test_the_strategy_table_names_every_strategy_config_by_its_kind():
    assert {name: entry.config for name, entry in STRATEGIES.items()} == {
        config.__struct_config__.tag: config for config in StrategyConfig.__args__
    }


def test_experiment_config_resolves_an_arm():
    study = parse_study(DOCUMENT)
    experiment = experiment_config(study, study.arms[2], 7)
    assert isinstance(experiment, ExperimentConfig)
    assert experiment.training.batch_size == 16
    assert experiment.training.num_epochs == 30
    assert experiment.model == study.model
    assert experiment.strategy == study.arms[2].strategy
    assert experiment.seed == 7
    assert experiment_config(study, study.arms[0], 7).training == study.training
    assert experiment_config(study, study.arms[3], 7).model.width == 4
    assert experiment_config(study, study.arms[3], 7).strategy is None
    assert hash(experiment) == hash(experiment_config(parse_study(DOCUMENT), study.arms[2], 7))


@pytest.mark.parametrize("path", sorted((REPOSITORY / "configs").glob("*.toml")), ids=lambda path: path.name)
def test_the_configs_that_come_with_jaxal_are_accepted(path):
    study = load_study(str(path))
    assert study.name == path.stem
    assert reread(study) == study
    with pytest.raises(ConfigError):
        load_study(str(path), [("nothing_of_that_name", "1")])


def test_class_names_that_look_like_numbers_are_text():
    written = parse_study(document_with(("data.one_vs_rest", 8), ("data.minority_class", 8)))
    assert written == parse_study(document_with(("data.one_vs_rest", "8"), ("data.minority_class", "8")))
