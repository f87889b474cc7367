"""A config that extends another one."""

import pytest

from jaxal.config.document import read_document
from jaxal.config.models import EfficientNetConfig, ResNetConfig
from jaxal.config.reading import config_text, load_study
from jaxal.errors import ConfigError

BASE = """
name = "base"
seeds = [0, 1, 2]
[data.source]
kind = "images"
path = "photos"
[schedule]
initial_size = 10
query_size = 5
num_rounds = 2
[model]
kind = "efficientnet"
variant = "b6"
trunk = "frozen"
[training]
num_epochs = 30
[training.optimizer]
kind = "adamw"
weight_decay = 0.1
[[arms]]
name = "one"
strategy = "cb_dal"
[[arms]]
name = "two"
strategy = "random"
"""


@pytest.fixture
def put(tmp_path):
    def put(name, text):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    put("base.toml", BASE)
    return put


def test_it_is_laid_over_table_by_table_and_lists_are_replaced(put):
    path = put("over.toml", 'extends = "base.toml"\nname = "over"\nseeds = [7]\n[schedule]\nquery_size = 9\n')
    study, base = load_study(path), load_study(path.parent / "base.toml")
    assert (study.name, study.seeds) == ("over", (7,))
    assert (study.schedule.query_size, study.schedule.num_rounds, study.schedule.initial_size) == (9, 2, 10)
    assert (study.data, study.model, study.training, study.arms) == (base.data, base.model, base.training, base.arms)
    arms = put("arms.toml", 'extends = "base.toml"\n[[arms]]\nname = "mine"\nstrategy = "entropy"\n')
    assert [arm.name for arm in load_study(arms).arms] == ["mine"]


def test_a_table_of_another_kind_replaces_the_whole(put):
    text = 'extends = "base.toml"\ndata.source = {kind = "built", path = "b"}\ntraining.optimizer.kind = "adam"\n'
    study = load_study(put("over.toml", text))
    assert type(study.data.source).__name__ == "BuiltConfig"
    assert type(study.training.optimizer).__name__ == "AdamConfig"
    assert study.training.num_epochs == 30


def test_words_are_laid_over_as_the_tables_they_stand_for(put):
    same = load_study(put("same.toml", 'extends = "base.toml"\nmodel = "efficientnet_b3"\n'))
    assert same.model == EfficientNetConfig(variant="b3", trunk="frozen")
    other = load_study(put("other.toml", 'extends = "base.toml"\nmodel = "resnet18"\n'))
    assert other.model == ResNetConfig(depth=18)
    put("word.toml", 'extends = "base.toml"\nmodel = "resnet18"\ndata.source = "tfds:cifar10"\n')
    over = load_study(put("over.toml", 'extends = "word.toml"\nmodel.image_size = 64\ndata.source.max_bad = 3\n'))
    assert over.model == ResNetConfig(depth=18, image_size=64)
    assert (over.data.source.name, over.data.source.max_bad) == ("cifar10", 3)


def test_chains_are_relative_to_each_file_and_overrides_come_last(put):
    put("inner/middle.toml", 'extends = "../base.toml"\ntraining.num_epochs = 40\ntraining.batch_size = 4\n')
    path = put("over.toml", 'extends = "inner/middle.toml"\ntraining.num_epochs = 50\n')
    study = load_study(path, [("training.batch_size", "8")])
    assert (study.training.num_epochs, study.training.batch_size) == (50, 8)
    assert "extends" not in config_text(study)
    assert "extends" not in read_document(path)


def test_circles_and_missing_files_are_refused_by_both_names(put):
    path = put("self.toml", 'extends = "self.toml"\n')
    with pytest.raises(
        ConfigError, match=r"self\.toml: extends = 'self\.toml': a circle: .*self\.toml -> .*self\.toml"
    ):
        read_document(path)
    put("a.toml", 'extends = "sub/../b.toml"\n')
    put("sub/c.toml", "")
    path = put("b.toml", 'extends = "a.toml"\n')
    with pytest.raises(
        ConfigError, match=r"a\.toml: extends = 'sub/\.\./b\.toml': a circle: .*b\.toml -> .*a\.toml -> "
    ):
        read_document(path)
    path = put("lost.toml", 'extends = "none.toml"\n')
    with pytest.raises(
        ConfigError, match=r"none\.toml: cannot read the config: No such .* \(extended by .*lost\.toml\)"
    ):
        read_document(path)
    put("torn.toml", "a = [\n")
    with pytest.raises(ConfigError, match=r"torn\.toml: not a TOML file: .* \(extended by .*lost\.toml\)"):
        read_document(put("lost.toml", 'extends = "torn.toml"\n'))


@pytest.mark.parametrize("value", ["3", '""', '["base.toml"]', "{a = 1}"])
def test_anything_but_a_name_is_refused(put, value):
    with pytest.raises(ConfigError, match=r"over\.toml: extends = .*: expected the name of a TOML file"):
        read_document(put("over.toml", f"extends = {value}\n"))


def test_it_belongs_to_the_top_of_a_file_alone(put):
    path = put("over.toml", 'extends = "base.toml"\n[schedule]\nextends = "base.toml"\n')
    with pytest.raises(ConfigError, match=r"unknown key schedule\.extends"):
        load_study(path)
    with pytest.raises(ConfigError, match="unknown key extends"):
        load_study(path.parent / "base.toml", [("extends", "other.toml")])
