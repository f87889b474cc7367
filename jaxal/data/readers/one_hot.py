"""A class given as one column per class with a single 1 in each row, as ISIC 2018 and 2019 do."""

from collections.abc import Sequence

from jaxal.data.readers.column_names import plain_name
from jaxal.data.readers.csv_text import Table

__all__ = ["flag_columns", "one_hot_columns", "read_one_hot"]

# The classes of ISIC 2018 and 2019: where two of them head a column, one-hot is meant, whatever the cells hold.
ISIC_CLASSES = frozenset({"mel", "nv", "bcc", "ak", "akiec", "bkl", "df", "vasc", "scc", "unk"})

# Names of a single column of 0 and 1 that is the class.
FLAGS = frozenset({"melanoma", "malignant", "is_malignant", "malignancy", "cancer", "is_cancer"})
WORDS = {"false": 0.0, "true": 1.0}


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


def flag_columns(table: Table, free: Sequence[str]) -> list[str]:
    """Find the one column of 0 and 1 that tells two classes apart: one with such a name, or the only further column.

    Args:
        table: of images.
        free: columns that are not in use for something else.

    Returns:
        That column alone; nothing where there are several of 0 and 1, or both do not occur.
    """
    masks = [column for column in free if column and _is_mask(table, table.header.index(column))]
    if len(masks) != 1 or not (masks == list(free) or plain_name(masks[0]) in FLAGS):
        return []
    position = table.header.index(masks[0])
    return masks if len({_value(row.cells[position]) for row in table.rows}) == 2 else []


def _is_mask(table: Table, position: int) -> bool:
    return bool(table.rows) and all(_value(row.cells[position]) in (0, 1) for row in table.rows)


def _value(cell: str) -> float | None:
    try:
        return WORDS[cell.casefold()] if cell.isalpha() else float(cell)
    except (KeyError, ValueError):
        return None
