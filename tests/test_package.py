"""The package: what importing it loads, and what it offers."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import jaxal

HEAVY = {
    *("jax", "jaxlib", "flax", "optax", "orbax", "numpy", "scipy", "sklearn", "matplotlib", "PIL"),
    *("tensorflow_datasets", "tensorflow", "torch"),
}


def modules_loaded_by(code: str) -> set[str]:
    """Run code in a new interpreter; return the top-level packages that it loaded. What it prints is passed over."""
    report = "\nimport sys\nprint('LOADED', *sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()[1:])


def test_importing_jaxal_or_reading_a_config_loads_no_heavy_package():
    loaded = modules_loaded_by(
        "import jaxal, jaxal.config.reading, jaxal.config.document, jaxal.config.strategies\n"
        "jaxal.load_study; jaxal.StudyConfig; jaxal.ConfigError; dir(jaxal)\n"
    )
    assert "msgspec" in loaded
    assert not loaded & HEAVY


def test_help_and_the_strategy_table_load_no_heavy_package():
    loaded = modules_loaded_by(
        "from jaxal.cli import main\n"
        "for words in (['--help'], ['run', '--help'], ['strategies']):\n"
        "    assert main(words) == 0, words\n"
    )
    assert "tyro" in loaded
    assert not loaded & HEAVY


def test_every_public_name_resolves_to_what_its_home_defines():
    assert sorted(jaxal.__all__) == list(jaxal.__all__)
    assert set(jaxal.__all__) == set(jaxal._HOMES)
    for name in jaxal.__all__:
        home, _, attribute = jaxal._HOMES[name].partition(":")
        assert getattr(jaxal, name) is getattr(importlib.import_module(home), attribute or name)
        assert name in dir(jaxal)


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(jaxal.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname or alias.name for node in block.body for alias in node.names}
    assert seen == set(jaxal.__all__)


def test_star_import_gives_the_public_names():
    space: dict = {}
    exec("from jaxal import *", space)
    assert set(space) - {"__builtins__"} == set(jaxal.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'jaxal' has no attribute 'nothing'"):
        _ = jaxal.nothing
    assert not hasattr(jaxal, "__path_of_nothing__")


def test_the_version_is_the_distribution_s():
    from importlib.metadata import version

    assert jaxal.__version__ == version("jaxal")


def test_errors_have_the_exit_codes_of_the_contract():
    codes = {"ConfigError": 2, "InputError": 1, "DataError": 1, "StoreError": 1}
    for name, code in codes.items():
        error = getattr(jaxal, name)
        assert issubclass(error, jaxal.JaxalError)
        assert error.exit_code == code
    assert issubclass(jaxal.InputError, ValueError)
    assert issubclass(jaxal.SelectionWarning, UserWarning)
