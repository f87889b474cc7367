"""Which figure of ours stands in each cell of a paper's table, and its value for each seed."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from jaxal.config.keys import nearest
from jaxal.config.tables import CellConfig, TableConfig
from jaxal.errors import ConfigError, InputError
from jaxal.evaluation.comparison import active_learning_gain
from jaxal.evaluation.learning_curve import Row
from jaxal.report.printed import printed_table

__all__ = ["G_AL", "Figure", "MemberRuns", "Place", "Value", "figures", "member_runs", "seed_gains", "seed_values"]

G_AL = "g_al"

Place = tuple[str, str]  # row, column
Value = float | int | None  # None: not defined


class Figure(NamedTuple):
    """Which figure of ours stands in a cell."""

    member: str | None  # None: the only one there is
    arm: str
    round: int  # -1: each seed's last
    split: str
    class_name: str  # "": over all classes
    metric: str
    full_member: str | None  # whose full arm "g_al" measures it from


class MemberRuns(NamedTuple):
    """The rows of a study's metrics.csv, to be looked up."""

    last: dict[str, dict[int, int]]  # arm -> seed -> its last round
    values: dict[tuple[str, int, int], dict[tuple[str, str, str], Value]]  # run -> (split, class, metric)


def figures(table: TableConfig) -> dict[Place, Figure]:
    """Lists the cells that have a figure of ours, row by row, and which it is.

    A cell has none where neither it, its row, its column nor the table names an arm, or a metric; where the paper
    leaves it blank; or where it is "g_al" in a row without other figures.

    Raises:
      ConfigError: the printed table is unknown.
    """
    printed = printed_table(table.paper, table.table).values if table.paper else None
    found: dict[Place, Figure] = {}
    for row, of_row in table.rows.items():
        gains: dict[Place, CellConfig] = {}
        columns = [column for column in table.columns if printed is None or (row, column) in printed]
        for column in columns:
            own = table.cells.get(row, {}).get(column, CellConfig())
            cell = _merged(own, of_row, table.columns[column], table.cell)
            if cell.metric == G_AL:
                gains[row, column] = cell
            elif cell.arm and cell.metric:
                found[row, column] = _figure(cell)
        if any(place[0] == row for place in found):
            found |= {place: _figure(cell) for place, cell in gains.items()}
    return found


def member_runs(rows: Sequence[Row], metrics: Collection[str]) -> MemberRuns:
    """Prepares what the typed rows of a study's metrics.csv say of some metrics; with many classes they are millions.

    Args:
      rows: arm, seed, round, split, class, metric, value.
      metrics: names.
    """
    runs = MemberRuns({}, {})
    for row in rows:
        if row["metric"] not in metrics:
            continue
        arm, seed, number = row["arm"], row["seed"], row["round"]
        ends = runs.last.setdefault(arm, {})
        ends[seed] = max(number, ends.get(seed, 0))
        of_run = runs.values.setdefault((arm, seed, number), {})
        of_run[row["split"], row["class"], row["metric"]] = row["value"]
    return runs


def seed_values(figure: Figure, runs_of: Mapping[str, MemberRuns]) -> dict[int, Value] | None:
    """Looks a figure up for every seed that has begun its arm: None where not defined, or not come to that round yet.

    Returns:
      None where no seed has it yet: the member or the arm has not been run so far, or the figure waits for another.

    Raises:
      ConfigError: no member is named where there are several; or the rounds are there but without the split or class.
    """
    runs = _runs(figure, runs_of)
    if runs is None or figure.arm not in runs.last:
        return None
    cells = {
        seed: runs.values.get((figure.arm, seed, last if figure.round == -1 else figure.round), {})
        for seed, last in runs.last[figure.arm].items()
    }
    key = (figure.split, figure.class_name, figure.metric)
    if any(key in each for each in cells.values()):
        return {seed: each.get(key) for seed, each in cells.items()}
    there = [known for each in cells.values() for known in each]
    _require("split", figure.split, [split for split, _, _ in there], figure)
    _require("class", figure.class_name, [name for split, name, _ in there if split == figure.split], figure)
    return None


def seed_gains(others: Sequence[Figure], full_arm: str, runs_of: Mapping[str, MemberRuns]) -> dict[int, Value] | None:
    """Averages (x - full)/(1 - full) over figures, for every seed that has begun any of their arms.

    Args:
      others: x, shares in [0, 1].
      full_arm: full is the same figure of this arm, at its last round, in the figure's `full_member`.
      runs_of: by member.

    Returns:
      None for a seed that lacks one of them, x or full; nothing at all where some are not there for any seed yet.

    Raises:
      ConfigError: as `seed_values`, or a figure is no share.
    """
    pairs = [
        (
            seed_values(each, runs_of),
            seed_values(each._replace(member=each.full_member, arm=full_arm, round=-1), runs_of),
        )
        for each in others
    ]
    known = [values for pair in pairs for values in pair if values is not None]
    if len(known) < 2 * len(pairs):
        return None
    gains: dict[int, Value] = {}
    for seed in sorted({seed for values in known for seed in values}):
        scores = [(x.get(seed), full.get(seed)) for x, full in pairs if x is not None and full is not None]
        paired = [(x, full) for x, full in scores if x is not None and full is not None]
        try:
            gain = active_learning_gain([x for x, _ in paired], [full for _, full in paired])
        except InputError as error:
            raise ConfigError(f"{G_AL} of {', '.join(sorted({each.metric for each in others}))}: {error}") from error
        gains[seed] = gain if len(paired) == len(scores) else None
    return gains


def _merged(*cells: CellConfig) -> CellConfig:
    """Take each setting from the first that has it."""
    names = CellConfig.__struct_fields__
    chosen: dict[str, Any] = {
        name: next((value for cell in cells if (value := getattr(cell, name)) is not None), None) for name in names
    }
    return CellConfig(**chosen)


def _figure(cell: CellConfig) -> Figure:
    number = -1 if cell.round is None else cell.round
    return Figure(
        member=cell.member,
        arm=cell.arm or "",
        round=number,
        split=cell.split or "test",
        class_name=cell.class_name or "",
        metric=cell.metric or "",
        full_member=cell.member if cell.full_member is None else cell.full_member,
    )


def _runs(figure: Figure, runs_of: Mapping[str, MemberRuns]) -> MemberRuns | None:
    if figure.member is not None:
        return runs_of.get(figure.member)
    if len(runs_of) > 1:
        raise ConfigError(f"{figure.arm} {figure.metric}: no member is named; there are {', '.join(runs_of)}")
    return next(iter(runs_of.values()), None)


def _require(what: str, name: str, known: Sequence[str], figure: Figure) -> None:
    names = sorted(set(known))
    if names and name not in names:
        of_member = f" of member {figure.member}" if figure.member else ""
        raise ConfigError(f"{figure.arm} {figure.metric}{of_member}: no {what} {name!r}{nearest(name, names)}")
