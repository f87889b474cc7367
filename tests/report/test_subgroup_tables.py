"""Scores of subgroups against hand computation."""

from scipy import stats

from jaxal.report.page import write_report
from jaxal.report.round_tables import Cell
from jaxal.report.subgroup_tables import subgroup_tables
from report.report_samples import sample


def metric_rows(inputs, scores):
    """Make rows of metrics.csv: (split, images, of the minority) -> a function of a row that gives the AUROC."""
    made = []
    for row in inputs.rows:
        for (split, images, rare), auroc in scores.items():
            values = {("", "num_samples"): images, ("", "auroc"): auroc(row), ("rare", "count"): rare}
            for (class_name, metric), value in values.items():
                made.append(
                    {key: row[key] for key in ("arm", "seed", "round")}
                    | {"split": split, "class": class_name, "metric": metric, "value": value}
                )
    return made


SCORES = {
    ("test", 100, 10): lambda row: 0.8,
    ("test:sex=female", 40, 6): lambda row: 0.7 + 0.01 * row["seed"] + 0.1 * row["round"],
    ("test:sex=male", 57, 4): lambda row: None if row["seed"] == 2 else 0.6,
    ("test:sex=not given", 3, 0): lambda row: None,
    ("test:age=under 30", 100, 10): lambda row: 0.5,
    ("external", 9, 2): lambda row: 0.4,
    ("external:sex=female", 5, 1): lambda row: 0.3,
}


def test_arms_and_subgroups_at_the_last_round():
    inputs = sample()
    inputs = inputs._replace(metric_rows=metric_rows(inputs, SCORES))
    tables = {table.title: table for table in subgroup_tables(inputs)}
    assert [title for title in tables if title.endswith("AUROC")] == [
        "Internal test, by sex: AUROC",
        "Internal test, by age: AUROC",
        "External test, by sex: AUROC",
    ]
    assert len(tables) == 9
    table = tables["Internal test, by sex: AUROC"]
    assert table.columns == (
        ("all", "100 images, 10 of rare"),
        ("female", "40 images, 6 of rare"),
        ("male", "57 images, 4 of rare"),
        ("not given", "3 images, 0 of rare"),
    )
    half = stats.sem([0.9, 0.91, 0.92]) * stats.t.ppf(0.975, 2)
    random, _, full = table.rows
    cells = ("0.800 ± 0.000", f"0.910 ± {half:.3f}", "0.600 ± 0.000 (2 of 3 seeds)", "not defined")
    assert random == ("random", tuple(map(Cell, cells)), False)
    assert (full[0], full[1][1].text, full[2]) == ("full", f"0.710 ± {half:.3f}", True)
    external = tables["External test, by sex: AUROC"]
    assert [name for name, _ in external.columns] == ["all", "female"]
    assert external.rows[0][1] == (Cell("0.400 ± 0.000"), Cell("0.300 ± 0.000"))
    assert tables["Internal test, by sex: average precision"].rows[0][1][1] == Cell("")


def test_a_subgroup_that_some_test_sets_lack_is_of_the_others():
    inputs = sample()
    rows = [
        row
        for row in metric_rows(inputs, SCORES)
        if not (row["split"] == "test:sex=female" and row["seed"] == 0) and row["split"] in ("test", "test:sex=female")
    ]
    table = subgroup_tables(inputs._replace(metric_rows=rows))[0]
    assert table.columns[1] == ("female", "40 images, 6 of rare")
    assert table.rows[2][1][1].text.startswith("0.715 ± ")


def test_the_page_has_them_only_where_there_are_such_facts(tmp_path):
    inputs = sample()
    assert subgroup_tables(inputs) == []
    assert 'id="subgroups"' not in write_report(inputs, tmp_path).read_text()
    page = write_report(inputs._replace(metric_rows=metric_rows(inputs, SCORES)), tmp_path).read_text()
    assert 'id="subgroups"' in page
    assert "Internal test, by age: AUROC" in page
