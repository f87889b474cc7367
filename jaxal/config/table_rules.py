"""The tables of a family: read strictly, and held against the members and arms that there are."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from jaxal.config.keys import check_keys, nearest
from jaxal.config.struct import ConfigStruct
from jaxal.config.tables import CellConfig, TableConfig
from jaxal.errors import ConfigError

__all__ = ["parse_tables"]

ArmsOf = Mapping[str, Sequence[str]]


class _Tables(ConfigStruct, frozen=True):
    """What a file says of its tables, so that messages name their place in it."""

    tables: tuple[TableConfig, ...] = ()
    tables_note: str = ""


def parse_tables(document: Mapping[str, Any], arms_of: ArmsOf, origin: str) -> tuple[TableConfig, ...]:
    """Convert the `tables` of a document, strictly, each with the `tables_note` behind its own.

    Whether a paper prints such a table, and which metrics there are, is not known here.

    Args:
        document: as read, with whatever else it holds.
        arms_of: member -> its arms; a family of one study has the member "", which no cell need name.
        origin: what messages name, such as the file.

    Raises:
        ConfigError: unknown keys (with the nearest known), wrong types or ranges, two tables of one title, or rows,
            columns, members or arms that are not there; all of a kind at once.
    """
    document = {key: value for key, value in document.items() if key in _Tables.__struct_fields__}
    check_keys(document, _Tables, origin)
    try:
        parsed, tables_note = msgspec.structs.astuple(msgspec.convert(document, _Tables))
    except msgspec.ValidationError as error:
        raise ConfigError(f"{origin}: {error}") from error
    titles = [table.title for table in parsed]
    problems = [
        f"tables: titles must differ; repeated: {title!r}" for title in sorted(set(titles)) if titles.count(title) > 1
    ]
    for number, table in enumerate(parsed):
        told = dict.fromkeys((*_heading_problems(table), *_cell_problems(table, arms_of)))  # each once
        problems += [f"tables.{number} ({table.title}): {problem}" for problem in told]
    if problems:
        raise ConfigError(f"{origin}: " + "; ".join(problems))
    notes = [" ".join(f"{table.note} {tables_note}".split()) for table in parsed]  # one line, however it is written
    return tuple(msgspec.structs.replace(table, note=note) for table, note in zip(parsed, notes, strict=True))


def _heading_problems(table: TableConfig) -> Iterator[str]:
    if bool(table.paper) != bool(table.table):
        yield "give both paper and table, or neither"
    for row, columns in table.cells.items():
        if row not in table.rows:
            yield f"cells: no row {row!r}{nearest(row, list(table.rows))}"
        for column in columns:
            if column not in table.columns:
                yield f"cells: no column {column!r}{nearest(column, list(table.columns))}"


def _cell_problems(table: TableConfig, arms_of: ArmsOf) -> Iterator[str]:
    for row, of_row in table.rows.items():
        for column, of_column in table.columns.items():
            layers = (table.cells.get(row, {}).get(column, CellConfig()), of_row, of_column, table.cell)
            member, arm, metric, full_member = (
                next((value for each in layers if (value := getattr(each, name)) is not None), None)
                for name in ("member", "arm", "metric", "full_member")
            )
            own_arm = None if metric == "g_al" else arm  # which is of the row's other cells
            yield from _problems(member, own_arm, arms_of)
            # Where a cell lacks a member, that alone is said.
            if full_member is not None or member is not None or len(arms_of) == 1:
                full_arm = table.full_arm if own_arm else None
                yield from _problems(member if full_member is None else full_member, full_arm, arms_of)


def _problems(member: str | None, arm: str | None, arms_of: ArmsOf) -> Iterator[str]:
    if member is not None and member not in arms_of:
        has = "the file holds one study, which needs no member" if "" in arms_of else f"there are {', '.join(arms_of)}"
        yield f"no member {member!r}; {has}"
        return
    if not arm:
        return
    if member is None and len(arms_of) > 1:
        yield f"cells of arm {arm!r} name no member; there are {', '.join(arms_of)}"
        return
    name = next(iter(arms_of)) if member is None else member
    if arm not in arms_of[name]:
        yield f"no arm {arm!r}{f' in member {name}' if name else ''}; there are {', '.join(arms_of[name])}"
