"""Put what a run of an Aggarwal family came to into a document: a table of its methods, and what pairs of runs say.

.venv/bin/jaxal run configs/papers/aggarwal_small.toml
.venv/bin/python scripts/aggarwal_findings.py runs/aggarwal_small docs/papers.md

The document holds a block between `<!-- aggarwal_small: begin -->` and `<!-- aggarwal_small: end -->`, named as the
folder. A pair is one method, data set, budget and seed, with balancing and without.
"""

import argparse
import csv
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from measure_study import write_block

from jaxal.evaluation.learning_curve import interval
from jaxal.report.tables import markdown

METHODS = ("random", "ent", "ms", "lc", "ent_inv", "ent_div", "ent_inv_div", "ms_inv_div", "lc_inv_div", "core_set")
DATASETS, BUDGETS = ("food101", "cifar100", "imn100", "mit67"), ("500", "1000", "2000")
BEFORE = "Table 2. Top-1 averaged over classes, before balancing"
AFTER = "Table 3. Top-1 averaged over classes, after balancing"
NO_DENOMINATOR = "Top-1 averaged over classes, after balancing without Eq. 9's denominator"

Runs = dict[tuple[str, str], dict[int, float]]  # (member, arm) -> seed -> value


def read_metric(folder: Path, metric: str) -> Runs:
    """Read a metric of the labels after the query, of every member, arm and seed."""
    found: Runs = {}
    for path in sorted(folder.glob("*/metrics.csv")):
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                key = (row["round"], row["split"], row["class"], row["metric"])
                if key == ("1", "pool", "", metric) and row["value"]:
                    found.setdefault((path.parent.name, row["arm"]), {})[int(row["seed"])] = float(row["value"])
    return found


