"""`source = "tfds:NAME"` is short for a table; any other text is no source."""

import pytest
from config_documents import document_with

from jaxal.config.data import TFDSConfig
from jaxal.config.reading import config_text, load_study, parse_study
from jaxal.errors import ConfigError


def study_file(tmp_path, source):
    document = document_with(("data.source", source))
    path = tmp_path / "study.toml"
    path.write_text(config_text(parse_study(document)))
    return path


@pytest.mark.parametrize("name", ["mnist", "oxford_flowers102", "kinds/small-1.0", "kinds/a:1.2.3", "mnist:3.0.1"])
def test_the_short_form_is_the_table(name):
    short = parse_study(document_with(("data.source", f"tfds:{name}")))
    table = parse_study(document_with(("data.source", {"kind": "tfds", "name": name})))
    assert short == table
    assert short.data.source == TFDSConfig(name=name)
    assert f'[data.source]\nkind = "tfds"\nname = "{name}"\n' in config_text(short)


def test_the_command_line_takes_it_too(tmp_path):
    path = study_file(tmp_path, {"kind": "digits"})
    assert load_study(path, [("data.source", "tfds:mnist")]).data.source == TFDSConfig(name="mnist")
    values = [("data.source", "tfds:mnist"), ("data.source.image_size", "32"), ("data.source.splits", '["train"]')]
    assert load_study(path, values).data.source == TFDSConfig(name="mnist", image_size=32, splits=("train",))


def test_a_file_may_have_it_and_the_command_line_the_rest(tmp_path):
    path = tmp_path / "short.toml"
    lines = study_file(tmp_path, {"kind": "digits"}).read_text()
    path.write_text(
        lines.replace('[data.source]\nkind = "digits"\n', "").replace("[data]\n", '[data]\nsource = "tfds:mnist"\n')
    )
    assert 'source = "tfds:mnist"' in path.read_text()
    assert load_study(path).data.source == TFDSConfig(name="mnist")
    assert load_study(path, [("data.source.image_size", "8")]).data.source == TFDSConfig(name="mnist", image_size=8)


@pytest.mark.parametrize("text", ["digits", "mnist", "TFDS:mnist", "tdfs:mnist", "", "/data/images"])
def test_any_other_text_is_refused_with_the_kinds(text):
    with pytest.raises(ConfigError) as caught:
        parse_study(document_with(("data.source", text)), origin="some.toml")
    message = str(caught.value)
    assert message.startswith(f'some.toml: data.source = {text!r}: the only source given as text is "tfds:NAME"')
    for kind in ("cifar", "csv", "digits", "folder", "images", "medmnist", "tfds"):
        assert f" {kind}" in message


@pytest.mark.parametrize(
    "name", ["", "../mnist", "a/../../b", "a/b/c", "a/.hidden", "a:1", "a:latest", "a\n", "a b", "/a"]
)
def test_names_that_are_no_names_are_refused(name):
    with pytest.raises(ConfigError, match="name"):
        parse_study(document_with(("data.source", f"tfds:{name}")))
