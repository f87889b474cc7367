"""A family's documents: the one of the study, varied by every combination of choices."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

from jaxal.config.document import Document, expand_words, overlay
from jaxal.config.study import NAME_PATTERN
from jaxal.errors import ConfigError

__all__ = ["vary_document"]

# What a file holds of the family, not of its studies.
OF_FAMILY = ("vary", "tables", "tables_note", "processes")


def vary_document(document: Document, origin: str) -> list[tuple[str, Document]]:
    """Lay each combination of choices over a document; without `vary` there is one, named "".

    `[[vary.AXIS]]` lists the choices of an axis: a `name`, and what is laid over the document by the rules of `extends`
    (tables key by key, a table whose kind changes whole, and so a list). Members are named by their choices' names
    with "-" between them; the first axis changes slowest. The study of a member is named FAMILY-MEMBER.

    >>> axes = {"data": [{"name": "a"}, {"name": "b"}], "budget": [{"name": "9", "schedule": {"query_size": 9}}]}
    >>> vary_document({"name": "all", "schedule": {"num_rounds": 2}, "vary": axes}, "all.toml")[1]
    ('b-9', {'name': 'all-b-9', 'schedule': {'num_rounds': 2, 'query_size': 9}})

    Args:
        document: as read; it is left as it is.
        origin: what messages name, such as the file.

    Returns:
        (name, document) of each member, without what belongs to the family.

    Raises:
        ConfigError: `vary` is no table of lists, an axis has no choice, or names are missing, no names of folders, or
            equal where upper and lower case do not differ.
    """
    base = {key: value for key, value in document.items() if key not in OF_FAMILY}
    expand_words(base)
    if "vary" not in document:
        return [("", base)]
    problems = list(_problems(document["vary"]))
    if problems:
        raise ConfigError(f"{origin}: " + "; ".join(problems))
    members = [_member(base, choices) for choices in itertools.product(*document["vary"].values())]
    repeated = sorted(_repeated([name for name, _ in members]))
    if repeated:
        raise ConfigError(f"{origin}: vary: members must differ in name; repeated: {', '.join(repeated)}")
    return members


def _member(base: Document, choices: tuple[Document, ...]) -> tuple[str, Document]:
    name, member = "-".join(choice["name"] for choice in choices), base
    for choice in choices:
        changes = {key: value for key, value in choice.items() if key != "name"}
        expand_words(changes)
        member = overlay(member, changes)
    if isinstance(base.get("name"), str):  # anything else is refused with the study
        member = {**member, "name": f"{base['name']}-{name}"}
    return name, member


def _problems(vary: Any) -> Iterator[str]:
    if not isinstance(vary, dict) or not vary:
        yield "vary: expected the axes of the family, each a list: [[vary.AXIS]]"
        return
    for axis, choices in vary.items():
        where = f"vary.{axis}"
        if not re.search(NAME_PATTERN, axis):
            yield f"{where}: {_no_name(axis)}"
        if not isinstance(choices, list) or not choices:
            yield f"{where}: expected a list of at least one choice: [[{where}]]"
            continue
        for number, choice in enumerate(choices):
            yield from _choice_problems(choice, f"{where}.{number}")
        names = [choice["name"] for choice in choices if isinstance(choice, dict) and "name" in choice]
        repeated = sorted(_repeated(list(map(str, names))))
        if repeated:
            yield f"{where}: names must differ, also where upper and lower case do not; repeated: {', '.join(repeated)}"


def _choice_problems(choice: Any, where: str) -> Iterator[str]:
    if not isinstance(choice, dict):
        yield f"{where}: expected a table with a name and what it changes, got {choice!r}"
    elif "name" not in choice:
        yield f"{where}: name is missing"
    elif not isinstance(choice["name"], str):
        yield f"{where}.name: expected text, got {choice['name']!r}; put it in quotes"
    elif not re.search(NAME_PATTERN, choice["name"]):
        yield f"{where}.name: {_no_name(choice['name'])}"


def _no_name(text: str) -> str:
    return f"{text!r} cannot name a folder: letters, digits and ._- only, and a letter, digit or _ first"


def _repeated(names: list[str]) -> set[str]:
    lower = [name.lower() for name in names]
    return {name for name in names if lower.count(name.lower()) > 1}