def read_gains(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Read G_AL of every method from tables.csv, by table and row."""
    with open(folder / "tables.csv", newline="", encoding="utf-8") as file:
        return {(row["table"], row["row"]): row for row in csv.DictReader(file) if row["column"] == "G_AL"}


def shown(values: Iterable[float]) -> str:
    """Write mean ± half of the interval."""
    of = interval(list(values))
    return f"{of.mean:.2f}" if of.high is None or of.mean is None else f"{of.mean:.2f} ± {of.high - of.mean:.2f}"


def gain(row: dict[str, str]) -> str:
    """Write G_AL, its interval, and the paper's in brackets."""
    paper = f" ({float(row['paper']):.2f})" if row["paper"] else ""
    return f"{float(row['ours']):.2f} ± {float(row['high']) - float(row['ours']):.2f}{paper}"


def methods_table(folder: Path, found: Runs, ir: Runs) -> str:
    """Lay the methods beside each other; classes and ir are those of the first data set."""
    gains = read_gains(folder)
    first, large, bare = f"{DATASETS[0]}-500", f"{DATASETS[0]}-2000", f"{DATASETS[0]}_no_denominator-2000"
    rows = []
    for method in METHODS:
        name = method.replace("core_set", "core-set")
        rows.append(
            {
                "method": name,
                "G before (paper)": gain(gains[BEFORE, name]),
                "G after (paper)": gain(gains[AFTER, name]),
                "classes found before": shown(found[first, method].values()),
                "classes found after": shown(found[first, f"{method}_balanced"].values()),
                "ir before": shown(ir[large, method].values()),
                "ir after": shown(ir[large, f"{method}_balanced"].values()),
                "ir after, no denominator": shown(ir[bare, f"{method}_balanced"].values()),
            }
        )
    return markdown(rows)


def pairs(values: Runs, one: Callable[[str], str], other: Callable[[str], str], budgets: Iterable[str]) -> dict:
    """Subtract the value of one arm from another's, of the same data set, budget and seed; by method."""
    differences: dict[str, list[float]] = {method: [] for method in METHODS}
    for method in METHODS:
        for member in (f"{dataset}-{budget}" for dataset in DATASETS for budget in budgets):
            first, second = values[member, one(method)], values[member, other(method)]
            differences[method] += [second[seed] - first[seed] for seed in first]
    return differences


def findings(folder: Path) -> str:
    """Return the block."""
    found, ir = read_metric(folder, "classes_found"), read_metric(folder, "ir")
    lowered = pairs(ir, str, "{}_balanced".format, BUDGETS)
    every = np.array([each for differences in lowered.values() for each in differences])
    by_method = {method: float(np.mean(differences)) for method, differences in lowered.items()}
    lines = [
        methods_table(folder, found, ir),
        "G is G_AL, the paper's in brackets. Classes found are of 50 labels and ir of 200, in Food-101's place."
        " Intervals are of 95 %, over seeds. Put here by `scripts/aggarwal_findings.py`.",
        "",
        f"* Balancing lowers ir in {int(np.sum(every < 0))} of {len(every)} pairs, by {-every.mean():.2f} in the mean;"
        " by method "
        + ", ".join(f"`{name}` {-value:.2f}" for name, value in sorted(by_method.items(), key=lambda each: each[1]))
        + ".",
    ]
    for budget in BUDGETS:
        ahead = pairs(found, lambda _: "ent", lambda _: "ent_inv_div", [budget])["ent"]
        means = [
            np.mean([v for dataset in DATASETS for v in found[f"{dataset}-{budget}", arm].values()])
            for arm in ("ent", "ent_inv_div")
        ]
        lines.append(
            f"* Classes found with {int(budget) // 10} labels, all data sets: `ent_inv_div` {means[1]:.1f}, `ent`"
            f" {means[0]:.1f}; more in {sum(each > 0 for each in ahead)} of {len(ahead)} pairs of data set and seed, as"
            f" many in {sum(each == 0 for each in ahead)}, fewer in {sum(each < 0 for each in ahead)}."
        )
    gains = read_gains(folder)
    names = [method.replace("core_set", "core-set") for method in METHODS]
    raised = {name: float(gains[AFTER, name]["ours"]) - float(gains[BEFORE, name]["ours"]) for name in names}
    changes = ", ".join(f"`{name}` {round(value, 2) + 0.0:+.2f}" for name, value in raised.items())
    lines.append(f"* G_AL by balancing: {changes}.")
    thresholded = [float(gains[BEFORE.replace(".", " with thresholding.", 1), name]["ours"]) for name in names]
    lines.append(f"* Thresholded, before balancing: G_AL from {min(thresholded):.2f} to {max(thresholded):.2f}.")
    bare = np.mean([float(gains[NO_DENOMINATOR, name]["ours"]) for name in names])
    with_it = np.mean([mean_gain(folder, name) for name in names])
    fewer = sum(
        np.mean(list(ir[f"{DATASETS[0]}_no_denominator-2000", f"{method}_balanced"].values()))
        > np.mean(list(ir[f"{DATASETS[0]}-2000", f"{method}_balanced"].values()))
        for method in METHODS
    )
    lines.append(
        f"* Without the denominator of Eq. 9, in Food-101's place: G_AL {bare:.2f} in the mean of the methods, with it"
        f" {with_it:.2f}; at 200 labels ir ends higher without it for {fewer} of {len(METHODS)} methods."
    )
    return "\n".join(lines)


def mean_gain(folder: Path, name: str) -> float:
    """Compute G_AL of the first data set alone, from the balanced cells of Table 3 and all labels."""
    with open(folder / "tables.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    full = next(float(row["ours"]) for row in rows if row["row"] == "Full" and row["column"] == "Food-101")
    cells = [
        float(row["ours"])
        for row in rows
        if row["table"] == AFTER and row["row"] == name and row["column"].startswith("Food-101 ")
    ]
    return float(np.mean([(cell - full) / (100 - full) for cell in cells]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the run, finished")
    parser.add_argument("document", type=Path, nargs="?", help="to put it into; printed where absent")
    options = parser.parse_args()
    text = findings(options.folder)
    if options.document is None:
        print(text)
    else:
        write_block(options.document, options.folder.resolve().name, text)


if __name__ == "__main__":
    main()
