"""The result table: one row for each arm at its last round."""

from collections.abc import Sequence

from jaxal.evaluation.learning_curve import Interval, Row, interval, learning_curves, require_columns
from jaxal.report.seconds import arm_seconds
from jaxal.report.wording import NOT_DEFINED, estimate

__all__ = ["last_rounds", "markdown", "summary_table"]

_SECONDS = ("seconds_train", "seconds_embed", "seconds_acquire")


def summary_table(rows: list[Row], *, external: Sequence[Row] = (), confidence: float = 0.95) -> list[dict[str, str]]:
    """Summarizes every arm at the last round of each of its seeds, in order of first appearance.

    Args:
      rows: Typed rows of results.csv, keys as in its header; None where a cell is empty.
      external: The same rows with the scores of an external test set, if there is one.
      confidence: Coverage of the intervals behind "±", Student-t over seeds.

    Returns:
      For each arm, ready to print: `arm`, `seeds`, `labels` (mean number labeled), `auroc` and
      `average_precision` ("0.912 ± 0.013"; "0.912" from one seed; "not defined" from none; "(2 of 3 seeds)" added
      where only some define it; with an external test set these are `internal_` and `external_auroc`, `internal_` and
      `external_average_precision`, side by side), `minority_found` (mean), `seconds` (mean over seeds of train + embed
      + acquire over all rounds).

    Raises:
      InputError: a row without one of these columns, or two rows of one arm, seed and round.
    """
    require_columns(rows, ("auroc", "average_precision", "minority_labeled", *_SECONDS))
    arms = list(learning_curves(rows, "num_labeled"))
    seconds = {each.arm: each.total for each in arm_seconds(rows)}
    table = []
    for arm in arms:
        # Seeds end with unequal rounds where they stopped at a plateau.
        ends = last_rounds(rows, arm)

        def at_end(rows: Sequence[Row], arm: str = arm, ends: dict[int, int] = ends) -> list[Row]:
            return [row for row in rows if row["arm"] == arm and row["round"] == ends[row["seed"]]]

        def over_seeds(rows: list[Row], column: str) -> Interval:
            return interval([row[column] for row in rows], confidence)

        last = at_end(rows)
        scores = {
            f"{part}{column}": estimate(over_seeds(at_end(of_part), column), len(last))
            for column in ("auroc", "average_precision")
            for part, of_part in ({"internal_": rows, "external_": external} if external else {"": rows}).items()
        }
        labels = sum(row["num_labeled"] for row in last) / len(last)
        table.append(
            {
                "arm": arm,
                "seeds": str(len(last)),
                "labels": f"{labels:.0f}" if labels.is_integer() else f"{labels:.1f}",
                **scores,
                "minority_found": _one_decimal(over_seeds(last, "minority_labeled").mean),
                "seconds": _one_decimal(seconds.get(arm)),
            }
        )
    return table


def last_rounds(rows: Sequence[Row], arm: str) -> dict[int, int]:
    """Returns the last round of each seed of an arm, by seed."""
    ends: dict[int, int] = {}
    for row in rows:
        if row["arm"] == arm:
            ends[row["seed"]] = max(row["round"], ends.get(row["seed"], 0))
    return ends


def markdown(table: list[dict[str, str]]) -> str:
    """Lays a table out as Markdown, numbers to the right; an empty table is an empty string.

    >>> print(markdown([{"arm": "random", "labels": "40"}]), end="")
    | arm | labels |
    | :-- | --: |
    | random | 40 |
    """
    if not table:
        return ""
    columns = list(table[0])
    lines = [
        [column.replace("_", " ") for column in columns],
        [":--" if column == "arm" else "--:" for column in columns],
        *([row[column].replace("|", "\\|") for column in columns] for row in table),
    ]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _one_decimal(mean: float | None) -> str:
    return NOT_DEFINED if mean is None else f"{mean:.1f}"
