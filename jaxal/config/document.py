"""A config file as a document: read it, set values in it by dotted path, expand its short forms."""

import copy
import re
import tomllib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from jaxal.config.models import with_default_kind
from jaxal.config.words import MODELS, table_of, word_places
from jaxal.errors import ConfigError

__all__ = [
    "Document",
    "complete_models",
    "expand_arms",
    "expand_class_names",
    "expand_models",
    "expand_source",
    "expand_strategies",
    "expand_strategy",
    "expand_training",
    "expand_words",
    "load_document",
    "overlay",
    "read_document",
    "set_value",
    "take_overrides",
]

Document = dict[str, Any]

# Tables of an arm that override the study's table of the same name, key by key.
ARM_OVERRIDES = ("model", "query_model", "training", "augmentation")
# The start of a source given as text.
TFDS = "tfds:"


def load_document(path: str | Path, overrides: Iterable[tuple[str, str]] = ()) -> Document:
    """Read a config file as `read_document` does, with values set over it by dotted path and words expanded.

    A `kind` is set before what else its table is given, wherever it stands among the values: a table of another kind
    takes the place of the file's whole, as everywhere (`--data.source.kind built --data.source.path DIR`).

    Raises:
        ConfigError: as `read_document` and `set_value`.
    """
    document = read_document(path)
    for dotted, text in sorted(overrides, key=lambda pair: not pair[0].endswith(".kind")):
        expand_words(document)  # so that --data.source.FIELD reaches into a source given by name
        set_value(document, dotted, text)
    expand_words(document)
    return document


def read_document(path: str | Path) -> Document:
    """Parse a TOML file, and lay it over the one that it extends, if any.

    `extends = "base.toml"` at the top names a file, relative to the folder of the file that says it, which may extend
    another in its turn. Tables are laid over the base's key by key, a table whose `kind` changes replaces the base's
    whole, and so does a list, such as the arms. Nothing takes a key of the base away.

    Raises:
        ConfigError: no such file, not UTF-8, or not TOML (the message gives the line); or files extend each other in a
            circle.
    """
    return _read(Path(path), ())


def _read(path: Path, extending: tuple[Path, ...]) -> Document:
    """Read a file for those that extend it, the one that was asked for first."""
    by = f" (extended by {extending[-1]})" if extending else ""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the config: {error.strerror}{by}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}{by}") from error
    if "extends" not in document:
        return document
    name = document.pop("extends")
    if not isinstance(name, str) or not name:
        raise ConfigError(
            f"{path}: extends = {name!r}: expected the name of a TOML file, relative to this one's folder"
        )
    base_path, above = path.parent / name, (*extending, path)
    if base_path.resolve() in [each.resolve() for each in above]:
        raise ConfigError(f"{path}: extends = {name!r}: a circle: {' -> '.join(map(str, (*above, base_path)))}")
    base = _read(base_path, above)
    for each in (base, document):  # what is given as a word is laid over as the table that it stands for
        expand_source(each)
        expand_models(each)
    return overlay(base, document)


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
    except (ValueError, RecursionError):  # TOMLDecodeError is a ValueError; so is a number of thousands of digits
        return text


