"""A selection as CSV: `rank,id,index,score,reason`."""

import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxal.acquisition.selection import Selection
from jaxal.errors import InputError
from jaxal.store.files import write_atomic

__all__ = ["check_target", "formula_note", "query_text", "write_query"]

Ids = Sequence[str] | Mapping[int, str] | None  # of all rows, or of those picked
HEADER = "rank,id,index,score,reason"
# What a spreadsheet may run; a plain number is none.
FORMULA = re.compile(r"[=+\-@\t\r](?!\d*\.?\d+\Z)", re.DOTALL)


def query_text(selection: Selection, ids: Ids) -> str:
    """Write a line for each pick in the order chosen, rank from 1; lines end with LF.

    Ids stand as they are (quoted where they hold a comma, a quote or a line end), since answers are matched by them;
    without ids the index is the id. Scores by repr, empty for NaN.
    """
    lines = [HEADER]
    rows = zip(selection.indices, selection.scores, selection.reasons, strict=True)
    for rank, (index, score, reason) in enumerate(rows, start=1):
        name = str(index) if ids is None else _quoted(ids[int(index)])
        lines.append(f"{rank},{name},{index},{'' if math.isnan(score) else repr(float(score))},{reason}")
    return "\n".join(lines) + "\n"


def formula_note(selection: Selection, ids: Ids) -> str | None:
    """Say how many picked ids a spreadsheet would read as formulas; changed, their answers would not match."""
    picked = [] if ids is None else [ids[int(index)] for index in selection.indices]
    found = [each for each in picked if FORMULA.match(each)]
    if not found:
        return None
    return (
        f"ids: {len(found)} of {len(selection.indices)} picks have an id that a spreadsheet would take for a formula,"
        f" such as {found[0]!r}. They are written as they are: import the file as text, do not open it by a click."
    )


def check_target(target: str | Path, pool: str | Path, labels: str | Path | None = None) -> None:
    """Refuse, before any work is done, to write where it would destroy something else than an earlier query.

    Raises:
        InputError: the target is the pool itself, lies in its folder, or is the file of labels, there is something that
            is no file, or it is no path.
    """
    try:
        Path(target).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, a character that no path holds
        raise InputError(f"out: {target} leads nowhere: {error}") from error
    if os.path.exists(target) and not os.path.isfile(target):
        raise InputError(f"out: {target} is there and no file; give the name of a CSV file to write")
    if os.path.exists(target) and os.path.exists(pool) and os.path.samefile(target, pool):
        raise InputError(f"out: {target} is the pool itself; give another name")
    if os.path.isdir(pool) and Path(pool).resolve() in Path(target).resolve().parents:
        raise InputError(f"out: {target} lies in the pool's own folder, where nothing is written; give another place")
    if labels is not None and os.path.exists(target) and os.path.exists(labels) and os.path.samefile(target, labels):
        raise InputError(f"out: {target} is the file of labels; give another name")


def write_query(text: str, target: str | Path) -> None:
    """Write the CSV whole or not at all; an earlier one is replaced, and a link is followed.

    Raises:
        StoreError: it cannot be written; an earlier file is kept.
    """
    write_atomic(Path(target).resolve(), text)


def _quoted(text: str) -> str:
    is_plain = not any(mark in text for mark in ',"\r\n') and text == text.strip()
    return text if is_plain else '"' + text.replace('"', '""') + '"'
