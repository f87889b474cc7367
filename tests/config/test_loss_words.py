"""A word stands for a loss's or an optimizer's table, in the study and in an arm; anything else is refused."""

import pytest
from config_documents import document_with

from jaxal.config.losses import LOSS_WORDS, BCEConfig, FocalConfig, LDAMConfig
from jaxal.config.reading import config_text, load_study, parse_study
from jaxal.config.training import OPTIMIZER_WORDS, SGDConfig
from jaxal.errors import ConfigError


@pytest.mark.parametrize("word", LOSS_WORDS)
def test_a_word_is_its_table_in_a_study_and_in_an_arm(word):
    for place in ("training.loss", "arms.0.training.loss"):
        one = parse_study(document_with((place, word)))
        assert one == parse_study(document_with((place, {"kind": word})))
        arm = one.arms[0].training or one.training
        assert arm.loss.__struct_config__.tag == word


def test_an_arm_may_have_a_loss_of_its_own():
    study = parse_study(document_with(("arms.0.training", {"loss": "ldam"})))
    assert study.training.loss == BCEConfig()
    assert study.arms[0].training.loss == LDAMConfig()
    assert study.arms[0].training.num_epochs == study.training.num_epochs


def test_the_command_line_reaches_into_a_loss_that_is_a_word(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(config_text(parse_study(document_with(("training.loss", "focal")))))
    assert load_study(path, [("training.loss", "ldam")]).training.loss == LDAMConfig()
    overrides = [("training.loss", "focal"), ("training.loss.gamma", "0.5")]
    assert load_study(path, overrides).training.loss == FocalConfig(gamma=0.5)


@pytest.mark.parametrize("place", ["training.loss", "arms.0.training.loss"])
def test_an_unknown_word_is_refused_with_the_nearest(place):
    with pytest.raises(ConfigError) as caught:
        parse_study(document_with((place, "focall")), origin="some.toml")
    assert f"some.toml: {place}: unknown loss 'focall' (did you mean focal?); known are cross_entropy" in str(
        caught.value
    )


@pytest.mark.parametrize("word", OPTIMIZER_WORDS)
def test_an_optimizer_is_a_word_too(word):
    for place in ("training.optimizer", "arms.0.training.optimizer"):
        one = parse_study(document_with((place, word)))
        assert one == parse_study(document_with((place, {"kind": word})))
        assert (one.arms[0].training or one.training).optimizer.__struct_config__.tag == word


def test_the_command_line_reaches_into_an_optimizer_that_is_a_word(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(config_text(parse_study(document_with(("training.optimizer", "adam")))))
    overrides = [("training.optimizer", "sgd"), ("training.optimizer.momentum", "0.5")]
    assert load_study(path, overrides).training.optimizer == SGDConfig(momentum=0.5)
    with pytest.raises(ConfigError, match=r"training\.optimizer: unknown optimizer 'sgdm' \(did you mean sgd\?\)"):
        load_study(path, [("training.optimizer", "sgdm")])
