"""The rules of the house: who may import whom, style, size, docstrings."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "jaxal").rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}
MAX_LINES = 400


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def public_definitions(tree: ast.Module) -> Iterator[ast.ClassDef | ast.FunctionDef]:
    """Walk public classes and functions, and the public methods of the former."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (
                    each for each in node.body if isinstance(each, ast.FunctionDef) and not each.name.startswith("_")
                )


def exported(tree: ast.Module) -> list[str] | None:
    """Return `__all__`, None where there is none."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets] == ["__all__"]:
            return ast.literal_eval(node.value)
    return None


def top_level_names(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}
    return names


def run(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_import_contracts_hold():
    done = run("-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_ruff_has_nothing_to_say():
    done = run("-m", "ruff", "check", "--no-cache", "jaxal", "tests", "scripts")
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_is_something_to_check():
    assert len(MODULES) > 50
    assert sum(len(list(public_definitions(tree))) for tree in TREES.values()) > 100


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_keeps_the_rules(path):
    text, tree = path.read_text(encoding="utf-8"), TREES[path]
    assert len(text.splitlines()) <= MAX_LINES
    assert ast.get_docstring(tree) or path.name == "__main__.py"
    missing = [node.name for node in public_definitions(tree) if not ast.get_docstring(node)]
    assert not missing, f"without docstring: {missing}"
    # It would turn annotations into text, which the type checks under pytest could not read.
    assert "from __future__ import " + "annotations" not in text
    assert path.stem not in {"utils", "util", "common", "helpers", "misc"}


@pytest.mark.parametrize("path", [path for path in MODULES if exported(TREES[path]) is not None], ids=name_of)
def test_what_a_module_exports_is_there_and_is_public(path):
    names = exported(TREES[path])
    assert names
    assert len(set(names)) == len(names)
    assert set(names) <= top_level_names(TREES[path])
    assert not [name for name in names if name.startswith("_")]


def test_tests_and_scripts_keep_annotations_as_they_are():
    line = "from __future__ import " + "annotations"
    files = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")]
    assert len(files) > 20
    assert not [name_of(path) for path in files if line in path.read_text(encoding="utf-8")]
