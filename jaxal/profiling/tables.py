"""A profile as text: the CSV that grows row by row, and the Markdown table for people."""

import csv
import io
import os
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxal.errors import StoreError
from jaxal.profiling.measurement import Measurement
from jaxal.store.files import make_folder, unwritable, write_atomic

__all__ = ["Conditions", "append_row", "current_conditions", "markdown_table", "open_rows", "profile_markdown"]


class Conditions(NamedTuple):
    """What must be the same for rows to stand in one table."""

    repeats: int
    memory: int | None
    device: str
    cores: int
    jax: str


COLUMNS = (*Measurement._fields, *Conditions._fields)
HINTS = typing.get_type_hints(Measurement) | typing.get_type_hints(Conditions)


def current_conditions(num_repeats: int, memory: int | None) -> Conditions:
    """Tell under what this process measures."""
    return Conditions(num_repeats, memory, jax.devices()[0].device_kind, os.cpu_count() or 1, jax.__version__)


def open_rows(path: Path, conditions: Conditions) -> list[Measurement]:
    """Read the rows that an earlier call has measured, and make the file ready for more.

    A last line that was cut off in the middle is dropped.

    Raises:
        StoreError: the file cannot be read or written, is no profile, or was measured under other conditions.
    """
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"cannot read {path}: {error}. Give another --out.") from error
    whole = text[: text.rfind("\n") + 1]
    rows = [_parsed(path, line) for line in csv.DictReader(io.StringIO(whole))]
    for _, found in rows:
        other = [name for name in Conditions._fields if getattr(found, name) != getattr(conditions, name)]
        if other:
            told = "; ".join(f"{name} {getattr(found, name)}, now {getattr(conditions, name)}" for name in other)
            raise StoreError(f"{path} was measured with {told}. Give another --out, or remove that file.")
    try:
        make_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error
    write_atomic(path, _csv_line(COLUMNS) + "".join(_csv_line([*row, *found]) for row, found in rows))
    return [row for row, _ in rows]


def append_row(path: Path, row: Measurement, conditions: Conditions) -> None:
    """Write one more row, durably.

    Raises:
        StoreError: it could not be written.
    """
    try:
        with open(path, "a", encoding="utf-8", newline="") as file:
            file.write(_csv_line([*row, *conditions]))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise unwritable(path, error) from error


def _csv_line(values: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def _parsed(path: Path, line: dict[str, Any]) -> tuple[Measurement, Conditions]:
    if tuple(line) != COLUMNS:
        raise StoreError(f"{path} is no profile of this version of jaxal: other columns. Give another --out.")
    try:
        values = {name: _value(HINTS[name], text) for name, text in line.items()}
    except (TypeError, ValueError) as error:
        raise StoreError(f"{path} is damaged: {error}. Remove it, or give another --out.") from error
    row = Measurement(**{name: values[name] for name in Measurement._fields})
    return row, Conditions(**{name: values[name] for name in Conditions._fields})


def _value(hint: Any, text: str) -> Any:
    kinds = typing.get_args(hint) or (hint,)
    if text == "" and type(None) in kinds:
        return None
    return kinds[0](text)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], num_text_columns: int = 1) -> str:
    """Lay cells out as a Markdown table, numbers to the right."""
    rules = [":--" if number < num_text_columns else "--:" for number in range(len(header))]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (header, rules, *rows))


def profile_markdown(rows: Sequence[Measurement], conditions: Conditions) -> str:
    """Write under what it was measured, what the machine can do, and a row for each measurement."""
    if not rows:
        return "Nothing was measured.\n"
    header = (
        "strategy", "N", "D", "C", "Q", "compile s", "run s", "min to max", "growth MB", "of embeddings", "GB/s",
        "GFLOP/s", "bound", "of ceiling",
    )  # fmt: skip
    memory = "" if conditions.memory is None else f", blocks of {conditions.memory} bytes"
    return (
        f"Device {conditions.device}, {conditions.cores} cores, jax {conditions.jax}: median of {conditions.repeats}"
        f" runs, each on a pool of its own with 5 % labeled{memory}. Ceilings of the same run:"
        f" {_range([row.ceiling_gb_per_second for row in rows])} GB/s read,"
        f" {_range([row.ceiling_gflop_per_second for row in rows])} GFLOP/s float32. Bytes and operations are the least"
        " there can be, counted by hand; what is left to 100 % of the ceiling is what could still be gained.\n\n"
        + markdown_table(header, [_cells(row) for row in rows])
    )


def _range(values: Sequence[float]) -> str:
    """Where a profile was gone on with, the ceilings were measured more than once."""
    ends = f"{min(values):.3g}", f"{max(values):.3g}"
    return " to ".join(dict.fromkeys(ends))


def _cells(row: Measurement) -> list[str]:
    growth = ["", ""] if row.growth_bytes is None else [f"{row.growth_bytes / 1e6:.1f}", f"{row.growth_ratio:.2f} ×"]
    return [
        row.strategy,
        *(str(size) for size in row[1:5]),
        f"{row.seconds_compile:.2f}",
        f"{row.seconds:.3g}",
        f"{row.seconds_min:.3g} to {row.seconds_max:.3g}",
        *growth,
        f"{row.gb_per_second:.3g}",
        f"{row.gflop_per_second:.3g}",
        row.bound,
        f"{100 * row.ceiling_share:.2g} %",
    ]
