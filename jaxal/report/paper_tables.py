"""The tables that lay our figures beside those that a paper prints."""

from collections.abc import Iterator, Mapping, Sequence

from jaxal.config.keys import nearest
from jaxal.config.tables import TableConfig
from jaxal.errors import ConfigError
from jaxal.evaluation.learning_curve import Row, interval
from jaxal.evaluation.rows import metric_names
from jaxal.report.laid_table import LaidCell, LaidTable, markdown, tables_text
from jaxal.report.paper_cells import (
    G_AL,
    Figure,
    MemberRuns,
    Place,
    Value,
    figures,
    member_runs,
    seed_gains,
    seed_values,
)
from jaxal.report.printed import printed_table

__all__ = ["LaidCell", "LaidTable", "check_table", "lay_out", "markdown", "tables_text"]

_DECIMALS = 3
_SPLITS = ("pool", "validation", "test", "external")
# What only some fits tell: of the pool how a support vector machine was chosen, of validation its maximum.
_THRESHOLDED = ("thresholded_accuracy", "thresholded_balanced_accuracy")
_OF_FITS = {
    "pool": ("svm_cost", "svm_folds", "choice_folds", "svm_accuracy", "network_accuracy", "chose_svm"),
    "validation": ("max_accuracy", *_THRESHOLDED),
    "test": _THRESHOLDED,
    "external": _THRESHOLDED,
}


def lay_out(table: TableConfig, rows_of: Mapping[str, Sequence[Row]]) -> LaidTable:
    """Lays ours, with 95 % Student-t intervals over seeds, beside what the paper prints.

    A seed that does not define a figure, or has not come to its round, is left out of the mean and shows in the count.
    "g_al" is made for each seed from the row's other figures of ours and those of the arm with every label, of the same
    seed; it is defined where all of them are.

    Args:
      table: one that `check_table` accepts.
      rows_of: member -> typed rows of its metrics.csv; None = not defined. A member that is missing, or an arm that has
        no rows yet, leaves its cells without a figure of ours.

    Raises:
      ConfigError: the printed table is unknown; no member is named where there are several; a split or a class that a
        finished round does not have; or "g_al" of what are no shares.
    """
    printed = printed_table(table.paper, table.table) if table.paper else None
    ours = figures(table)
    metrics = {figure.metric for figure in ours.values()}
    runs_of = {member: member_runs(rows, metrics) for member, rows in rows_of.items()}
    on_paper = printed.values if printed else {}
    as_printed = printed.decimals if printed else {}
    decimals = (as_printed.get(each, _DECIMALS) if table.decimals is None else table.decimals for each in table.columns)
    return LaidTable(
        title=table.title,
        paper=table.paper,
        table=table.table,
        note=table.note,
        rows=tuple(table.rows),
        columns=tuple(table.columns),
        cells=tuple(
            tuple(
                _laid(on_paper.get((row, column)), _values(table, ours, (row, column), runs_of))
                for column in table.columns
            )
            for row in table.rows
        ),
        quoted=frozenset(table.rows) - {row for row, _ in ours},
        decimals=tuple(decimals),
    )


def check_table(table: TableConfig) -> None:
    """Refuses a table that cannot be laid out, before anything is run.

    That its cells name rows, columns, members and arms that there are is for `parse_tables` to say.

    Raises:
      ConfigError: an unknown paper or table; rows or columns that are not exactly the printed ones in their order;
        `cells` where the paper prints nothing; a row that names an arm but has no figure, or no row that has one; an
        unknown split or metric; "g_al" without `full_arm`.
    """
    problems = [*_heading_problems(table)] or [*_figure_problems(table)]
    if problems:
        raise ConfigError(f"tables, {table.title!r}: " + "; ".join(problems))


def _heading_problems(table: TableConfig) -> Iterator[str]:
    if not table.paper:
        return
    try:
        printed = printed_table(table.paper, table.table)
    except ConfigError as error:
        yield str(error)
        return
    yield from _difference("rows", tuple(table.rows), printed.rows)
    yield from _difference("columns", tuple(table.columns), printed.columns)
    for row, of_row in table.cells.items():
        for column in of_row:
            if row in printed.rows and column in printed.columns and (row, column) not in printed.values:
                yield f"cells, {row!r}: the paper leaves column {column!r} blank, so that no figure can stand there"


def _difference(what: str, given: Sequence[str], printed: Sequence[str]) -> Iterator[str]:
    missing, extra = [each for each in printed if each not in given], [each for each in given if each not in printed]
    if missing:
        yield f"{what} of the paper are missing: {', '.join(missing)}"
    if extra:
        yield f"the paper has no {what} {', '.join(extra)}"
    if not missing and not extra and given != printed:
        yield f"{what} are not in the paper's order: {', '.join(printed)}"


def _figure_problems(table: TableConfig) -> Iterator[str]:
    ours = figures(table)
    if not ours:
        yield "none of its cells has a figure of ours; name arms and metrics"
    for row, of_row in table.rows.items():
        if ours and of_row.arm is not None and not any(place[0] == row for place in ours):
            yield f"row {row!r} names arm {of_row.arm} but none of its cells has a metric"
    for place, figure in ours.items():
        where = ", ".join(map(repr, place))
        if figure.metric == G_AL:
            if not table.full_arm:
                yield f"{where}: {G_AL} needs full_arm, the arm that is trained on every label"
            continue
        split = figure.split.partition(":")[0]
        if split not in _SPLITS:
            yield f"{where}: unknown split {figure.split}{nearest(figure.split, list(_SPLITS))}"
            continue
        of_class = figure.class_name != ""
        known = [*metric_names(figure.split, of_class=of_class)]
        known += () if of_class else _OF_FITS.get(figure.split, ())
        if figure.metric not in known:
            of = f"{figure.split}, {'a class' if of_class else 'all classes'}"
            yield f"{where}: there is no metric {figure.metric} of {of}{nearest(figure.metric, known)}"


def _values(
    table: TableConfig, ours: Mapping[Place, Figure], place: Place, runs_of: Mapping[str, MemberRuns]
) -> dict[int, Value] | None:
    """Look up a cell's figure for each seed, on the paper's scale; None where there is none."""
    figure = ours.get(place)
    if figure is None:
        return None
    try:
        if figure.metric == G_AL:
            others = [each for (row, _), each in ours.items() if row == place[0] and each.metric != G_AL]
            return seed_gains(others, table.full_arm, runs_of)
        values = seed_values(figure, runs_of)
    except ConfigError as error:
        raise ConfigError(f"tables, {table.title!r}, {', '.join(map(repr, place))}: {error}") from error
    return values and {seed: None if value is None else value * table.scale for seed, value in values.items()}


def _laid(paper: float | None, values: Mapping[int, Value] | None) -> LaidCell:
    if values is None:
        return LaidCell(paper, None, None, 0)
    ours = interval(list(values.values()))
    difference = None if paper is None or ours.mean is None else ours.mean - paper
    return LaidCell(paper, ours, difference, len(values))
