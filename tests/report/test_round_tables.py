"""Arms × labeled shares against hand computation."""

from scipy import stats

from jaxal.report.round_tables import Cell, round_tables
from report.report_samples import changed, only, sample


def by_title(inputs):
    return {table.title: table for table in round_tables(inputs)}


def test_columns_rows_and_cells():
    tables = by_title(sample())
    assert list(tables) == ["AUROC", "Average precision", "Balanced accuracy", "Minority labels found"]
    table = tables["Average precision"]
    assert table.columns == (
        ("10 %", "10 labels"),
        ("14 %", "14 labels"),
        ("18 %", "18 labels"),
        ("100 %", "100 labels"),
    )
    half = stats.sem([0.3, 0.31, 0.32]) * stats.t.ppf(0.975, 2)
    random, cb, full = table.rows
    assert random == (
        "random",
        (Cell(f"0.310 ± {half:.3f}"), Cell(f"0.310 ± {half:.3f}"), Cell(f"0.310 ± {half:.3f}"), Cell("")),
        False,
    )
    assert cb[1][1:3] == (Cell(f"0.410 ± {half:.3f}", True), Cell(f"0.510 ± {half:.3f}", True))
    assert full == ("full", (Cell(""), Cell(""), Cell(""), Cell("0.800 ± 0.000")), True)
    assert tables["Minority labels found"].rows[1][1][2] == Cell("7.0 ± 0.0", True)


def test_a_tie_and_a_single_arm_mark_nobody():
    tied = changed(sample(), lambda row: {"auroc": 0.7 + (1e-5 if row["arm"] == "cb" else 0)})
    assert not any(cell.is_best for _, cells, _ in by_title(tied)["AUROC"].rows for cell in cells)
    alone = by_title(only(sample(), "cb"))["AUROC"]
    assert len(alone.columns) == 3
    assert not any(cell.is_best for _, cells, _ in alone.rows for cell in cells)


def test_only_means_of_as_many_seeds_are_compared():
    # Defined by one seed only, the larger value marks nothing; the two arms that all seeds define are compared.
    base = sample(has_full=False)
    third = [row | {"arm": "third", "auroc": 0.99 if row["seed"] == 0 else None} for row in base.rows]
    rows = base.rows + [row for row, of in zip(third, base.rows, strict=True) if of["arm"] == "cb"]
    inputs = base._replace(rows=rows, planned_rounds={**base.planned_rounds, "third": 3})
    table = by_title(inputs)["AUROC"]
    assert table.rows[2][1][2] == Cell("0.990 (1 of 3 seeds)")
    assert [cells[2].is_best for _, cells, _ in table.rows] == [False, True, False]
    assert not any(
        cell.is_best for _, cells, _ in by_title(only(inputs, "cb", "third"))["AUROC"].rows for cell in cells
    )


def test_an_external_test_set_stands_beside_the_internal_one():
    inputs = sample()
    values = {"auroc": 0.55, "average_precision": None}
    external = [
        {
            **{key: row[key] for key in ("arm", "seed", "round")},
            "split": "external",
            "class": "",
            "metric": m,
            "value": v,
        }
        for row in inputs.rows
        for m, v in values.items()
    ]
    tables = by_title(inputs._replace(metric_rows=external))
    assert list(tables) == [
        "Internal test: AUROC",
        "External test: AUROC",
        "Internal test: average precision",
        "External test: average precision",
        "Internal test: balanced accuracy",
        "External test: balanced accuracy",
        "Minority labels found",
    ]
    assert tables["External test: AUROC"].columns == tables["Internal test: AUROC"].columns
    assert tables["External test: AUROC"].rows[0][1][0] == Cell("0.550 ± 0.000")
    assert tables["External test: average precision"].rows[1][1][1] == Cell("not defined")


def test_full_never_counts_as_best():
    table = by_title(sample())["Average precision"]
    assert [cell.is_best for cell in table.rows[2][1]] == [False] * 4


def test_what_is_missing_is_empty_and_what_is_undefined_is_said():
    inputs = changed(sample(), lambda row: {"auroc": None if row["seed"] == 0 else 0.7})
    inputs = inputs._replace(rows=[row for row in inputs.rows if (row["arm"], row["round"]) != ("cb", 2)])
    random, cb, _ = by_title(inputs)["AUROC"].rows
    assert random[1][2] == Cell("0.700 ± 0.000 (2 of 3 seeds)")
    assert cb[1][2] == Cell("")
    undefined = by_title(changed(sample(seeds=(0,)), lambda row: {"auroc": None}))["AUROC"]
    assert {cell.text for _, cells, _ in undefined.rows for cell in cells} == {"", "not defined"}


def test_unequal_numbers_of_labels_are_a_range():
    inputs = changed(sample(), lambda row: {"num_labeled": row["num_labeled"] + 1000 * (row["seed"] == 0)})
    assert by_title(inputs)["AUROC"].columns[0][1] == "10–1,010 labels"


def test_nothing_finished_leaves_names_alone():
    table = by_title(sample(rows=[]))["AUROC"]
    assert table.columns == ()
    assert [(arm, cells) for arm, cells, _ in table.rows] == [("random", ()), ("cb", ()), ("full", ())]


def test_beyond_a_stop_a_cell_says_of_how_many_seeds_it_is():
    inputs = sample(stopped={("cb", 0): 1, ("cb", 2): 1})
    inputs = inputs._replace(rows=[r for r in inputs.rows if (r["arm"], r["seed"]) != ("cb", 0) or r["round"] < 2])
    inputs = inputs._replace(rows=[r for r in inputs.rows if (r["arm"], r["seed"]) != ("cb", 2) or r["round"] < 2])
    random, cb, _ = by_title(inputs)["AUROC"].rows
    assert cb[1][1].text == random[1][1].text.replace("0.710", "0.810")
    assert cb[1][2] == Cell("0.910 (1 of 3 seeds)")
    assert random[1][2].is_best is False  # of more seeds, but alone so


def test_where_the_last_round_alone_is_scored_there_are_no_columns_of_others():
    scores = dict.fromkeys(("auroc", "average_precision", "balanced_accuracy"))
    unscored = changed(sample(), lambda row: scores if row["arm"] != "full" and row["round"] < 2 else {})
    tables = by_title(unscored._replace(scores_last=True))
    assert tables["AUROC"].columns == (("18 %", "18 labels"), ("100 %", "100 labels"))
    assert [[cell.text[:5] for cell in cells] for _, cells, _ in tables["AUROC"].rows] == [
        ["0.710", ""],
        ["0.910", ""],
        ["", "0.600"],
    ]
    assert len(tables["Minority labels found"].columns) == 4
