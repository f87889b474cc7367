"""A word stands for a model's table, in a file, on the command line and in an arm; anything else is refused."""

import msgspec
import pytest
from config_documents import REMOVE, document_with

from jaxal.config.models import MODEL_WORDS, EfficientNetConfig, ModelConfig, OrganCNNConfig, ResNetConfig
from jaxal.config.reading import config_text, load_study, parse_study
from jaxal.errors import ConfigError


def with_model(model, *changes):
    return document_with(("model", model), ("arms.3.model", REMOVE), *changes)


def refusal(document):
    with pytest.raises(ConfigError) as caught:
        parse_study(document, origin="some.toml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("organ_cnn", OrganCNNConfig()),
        ("efficientnet_b0", EfficientNetConfig(variant="b0")),
        ("efficientnet_lite0", EfficientNetConfig(variant="lite0")),
        ("tf_efficientnet_b7", EfficientNetConfig(variant="b7", convention="tf_efficientnet")),
        ("resnet18", ResNetConfig(depth=18)),
        ("resnet34", ResNetConfig(depth=34)),
    ],
)
def test_a_word_is_a_table(word, expected):
    study = parse_study(with_model(word))
    assert study.model == expected
    assert parse_study(with_model({**MODEL_WORDS[word]})) == study
    assert f'[model]\nkind = "{expected.__struct_config__.tag}"' in config_text(study)


def test_every_word_is_one_model():
    configs = [msgspec.convert(table, ModelConfig) for table in MODEL_WORDS.values()]
    assert len(set(configs)) == len(MODEL_WORDS) == 25


def test_the_command_line_takes_a_word_and_what_it_leaves_open(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(config_text(parse_study(with_model("organ_cnn"))))
    assert load_study(path, [("model", "resnet18")]).model == ResNetConfig(depth=18)
    values = [("model", "efficientnet_lite0"), ("model.trunk", "frozen"), ("model.init", "imagenet")]
    frozen = EfficientNetConfig(variant="lite0", trunk="frozen", init="imagenet")
    assert load_study(path, values).model == frozen
    values = [("arms.0.model", "efficientnet_lite0"), ("arms.0.model.dropout", "0.5")]
    study = load_study(path, values)
    assert study.model == OrganCNNConfig()
    assert study.arms[0].model == EfficientNetConfig(variant="lite0", dropout=0.5)
    with pytest.raises(ConfigError, match=r"--model\.trunk: model is 'resnet19', not a table"):
        load_study(path, [("model", "resnet19"), ("model.trunk", "frozen")])


def test_an_arm_s_word_lies_over_the_study_s_table_as_a_table_does():
    table = {"kind": "efficientnet", "variant": "b0", "convention": "tf_efficientnet", "trunk": "frozen"}
    study = parse_study(with_model(table, ("arms.0.model", "efficientnet_b1"), ("arms.1.model", "resnet18")))
    assert study.arms[0].model == EfficientNetConfig(variant="b1", trunk="frozen")
    assert study.arms[1].model == ResNetConfig(depth=18)


def test_an_arm_can_return_to_the_model_s_own_where_the_study_says_otherwise():
    table = {"kind": "efficientnet", "variant": "b0", "dropout": 0.5, "batch_norm_momentum": 0.5}
    own = {"dropout": "own", "batch_norm_momentum": "own"}
    study = parse_study(with_model(table, ("arms.0.model", own)))
    assert study.arms[0].model == EfficientNetConfig(variant="b0")
    assert parse_study(msgspec.to_builtins(study)) == study


def test_a_table_without_kind_is_the_default_model_s():
    assert parse_study(with_model({"width": 4})).model == OrganCNNConfig(width=4)
    assert parse_study(with_model(REMOVE, ("arms.0.model", {"width": 4}))).arms[0].model == OrganCNNConfig(width=4)
    assert "model: kind is missing; known are efficientnet, organ_cnn, resnet" in refusal(
        with_model({"trunk": "frozen"})
    )


@pytest.mark.parametrize("place", ["model", "arms.2.model"])
def test_other_words_are_refused_with_the_nearest(place):
    message = refusal(with_model("organ_cnn", (place, "efficientnet_lite")))
    assert message.startswith(f"some.toml: {place}: unknown model 'efficientnet_lite' (did you mean efficientnet_lite")
    assert "resnet34" in message
    assert f"{place}: unknown model ''; known are" in refusal(with_model("organ_cnn", (place, "")))


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("variant", "b8", "Invalid enum value 'b8'"),
        ("convention", "torch", "Invalid enum value 'torch'"),
        ("trunk", "thawed", "Invalid enum value 'thawed'"),
        ("compute", "float16", "Invalid enum value 'float16'"),
        ("stem", "mean", "Invalid enum value 'mean'"),
        ("init", "random_uniform", "Invalid enum value"),
        ("dropout", 1.0, "< 1.0"),
        ("dropout", "none", "Invalid enum value 'none'"),
        ("drop_path", -0.1, ">= 0.0"),
        ("batch_norm_momentum", 0, "> 0.0"),
        ("batch_norm_momentum", 1.5, "<= 1.0"),
        ("weights", "b0.pth", 'model: weights are read where init = "imagenet"'),
        ("weight", "b0.pth", "unknown key model.weight (did you mean weights?)"),
        ("depth", 18, "unknown key model.depth"),
    ],
)
def test_settings_out_of_range_are_refused(key, value, expected):
    assert expected in refusal(with_model({"kind": "efficientnet", "variant": "b0", key: value}))


@pytest.mark.parametrize("table", [{"kind": "efficientnet"}, {"kind": "resnet"}])
def test_which_network_must_be_said(table):
    assert "missing required field" in refusal(with_model(table))


def test_a_depth_that_is_not_there_is_refused():
    assert "Invalid enum value 50" in refusal(with_model({"kind": "resnet", "depth": 50}))
    in_arm = ("arms.1.model", {"kind": "resnet", "depth": 18, "weights": "w.pth"})
    assert "arms.1 (cb_dal).model: weights are read where" in refusal(with_model("organ_cnn", in_arm))
