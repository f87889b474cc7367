"""Unknown keys of a document, each with the nearest key that is known there."""

import difflib
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from jaxal.errors import ConfigError

__all__ = ["check_keys", "key_problems", "meant", "nearest"]


def check_keys(document: Any, config_type: type, origin: str) -> None:
    """Refuse every key that the config does not know, all of them in one message.

    Raises:
        ConfigError: lists each unknown key by its path with the nearest known one.
    """
    problems = key_problems(document, config_type)
    if problems:
        raise ConfigError(f"{origin}: " + "; ".join(problems))


def key_problems(document: Any, config_type: Any) -> list[str]:
    """List each key, and each kind of a table, that the config does not know, with the nearest known one."""
    return list(_unknown_keys(document, config_type, ""))


def nearest(key: str, known: list[str]) -> str:
    """Say in brackets which known word is meant, or which words there are."""
    if not known:
        return " (there is nothing to set here)"
    return meant(key, known) or f" (known are {', '.join(sorted(known))})"


def meant(word: str, known: Iterable[str]) -> str:
    """Say in brackets which known word is meant; nothing where none is like it."""
    matches = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.5)
    return f" (did you mean {matches[0]}?)" if matches else ""


def _unknown_keys(node: Any, node_type: Any, path: str) -> Iterator[str]:
    structs, item_type = _choices(node_type)
    if isinstance(node, list) and item_type is not None:
        for number, item in enumerate(node):
            yield from _unknown_keys(item, item_type, f"{path}{number}.")
    if isinstance(node, dict) and not structs and item_type is not None:
        for key, item in node.items():
            yield from _unknown_keys(item, item_type, f"{path}{key}.")
    if not isinstance(node, dict) or not structs:
        return
    struct = _chosen(structs, node)
    if struct is None:
        kinds = sorted(str(each.__struct_config__.tag) for each in structs)
        place = f"{path.rstrip('.')}: " if path else ""
        yield f"{place}{_wrong_kind(node.get('kind'), kinds)}; known are {', '.join(kinds)}"
        return
    fields = {field.name: field.type for field in msgspec.structs.fields(struct)}
    tag_field = struct.__struct_config__.tag_field
    for key, value in node.items():
        if key in fields:
            yield from _unknown_keys(value, fields[key], f"{path}{key}.")
        elif key != tag_field:
            yield f"unknown key {path}{key}{nearest(str(key), list(fields))}"


def _wrong_kind(given: Any, kinds: list[str]) -> str:
    if given is None:
        return "kind is missing"
    if "(" in str(given):
        return f"unknown kind {given!r} (a name is NAME or balanced(NAME); anything deeper is a table)"
    return f"unknown kind {given!r}{meant(str(given), kinds)}"


def _choices(node_type: Any) -> tuple[list[Any], Any]:
    """Return the structs that a type admits, and the item type where it admits a sequence or a table of any keys."""
    origin = typing.get_origin(node_type)
    if origin is typing.Annotated:
        return _choices(typing.get_args(node_type)[0])
    if origin in (typing.Union, types.UnionType):
        parts = [_choices(part) for part in typing.get_args(node_type)]
        items = [item for _, item in parts if item is not None]
        return [struct for structs, _ in parts for struct in structs], items[0] if items else None
    if origin in (tuple, list):
        return [], typing.get_args(node_type)[0]
    if origin is dict:
        return [], typing.get_args(node_type)[1]
    is_struct = isinstance(node_type, type) and issubclass(node_type, msgspec.Struct)
    return ([node_type] if is_struct else []), None


def _chosen(structs: list[Any], node: dict[str, Any]) -> Any:
    if len(structs) == 1:
        tag = structs[0].__struct_config__.tag
        return structs[0] if tag is None or node.get("kind", tag) == tag else None
    return next((each for each in structs if each.__struct_config__.tag == node.get("kind")), None)
