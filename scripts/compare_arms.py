r"""Put into a document by how much an arm is ahead of the others of a finished study, in pairs of equal seeds.

.venv/bin/python scripts/compare_arms.py runs/fashion_mnist_regrouping docs/benchmarks.md \
  average_precision=regrouping_sum balanced_accuracy=regrouping_argmax

The document holds a block between `<!-- compare NAME: begin -->` and `<!-- compare NAME: end -->`, NAME being the
study's. Each METRIC=ARM makes two columns: each arm's mean, and ARM's lead over it.
"""

import argparse
import csv
import json
import re
import sys
import tomllib
from pathlib import Path

from jaxal.evaluation.comparison import paired_difference
from jaxal.evaluation.learning_curve import Interval, Row, interval


def read_rows(workdir: Path) -> list[Row]:
    """Read results.csv, typed; None where a cell is empty."""
    with open(workdir / "results.csv", newline="", encoding="utf-8") as file:
        return [
            {key: (text if key == "arm" else float(text) if text else None) for key, text in row.items()}
            for row in csv.DictReader(file)
        ]


def shown(values: Interval) -> str:
    """Write mean ± half of the interval."""
    if values.mean is None:
        return "not defined"
    return f"{values.mean:+.3f}" if values.high is None else f"{values.mean:+.3f} ± {values.high - values.mean:.3f}"


def report(workdir: Path, leads: list[tuple[str, str]]) -> str:
    """Return the table in Markdown."""
    rows = read_rows(workdir)
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    heads = [head for metric, arm in leads for head in (metric, f"{arm} is ahead by")]
    lines = [f"| arm | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    for arm in arms:
        cells = []
        for metric, leader in leads:
            last = {row["seed"]: row[metric] for row in rows if row["arm"] == arm}  # rounds in order: the last stands
            mean = shown(interval(list(last.values()))).removeprefix("+")
            cells += [mean, "" if arm == leader else shown(paired_difference(rows, leader, arm, metric))]
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    environment = json.loads((workdir / "environment.json").read_text())
    num_seeds = len({row["seed"] for row in rows})
    note = (
        f"Means over {num_seeds} seeds ± half of the 95 % interval (Student-t); leads are of the same seed, arm by arm."
        f" Python {environment['python']}, jax {environment['packages']['jax']}. Put here by `scripts/compare_arms.py`."
    )
    return "\n".join([*lines, "", note])


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir", type=Path, help="run folder of a finished study")
    parser.add_argument("document", type=Path)
    parser.add_argument(
        "leads", nargs="+", metavar="METRIC=ARM", help="a column of results.csv, and whose lead to show"
    )
    options = parser.parse_args()
    table = report(options.workdir, [tuple(each.split("=", 1)) for each in options.leads])
    print(table)
    name = tomllib.loads((options.workdir / "config.toml").read_text())["name"]
    begin, end = f"<!-- compare {name}: begin -->", f"<!-- compare {name}: end -->"
    text, count = re.subn(
        f"{begin}.*?{end}", lambda _: f"{begin}\n{table}\n{end}", options.document.read_text(), flags=re.DOTALL
    )
    if count != 1:
        sys.exit(f"{options.document}: expected one block between {begin} and {end}, found {count}")
    options.document.write_text(text)


if __name__ == "__main__":
    main()
