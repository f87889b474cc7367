"""A class given as one column per class with a single 1 in each row, as ISIC 2018 and 2019 do."""

from collections.abc import Sequence

from jaxal.data.readers.csv_text import Table

__all__ = ["one_hot_columns", "read_one_hot"]

# The classes of ISIC 2018 and 2019: where two of them head a column, one-hot is meant, whatever the cells hold.
ISIC_CLASSES = frozenset({"mel", "nv", "bcc", "ak", "akiec", "bkl", "df", "vasc", "scc", "unk"})


def one_hot_columns(table: Table, free: Sequence[str]) -> list[str]:
    """Find the columns of classes: those with nothing but 0 and 1, if at least half of the rows have exactly one 1.

    Args:
        table: of images.
        free: columns that are not in use for something else.
    """
    known = [column for column in free if column.casefold() in ISIC_CLASSES]
    known = known if len(known) > 1 else []
    position = {column: number for number, column in enumerate(table.header)}
    columns = [column for column in free if column and (column in known or _is_mask(table, position[column]))]
    if len(columns) < 2:
        return []
    values = ([_value(row.cells[position[column]]) for column in columns] for row in table.rows)
    num_good = sum(row.count(1) == 1 for row in values)
    return columns if known or 2 * num_good >= len(table.rows) else []


def read_one_hot(table: Table, columns: Sequence[str]) -> tuple[list[str], dict[int, str]]:
    """Read each row's class: the name of the column with the 1; and what is wrong with the rows that have not one."""
    positions = [table.header.index(column) for column in columns]
    cells, problems = [], {}
    for number, row in enumerate(table.rows):
        values = [_value(row.cells[position]) for position in positions]
        ones = [column for column, value in zip(columns, values, strict=True) if value == 1]
        if any(value not in (0, 1) for value in values):
            problems[number] = "a class column has neither 0 nor 1"
        elif len(ones) != 1:
            problems[number] = "no class column has a 1" if not ones else "several class columns have a 1"
        cells.append(ones[0] if number not in problems else "")
    return cells, problems


def _is_mask(table: Table, position: int) -> bool:
    return bool(table.rows) and all(_value(row.cells[position]) in (0, 1) for row in table.rows)


def _value(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
