"""The external test set beside the internal one, wherever there is one, each by its name."""

from typing import NamedTuple

from jaxal.evaluation.learning_curve import Row
from jaxal.report.curve_panel import METRICS, Metric

__all__ = ["EXTERNAL", "Shown", "external_rows", "shown_metrics", "titled"]

# What is shown of an external test set: columns of results.csv, which has the internal one's.
EXTERNAL = {
    name: METRICS[name]._replace(key=f"external_{name}") for name in ("auroc", "average_precision", "balanced_accuracy")
}
_OF_TEST = (*EXTERNAL, "accuracy")


class Shown(NamedTuple):
    """A metric with the rows that it is read from."""

    metric: Metric  # its title names the test set where there are two
    column: str  # of the rows
    rows: list[Row]
    part: str  # "test" or "external"


def external_rows(rows: list[Row], metric_rows: list[Row]) -> list[Row]:
    """Puts the external test set's scores where rows of results.csv have the internal one's; [] where there is none.

    Args:
      rows: of results.csv, typed.
      metric_rows: of metrics.csv, typed.
    """
    values = {
        (row["arm"], row["seed"], row["round"], row["metric"]): row["value"]
        for row in metric_rows
        if row["split"] == "external" and row["class"] == "" and row["metric"] in EXTERNAL
    }
    if not values:
        return []
    return [
        row | {column: values.get((row["arm"], row["seed"], row["round"], column)) for column in EXTERNAL}
        for row in rows
    ]


def shown_metrics(rows: list[Row], external: list[Row], columns: tuple[str, ...]) -> list[Shown]:
    """Lists metrics in the order to show them: the external test set's next to the internal one's, both named then.

    Args:
      rows: of results.csv.
      external: as `external_rows` returns them.
      columns: of results.csv.
    """
    shown = []
    for column in columns:
        metric = METRICS[column]
        if external and column in _OF_TEST:
            metric = metric._replace(title=titled("Internal test", metric))
        shown.append(Shown(metric, column, rows, "test"))
        if external and column in EXTERNAL:
            metric = EXTERNAL[column]
            shown.append(Shown(metric._replace(title=titled("External test", metric)), column, external, "external"))
    return shown


def titled(part: str, metric: Metric) -> str:
    """Names a metric of a part of the data, such as "External test: average precision"."""
    title = metric.title if metric.title.isupper() else metric.title[0].lower() + metric.title[1:]
    return f"{part}: {title}"
