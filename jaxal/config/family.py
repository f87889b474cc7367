"""A family: the studies that one file describes by varying a study, and the tables made of them."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from jaxal.config.document import load_document
from jaxal.config.reading import RESERVED_NAMES, arm_names, parse_study
from jaxal.config.study import StudyConfig
from jaxal.config.table_rules import parse_tables
from jaxal.config.tables import TableConfig
from jaxal.config.variation import vary_document
from jaxal.errors import ConfigError

__all__ = ["Family", "load_family", "members_named"]


MOST_PROCESSES = 64  # of one machine


class Family(NamedTuple):
    """Studies to be run one after the other, or by several processes at once."""

    name: str  # of its folder
    members: tuple[tuple[str, StudyConfig], ...]  # (name, study); a file that varies nothing has one, named ""
    tables: tuple[TableConfig, ...]
    processes: int = 1  # that share the work, on one machine

    @property
    def is_one_study(self) -> bool:
        """Whether there is the one study of a file that varies nothing, whose run folder is the family's own."""
        return self.members[0][0] == ""


def load_family(path: str | Path, overrides: Iterable[tuple[str, str]] = ()) -> Family:
    """Read a family from a TOML file, with values set over it by dotted path before it is varied.

    So `--training.num_epochs 3` holds for every member that does not say otherwise, and
    `--vary.AXIS.0.data.source.path DIR` reaches into a choice.

    Raises:
        ConfigError: as `load_study`, naming the member; or as `vary_document` and `parse_tables`; or a member's name is
            taken by a file of the family's folder.
    """
    document = load_document(path, overrides)
    varied = vary_document(document, str(path))
    taken = [name for name, _ in varied if name.lower() in RESERVED_NAMES]
    if taken:
        raise ConfigError(f"{path}: vary: the family's folder itself takes the names {', '.join(taken)}")
    members = tuple((name, parse_study(each, f"{path}, member {name}" if name else str(path))) for name, each in varied)
    tables = parse_tables(document, {name: arm_names(study) for name, study in members}, str(path))
    processes = document.get("processes", 1)
    if not isinstance(processes, int) or isinstance(processes, bool) or not 1 <= processes <= MOST_PROCESSES:
        raise ConfigError(f"{path}: processes: expected a whole number from 1 to {MOST_PROCESSES}, got {processes!r}")
    name = members[0][1].name if members[0][0] == "" else document["name"]
    return Family(name, members, tables, processes)


def members_named(family: Family, only: Iterable[str]) -> tuple[tuple[str, StudyConfig], ...]:
    """Choose members by name, in the family's order; all where none is named.

    Raises:
        ConfigError: a name that no member has; lists those that there are.
    """
    wanted, names = list(only), [name for name, _ in family.members]
    unknown = [name for name in wanted if name not in names]
    if wanted and family.is_one_study:
        raise ConfigError(f"--only {wanted[0]}: {family.name} is one study, without members")
    if unknown:
        raise ConfigError(f"--only {unknown[0]}: no such member; there are {', '.join(names)}")
    return tuple(member for member in family.members if not wanted or member[0] in wanted)
