"""What the documentation names is there."""

import importlib
import re
from pathlib import Path

import pytest

from jaxal.config.strategy_table import STRATEGIES

ROOT = Path(__file__).parents[1]
METHODS = (ROOT / "docs" / "methods.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:kernels|strategies|data)/[\w./]+)`", METHODS)))


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
