"""The result table: one row for each arm at its last round."""

from jaxal.evaluation.learning_curve import Interval, Row, interval, learning_curves, require_columns
from jaxal.report.seconds import arm_seconds
from jaxal.report.wording import NOT_DEFINED, estimate

__all__ = ["markdown", "summary_table"]

_SECONDS = ("seconds_train", "seconds_embed", "seconds_acquire")


def summary_table(rows: list[Row], *, confidence: float = 0.95) -> list[dict[str, str]]:
    """Summarizes every arm at the last round of each of its seeds, in order of first appearance.

    Args:
      rows: Typed rows of results.csv, keys as in its header; None where a cell is empty.
      confidence: Coverage of the intervals behind "±", Student-t over seeds.

    Returns:
      For each arm, ready to print: `arm`, `seeds`, `labels` (mean number labeled), `auroc` and
      `average_precision` ("0.912 ± 0.013"; "0.912" from one seed; "not defined" from none; "(2 of 3 seeds)" added
      where only some define it), `minority_found` (mean), `seconds` (mean over seeds of train + embed + acquire over
      all rounds).

    Raises:
      InputError: a row without one of these columns, or two rows of one arm, seed and round.
    """
    require_columns(rows, ("auroc", "average_precision", "minority_labeled", *_SECONDS))
    arms = list(learning_curves(rows, "num_labeled"))
    seconds = {each.arm: each.total for each in arm_seconds(rows)}
    table = []
    for arm in arms:
        # Seeds end with unequal rounds where they stopped at a plateau.
        of_seeds = {row["seed"]: row for row in sorted(rows, key=lambda row: row["round"]) if row["arm"] == arm}
        last = list(of_seeds.values())

        def at_last_round(column: str, last: list[Row] = last) -> Interval:
            return interval([row[column] for row in last], confidence)

        labels = sum(row["num_labeled"] for row in last) / len(last)
        table.append(
            {
                "arm": arm,
                "seeds": str(len(last)),
                "labels": f"{labels:.0f}" if labels.is_integer() else f"{labels:.1f}",
                "auroc": estimate(at_last_round("auroc"), len(last)),
                "average_precision": estimate(at_last_round("average_precision"), len(last)),
                "minority_found": _one_decimal(at_last_round("minority_labeled").mean),
                "seconds": _one_decimal(seconds.get(arm)),
            }
        )
    return table


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
