"""Settings of source models, and of what they cannot go with."""

import pytest
from config_documents import document_with

from jaxal.config.models import EfficientNetConfig, ResNetConfig
from jaxal.config.reading import config_text, experiment_config, load_study, parse_study
from jaxal.errors import ConfigError

RESNET = {"kind": "resnet", "depth": 18}
DIVERSIFIED = ("arms.0.strategy", "diversified_margin")


def refusal(*changes) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_study(document_with(*changes))
    return str(caught.value)


def test_a_word_names_a_source_model_with_its_pretrained_weights():
    study = parse_study(document_with(("source_model", "resnet34"), DIVERSIFIED))
    assert study.source_model == ResNetConfig(depth=34, init="imagenet")
    assert parse_study(document_with(("source_model", RESNET), DIVERSIFIED)).source_model.init == "imagenet"


def test_the_command_line_reaches_into_a_source_model_and_its_text_reads_back(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(config_text(parse_study(document_with(("source_model", "resnet34"), DIVERSIFIED))))
    assert load_study(path).source_model == ResNetConfig(depth=34, init="imagenet")
    overrides = [("source_model", "efficientnet_lite0"), ("source_model.weights", "mine.pth")]
    expected = EfficientNetConfig(variant="lite0", init="imagenet", weights="mine.pth")
    assert load_study(path, overrides).source_model == expected


def test_only_arms_that_ask_by_the_source_model_have_one():
    stages = [{"strategy": {"kind": "entropy", "logits_of": "source"}, "share": 1.0}]
    deep = {"kind": "balanced", "base": {"kind": "budget_split", "stages": stages}}
    study = parse_study(document_with(("source_model", "resnet18"), ("arms.0.strategy", deep)))
    found = [experiment_config(study, arm, 0).source_model for arm in study.arms]
    assert found == [study.source_model, None, None, None]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            [("source_model", "resnet19"), DIVERSIFIED],
            "source_model: unknown model 'resnet19' (did you mean resnet18?)",
        ),
        ([("source_model", "organ_cnn"), DIVERSIFIED], "source_model: it is asked by the classes that it was trained"),
        ([("source_model", RESNET | {"init": "random"}), DIVERSIFIED], "name an EfficientNet or a ResNet with init ="),
        ([("source_model", RESNET | {"dept": 18}), DIVERSIFIED], "unknown key source_model.dept (did you mean depth?)"),
        ([("source_model", "resnet18")], "source_model: nothing would ask by it: give an arm a strategy diversified_"),
        (
            [("arms.0.strategy", {"kind": "entropy", "logits_of": "source"})],
            'arms.0 (random): logits_of = "source" asks by a source model, and there is none: set source_model',
        ),
    ],
)
def test_source_models_that_cannot_be_asked_are_refused(changes, expected):
    assert expected in refusal(*changes)


def test_a_study_that_asks_nothing_may_have_a_source_model():
    full = [{"name": "full", "kind": "full"}]
    study = parse_study(document_with(("source_model", "resnet18"), ("arms", full)))
    assert experiment_config(study, study.arms[0], 0).source_model is None
