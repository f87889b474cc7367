"""What the documentation names is there."""

import dataclasses
import importlib
import re
import typing
from pathlib import Path

import msgspec
import pytest

from jaxal.cli import DataBuild, Run
from jaxal.config.data import DataConfig, SourceConfig
from jaxal.config.strategy_table import STRATEGIES

ROOT = Path(__file__).parents[1]
METHODS = (ROOT / "docs" / "methods.md").read_text()
DATA = (ROOT / "docs" / "data.md").read_text()
PACKAGES = "kernels|strategies|data|models|training|evaluation|experiment|study"
NAMED = sorted(set(re.findall(rf"`((?:{PACKAGES})/[\w./]+)`", METHODS)))


@pytest.mark.parametrize("name", NAMED)
def test_methods_names_what_there_is(name):
    module, _, attribute = name.partition(".")
    found = importlib.import_module(f"jaxal.{module.replace('/', '.')}")
    assert not attribute or hasattr(found, attribute)


def test_readme_and_methods_know_every_strategy():
    readme = (ROOT / "README.md").read_text()
    for name in STRATEGIES:
        short = name.removeprefix("diversified")
        assert f"`{name}`" in readme or f"`{short}`" in readme or f"`{name}(NAME)`" in readme, name
    assert len(NAMED) > 20


def fields_of(kind) -> dict:
    """Return the fields of a struct by name; of all of them where there is a choice."""
    structs = [
        each
        for each in (typing.get_args(kind) or (kind,))
        if isinstance(each, type) and issubclass(each, msgspec.Struct)
    ]
    tags = {each.__struct_config__.tag_field: str for each in structs}
    return {field.name: field.type for each in structs for field in msgspec.structs.fields(each)} | tags


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\bdata\.((?:source|split)\.\w+|[a-z]+_\w+)", DATA))))
def test_data_names_settings_that_there_are(path):
    kind = DataConfig
    for name in path.split("."):
        assert name in fields_of(kind), path
        kind = fields_of(kind)[name]


def test_data_names_flags_and_kinds_that_there_are():
    known = {field.name for each in (DataBuild, Run) for field in dataclasses.fields(each)}
    known |= set(re.findall(r'"--([\w-]+)"', (ROOT / "scripts" / "prepare_tfds.py").read_text()))
    given = set(re.findall(r"(?<=[ `])--([a-z][a-z-]*)(?=[ `\n])", DATA)) - {"file_format"}
    assert len(given) > 10
    assert {name.replace("-", "_") for name in given} <= {name.replace("-", "_") for name in known}
    kinds = {str(each.__struct_config__.tag) for each in typing.get_args(SourceConfig)}
    named = set(re.findall(r'kind(?: = "| )(\w+)"?', "\n".join(re.findall(r"`[^`]*`|--data[^\n]*", DATA))))
    assert named <= kinds
    assert {"images", "built", "medmnist", "cifar", "idx", "tfds"} <= named


def test_links_between_documents_lead_somewhere():
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", path.read_text()):
            name, _, anchor = target.partition("#")
            found = path.parent / name if name else path
            assert found.exists(), f"{path.name}: {target}"
            if anchor:
                headings = re.findall(r"^#+ (.+)$", found.read_text(), re.MULTILINE)
                assert anchor in {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}, target
