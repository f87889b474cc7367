"""A config file as a document: read it, set values in it by dotted path, expand its short forms."""

import copy
import tomllib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from jaxal.errors import ConfigError

__all__ = ["expand", "read_document", "set_value", "take_overrides"]

Document = dict[str, Any]

# Tables of an arm that override the study's table of the same name, key by key.
ARM_OVERRIDES = ("model", "training")


def read_document(path: str | Path) -> Document:
    """Parse a TOML file.

    Raises:
        ConfigError: no such file, not UTF-8, or not TOML; the message gives the line.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the config: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from error


def take_overrides(arguments: Iterable[str], known: Collection[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Take the config's own flags out of a command line: `--a.b VALUE` or `--a.b=VALUE`, wherever they stand.

    Args:
        arguments: words of the command line.
        known: names of the command's flags, without dashes; those and what is no flag stay.

    Returns:
        (the words that stay, pairs of dotted path and value); dashes in a path mean underscores.

    Raises:
        ConfigError: a flag without a value.
    """
    words, kept, pairs = list(arguments), [], []
    while words:
        word = words.pop(0)
        path, has_value, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or path.replace("-", "_") in known:
            kept.append(word)
            continue
        if not has_value:
            if not words or words[0].startswith("--"):
                raise ConfigError(f"--{path}: a value is missing behind it")
            value = words.pop(0)
        pairs.append((path.replace("-", "_"), value))
    return kept, pairs


def _parse_value(text: str) -> Any:
    """Read a value as TOML would (numbers, booleans, lists, tables, quoted text); anything else is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def set_value(document: Document, path: str, text: str) -> None:
    """Set one value in place; `a.b.0.c` reaches into lists by number, and missing tables are made.

    Raises:
        ConfigError: the path leads through a value that is no table, or past the end of a list.
    """
    *parents, last = path.split(".")
    node: Any = document
    walked: list[str] = []
    for part in parents:
        walked.append(part)
        node = _list_item(node, part, path) if isinstance(node, list) else node.setdefault(part, {})
        if not isinstance(node, dict | list):
            raise ConfigError(f"--{path}: {'.'.join(walked)} is {node!r}, not a table that could hold more")
    if isinstance(node, list):
        _list_item(node, last, path)
        node[int(last)] = _parse_value(text)
    else:
        node[last] = _parse_value(text)


def _list_item(items: list, number: str, path: str) -> Any:
    if not number.isdigit() or int(number) >= len(items):
        raise ConfigError(f"--{path}: {number!r} is not an item of a list of {len(items)}; they are numbered from 0")
    return items[int(number)]


def expand(document: Document) -> Document:
    """Return a copy in long form: strategy names become tables, and arms carry their overrides of the study whole.

    A strategy given by name, `strategy = "cb_dal"`, becomes `{kind = "cb_dal"}`. An arm's `[arms.training]` or
    `[arms.model]` becomes the study's table with the arm's keys over it. Expanding twice changes nothing.
    """
    document = copy.deepcopy(document)
    arms = document.get("arms")
    for arm in arms if isinstance(arms, list) else []:
        if not isinstance(arm, dict):
            continue
        _expand_strategy(arm)
        for table in ARM_OVERRIDES:
            if isinstance(arm.get(table), dict) and isinstance(document.get(table, {}), dict):
                arm[table] = _overlay(document.get(table, {}), arm[table])
    return document


def _expand_strategy(node: Document) -> None:
    strategy = node.get("strategy")
    if isinstance(strategy, str):
        node["strategy"] = strategy = {"kind": strategy}
    stages = strategy.get("stages") if isinstance(strategy, dict) else None
    for stage in stages if isinstance(stages, list) else []:
        if isinstance(stage, dict):
            _expand_strategy(stage)


def _overlay(base: Document, changes: Document) -> Document:
    """Lay changes over a base; a table whose `kind` changes replaces the base's whole."""
    if "kind" in changes and "kind" in base and changes["kind"] != base["kind"]:
        return changes
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _overlay(merged[key], value) if both else value
    return merged