def set_value(document: Document, path: str, text: str) -> None:
    """Set one value in place; `a.b.0.c` reaches into lists by number, and missing tables are made.

    A table whose `kind` changes loses all else, which was said of the other kind; but an item of a list, such as an
    arm, is not one of several forms, and stays.

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
    value = _parse_value(text)
    if isinstance(node, list):
        _list_item(node, last, path)
        node[int(last)] = value
        return
    is_item = bool(parents) and parents[-1].isdecimal()
    if last == "kind" and node.get("kind", value) != value and not is_item:
        node.clear()
    node[last] = value


def _list_item(items: list, number: str, path: str) -> Any:
    if not (number.isascii() and number.isdecimal()) or int(number) >= len(items):
        raise ConfigError(f"--{path}: {number!r} is not an item of a list of {len(items)}; they are numbered from 0")
    return items[int(number)]


def expand_words(document: Document) -> None:
    """Turn the strategies, sources, models, losses and optimizers given as words into tables.

    Those of the study, and those of the choices by which a family varies it.
    """
    vary = _table(document, "vary")
    choices = [each for axis in vary.values() if isinstance(axis, list) for each in axis if isinstance(each, dict)]
    for node in (document, *choices):
        expand_strategies(node)
        expand_source(node)
        expand_models(node)
        expand_training(node)


def expand_strategies(document: Document) -> None:
    """Turn every strategy of a study given by name into a table, in place."""
    for arm in _arms(document):
        expand_strategy(arm)


def expand_class_names(document: Document) -> None:
    """Read names that look like whole numbers as the text that they are, in place: `one_vs_rest = 8`."""
    data = _table(document, "data")
    source, external = _table(data, "source"), _table(_table(data, "split"), "external")
    places = (
        *((data, name) for name in ("classes", "one_vs_rest", "minority_class")),
        (source, "class_names"),
        (external, "internal"),
    )
    for table, name in places:
        if type(table.get(name)) is int:
            table[name] = str(table[name])
        elif isinstance(table.get(name), list):
            table[name] = [str(item) if type(item) is int else item for item in table[name]]


def expand_source(document: Document) -> None:
    """Turn `data.source = "tfds:NAME"` into a table of kind tfds, in place; any other text stays, to be refused."""
    data = _table(document, "data")
    source = data.get("source")
    if isinstance(source, str) and source.startswith(TFDS):
        data["source"] = {"kind": "tfds", "name": source.removeprefix(TFDS)}


def expand_models(document: Document) -> None:
    """Turn every model given as a word into a table, in place; any other text stays, to be refused."""
    for place in word_places(document):
        if place.what == "model":
            place.node[place.key] = table_of("model", place.node[place.key])
    source = document.get("source_model")
    if isinstance(source, dict) and source.get("kind") != "organ_cnn":
        document["source_model"] = {"init": "imagenet", **source}  # without pretrained weights it would be none


def expand_training(document: Document) -> None:
    """Turn every loss and optimizer given as a word into a table, in place; any other text stays, to be refused."""
    for place in word_places(document):
        if place.what != "model":
            place.node[place.key] = table_of(place.what, place.node[place.key])


def complete_models(document: Document) -> None:
    """Give the default model's kind to tables of models that have none, in place, once the arms' are laid over."""
    for node in (document, *_arms(document)):
        for name in MODELS:
            if name in node:
                node[name] = with_default_kind(node[name])


def _table(node: Document, name: str) -> Document:
    table = node.get(name)
    return table if isinstance(table, dict) else {}


def expand_arms(document: Document) -> None:
    """Lay the tables of each arm, such as `[arms.training]`, over the study's, key by key, in place.

    A `query_training` lies over the `training` beside it, an arm's over the study's `query_training` in between.

    After all values are set: what is set in the study must reach every arm that does not say otherwise.
    """
    for arm in _arms(document):
        for table in ARM_OVERRIDES:
            base = document.get(table, {})
            if isinstance(arm.get(table), dict) and isinstance(base, dict):
                arm[table] = overlay(base, arm[table])
        _expand_query_training(document, arm)
    if isinstance(document.get("query_training"), dict):
        document["query_training"] = overlay(_table(document, "training"), document["query_training"])


def _expand_query_training(document: Document, arm: Document) -> None:
    own, is_said = arm.get("query_training", {}), "query_training" in arm
    # What an arm's own training changes reaches its query model too, even where the arm says nothing of that.
    reaches = "training" in arm and "query_training" in document and arm.get("kind", "active") == "active"
    has_query_model = "query_model" in arm or "query_model" in document
    if isinstance(own, dict) and (is_said or (reaches and has_query_model)):
        training = _table(arm if "training" in arm else document, "training")
        arm["query_training"] = overlay(overlay(training, _table(document, "query_training")), own)


def _arms(document: Document) -> list[Document]:
    arms = document.get("arms")
    return [arm for arm in arms if isinstance(arm, dict)] if isinstance(arms, list) else []


def expand_strategy(node: Document, name: str = "strategy") -> None:
    """Turn the strategy that a table holds, and those inside it, from names into tables, in place.

    `strategy = "cb_dal"` becomes `{kind = "cb_dal"}`, "balanced(entropy)" `{kind = "balanced", base = {kind = …}}`.
    """
    strategy = node.get(name)
    if isinstance(strategy, str):
        node[name] = strategy = _named_strategy(strategy)
    if not isinstance(strategy, dict):
        return
    expand_strategy(strategy, "base")
    stages = strategy.get("stages")
    for stage in stages if isinstance(stages, list) else []:
        if isinstance(stage, dict):
            expand_strategy(stage)


def _named_strategy(name: str) -> Document:
    """Read NAME or balanced(NAME), one level deep."""
    base = re.fullmatch(r"balanced\((\w+)\)", name)
    return {"kind": "balanced", "base": {"kind": base[1]}} if base else {"kind": name}


def overlay(base: Document, changes: Document) -> Document:
    """Lay changes over a base; a table whose `kind` changes replaces the base's whole."""
    if "kind" in changes and "kind" in base and changes["kind"] != base["kind"]:
        return changes
    merged = copy.deepcopy(base)  # what is set in the result must change neither the base nor what else lies over it
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = overlay(merged[key], value) if both else value
    return merged
