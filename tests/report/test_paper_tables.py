"""Our figures beside a paper's, in its rows and columns."""

import csv
import html.parser
import io
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxal.config.tables import CellConfig, TableConfig
from jaxal.errors import ConfigError
from jaxal.evaluation.comparison import active_learning_gain
from jaxal.evaluation.learning_curve import Interval, interval
from jaxal.report import printed as printed_csv
from jaxal.report.paper_tables import check_table, lay_out, markdown, tables_text
from jaxal.report.printed import printed_table, printed_tables
from jaxal.report.templates import template
from jaxal.report.wording import visible

BEFORE, AFTER = "2 before balancing", "3 after balancing"
SETS = {"Food-101": "food", "CIFAR-100": "cifar", "IMN-100": "imn", "MIT-67": "mit"}


def row(arm, seed, value, number=0, split="test", class_name="", metric="accuracy"):
    place = {"arm": arm, "seed": seed, "round": number}
    return place | {"split": split, "class": class_name, "metric": metric, "value": value}


def table_of(paper="", name="", rows=None, columns=None, **changed):
    """A table with the printed headings, whose arms are named as its rows, unless others are given."""
    printed = printed_table(paper, name) if paper else None
    rows = rows or {each: CellConfig(arm=each) for each in printed.rows}
    columns = columns or {each: CellConfig(metric="accuracy") for each in printed.columns}
    return TableConfig(title="T", paper=paper, table=name, rows=rows, columns=columns, **changed)


def small(rows=("a", "b"), columns=("x", "y"), **changed):
    columns = {name: CellConfig(metric="accuracy", round=place) for place, name in enumerate(columns)}
    return table_of(rows={name: CellConfig(arm=name) for name in rows}, columns=columns, **changed)


def cell(laid, row, column):
    return laid.cells[laid.rows.index(row)][laid.columns.index(column)]


@pytest.fixture(scope="module")
def parsed():
    """Renders tables as the page does, and reads headings and cells back."""

    class Parser(html.parser.HTMLParser):
        def __init__(self, text):
            super().__init__()
            self.inside, self.found, self.open = None, {"th": [], "td": [], "p": [], "b": []}, []
            self.feed(text)
            self.close()
            assert not self.open

        def handle_starttag(self, tag, attrs):
            self.open.append(tag)
            if tag in self.found:
                self.inside = tag
                self.found[tag].append("")

        def handle_endtag(self, tag):
            assert self.open.pop() == tag
            self.inside = None if tag in self.found else self.inside

        def handle_data(self, data):
            if self.inside:
                self.found[self.inside][-1] += data

    macro = template("paper_table.html").module.paper_table
    return lambda laid: Parser(str(macro(laid))).found


@pytest.mark.parametrize(("paper", "name"), printed_tables())
def test_rows_and_columns_are_the_paper_s(paper, name):
    lines = Path(printed_csv.__file__).with_name("paper_tables.csv").read_text(encoding="utf-8").splitlines()
    shipped = [each for each in csv.DictReader(lines) if (each["paper"], each["table"]) == (paper, name)]
    table = table_of(paper, name)
    check_table(table)
    laid = lay_out(table, {})
    assert list(laid.rows) == list(dict.fromkeys(each["row"] for each in shipped))
    assert list(laid.columns) == list(dict.fromkeys(each["column"] for each in shipped))
    values = {(each["row"], each["column"]): float(each["value"]) for each in shipped}
    cells = {(r, c): cell(laid, r, c) for r in laid.rows for c in laid.columns}
    assert {place: each.paper for place, each in cells.items() if each.paper is not None} == values
    assert all(each[1:] == (None, None, 0) for each in cells.values())


@pytest.mark.parametrize("name", [BEFORE, AFTER])
def test_the_printed_accuracies_give_the_printed_gains(name):
    printed, full = printed_table("Aggarwal", name), printed_table("Aggarwal", "2-3")
    of_full = {column: CellConfig(metric="accuracy", member=SETS[column.split()[0]]) for column in printed.columns[:-1]}
    columns = {
        column: msgspec.structs.replace(each, round=place % 3) for place, (column, each) in enumerate(of_full.items())
    } | {"G_AL": CellConfig(metric="g_al")}
    table = table_of("Aggarwal", name, columns=columns, scale=100, full_arm="full")
    check_table(table)
    rows_of = {
        member: [row("full", 0, full.values["Full", named] / 100)]
        + [
            row(arm, 0, printed.values[arm, column] / 100, number=each.round)
            for arm in printed.rows
            for column, each in columns.items()
            if each.member == member
        ]
        for named, member in SETS.items()
    }
    laid = lay_out(table, rows_of)
    assert len(laid.rows) == 10
    for arm in laid.rows:
        gain = cell(laid, arm, "G_AL")
        assert gain.ours.mean == pytest.approx(gain.paper, abs=6e-4)
        assert cell(laid, arm, "MIT-67 b=2000").difference == pytest.approx(0, abs=1e-12)
    # A member that is missing leaves its own cells and every gain without a figure.
    del rows_of["imn"]
    laid = lay_out(table, rows_of)
    assert cell(laid, "ent", "IMN-100 b=500").ours is cell(laid, "ent", "G_AL").ours is None
    kept = Interval(pytest.approx(printed.values["ent", "MIT-67 b=500"]), None, None, 1)
    assert cell(laid, "ent", "MIT-67 b=500").ours == kept


def test_gains_are_of_the_same_seed_and_need_every_figure():
    table = small(columns=("x", "y"), full_arm="full")
    table = msgspec.structs.replace(table, columns=table.columns | {"G": CellConfig(metric="g_al")}, scale=100)
    scores = {0: (0.2, 0.4, 0.6), 1: (0.3, 0.5, 0.9), 2: (0.5, None, 0.8), 3: (0.5, 0.5, 1.0)}
    rows = [row("a", seed, x, number) for seed, values in scores.items() for number, x in enumerate(values[:2])]
    rows += [row("full", seed, values[2]) for seed, values in scores.items()] + [row("a", 4, 0.5)]
    laid = lay_out(table, {"": rows})
    gains = [active_learning_gain(scores[seed][:2], scores[seed][2]) for seed in (0, 1)]
    assert cell(laid, "a", "G").ours == interval(gains)
    assert cell(laid, "a", "G").seeds == 5
    assert cell(laid, "a", "y").ours == interval([40, 50, 50])
    assert cell(laid, "b", "G").ours is None
    assert lay_out(table, {"": rows[:8]}).cells[0][2].ours is None  # without a full arm
    with pytest.raises(ConfigError, match=r"'T', 'a', 'G': g_al of accuracy: accuracies: expected shares"):
        lay_out(table, {"": [*rows, row("a", 0, 40.0, 1)]})


def test_gains_may_be_measured_from_another_member():
    cells = {"x": CellConfig(metric="accuracy", member="few", full_member="all"), "G": CellConfig(metric="g_al")}
    table = small(rows=("a",), full_arm="full")
    table = msgspec.structs.replace(table, columns=cells)
    check_table(table)
    rows_of = {"few": [row("a", 0, 0.5), row("full", 0, 0.6)], "all": [row("full", 0, 0.75)]}
    assert cell(lay_out(table, rows_of), "a", "G").ours.mean == -1
    assert cell(lay_out(table, {"few": rows_of["few"]}), "a", "G").ours is None


def test_cells_that_the_paper_leaves_blank_stay_blank():
    columns = {each: CellConfig(metric="auroc") for each in ("10%", "30%", "50%", "100%")}
    printed = printed_table("CB-DAL", "2 ISIC2020 AUROC")
    rows = {each: CellConfig(arm=each) for each in printed.rows} | {"BAL (quoted)": CellConfig()}
    table = table_of("CB-DAL", "2 ISIC2020 AUROC", rows=rows, columns=columns)
    check_table(table)
    laid = lay_out(table, {"": [row(arm, seed, 0.9, metric="auroc") for arm in printed.rows for seed in (0, 1)]})
    there = {(r, c) for r in laid.rows for c in laid.columns if cell(laid, r, c).ours is not None}
    assert there == {place for place in printed.values if place[0] != "BAL (quoted)"}
    assert laid.quoted == {"BAL (quoted)"}
    assert cell(laid, "Full", "100%") == (0.904, interval([0.9, 0.9]), 0.9 - 0.904, 2)


def test_each_cell_says_more_than_its_row_then_column_then_table():
    table = small(cell=CellConfig(split="external"))
    rows = dict(table.rows, b=CellConfig(arm="b", round=-1, split="validation"))
    own = {"a": {"y": CellConfig(metric="recall", class_name="rare", split="test", round=2)}}
    table = msgspec.structs.replace(table, rows=rows, cells=own)
    check_table(table)
    found = [row("a", 0, 0.1, split="external"), row("a", 0, 0.2, 2, class_name="rare", metric="recall")]
    found += [row("b", seed, seed / 8, number, split="validation") for seed in (3, 4) for number in range(seed)]
    laid = lay_out(table, {"": found})
    means = [[each.ours.mean for each in cells] for cells in laid.cells]
    assert means == [[0.1, 0.2], [7 / 16, 7 / 16]]  # seeds whose last rounds differ


def test_a_seed_that_has_not_come_to_a_round_shows_in_the_count():
    laid = lay_out(small(), {"": [row("a", 0, 0.5), row("a", 1, 0.5), row("a", 1, 0.25, 1), row("b", 0, None)]})
    assert [each.ours for each in laid.cells[0]] == [interval([0.5, 0.5]), interval([0.25])]
    words = [[each.ours for each in of_row.cells] for of_row in laid.shown.rows]
    assert words == [["0.500 ± 0.000", "0.250 (1 of 2 seeds)"], ["not defined", ""]]
    assert "mean over 1 to 2 seeds" in laid.shown.foot[0]
    assert "one seed, so there are no intervals" in lay_out(small(), {"": [row("a", 0, 0.5)]}).shown.foot[0]
    assert "no figure yet" in lay_out(small(), {}).shown.foot[0]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"paper": "CBDAL", "table": "2 ISIC2020 AUROC"}, r"did you mean 'CB-DAL', '2 ISIC2020 AUROC'\?\); .*Regroup"),
        (
            {"paper": "Aggarwal", "table": "2-3"},
            "rows of the paper are missing: Full; the paper has no rows a, b; columns .* MIT-67; .* no columns x, y",
        ),
        ({"cell": CellConfig(split="tset")}, r"'a', 'x': unknown split tset \(did you mean test\?"),
        ({"cell": CellConfig(split="pool")}, r"'a', 'x': there is no metric accuracy of pool, all classes"),
        ({"cell": CellConfig(class_name="nv")}, "no metric accuracy of test, a class"),
        ({"cells": {"a": {"x": CellConfig(metric="g_al")}}}, "'a', 'x': g_al needs full_arm"),
        ({"columns": {"x": CellConfig()}}, "none of its cells has a figure of ours"),
        (
            {"columns": {"x": CellConfig()}, "cells": {"a": {"x": CellConfig(metric="loss")}}},
            "row 'b' names arm b but none of its cells has a metric",
        ),
    ],
)
def test_refusals_before_anything_is_run(changed, message):
    check_table(small())
    with pytest.raises(ConfigError, match=message):
        check_table(msgspec.structs.replace(small(), **changed))


def test_headings_in_another_order_and_figures_where_the_paper_has_none_are_refused():
    table = table_of("CB-DAL", "2 ISIC2020 AUROC")
    turned = dict(reversed(table.rows.items()))
    with pytest.raises(ConfigError, match=r"rows are not in the paper's order: Random, BAL \(quoted\), CB-DAL, Full"):
        check_table(msgspec.structs.replace(table, rows=turned))
    with pytest.raises(ConfigError, match="cells, 'Full': the paper leaves column '10%' blank"):
        check_table(msgspec.structs.replace(table, cells={"Full": {"10%": CellConfig(round=0)}}))


def test_what_finished_rounds_do_not_have_is_refused():
    rows = [row("a", 0, 0.5), row("a", 0, 0.5, class_name="nevus", metric="recall")]
    with pytest.raises(ConfigError, match=r"'T', 'a', 'x': a accuracy: no split 'external' \(known are test\)"):
        lay_out(small(cell=CellConfig(split="external")), {"": rows})
    own = {"a": {"x": CellConfig(metric="recall", class_name="nevi")}}
    with pytest.raises(ConfigError, match=r"a recall: no class 'nevi' \(did you mean nevus\?\)"):
        lay_out(small(cells=own), {"": rows})
    with pytest.raises(ConfigError, match="no member is named; there are m, n"):
        lay_out(small(), {"m": rows, "n": rows})


def test_it_reads_as_it_should(parsed):
    table = table_of("Aggarwal", "1 datasets", note="Half of <each> set.")
    columns = {each: CellConfig(metric=each, split="pool") for each in table.columns}
    rows = dict(table.rows, **{"MIT-67": CellConfig()})
    laid = lay_out(
        msgspec.structs.replace(table, rows=rows, columns=columns),
        {"": [row("CIFAR-100", seed, 17168 + seed, split="pool", metric="images") for seed in (0, 4)]},
    )
    found = parsed(laid)
    assert found["th"] == [*laid.columns, "Food-101", "CIFAR-100", "IMN-100", "MIT-67 quoted"]
    assert found["td"][1:8] == ["101", "22,956", "227.28", "180.31", "0.793", "100", "17,170 ± 2517,168, +2"]
    assert found["p"][1:] == ["Half of <each> set."]
    assert "mean over 2 seeds ± half of the 95 %" in found["p"][0]
    assert "| CIFAR-100 | (100) | 17,170 ± 25 (17,168, +2) | (171.68) |" in markdown(laid)
    assert "| MIT-67 (quoted) | (67) |" in markdown(laid)
    assert "beside Aggarwal, table 1 datasets" in markdown(laid)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=9),
        min_size=3,
        max_size=3,
        unique=True,
    ),
    st.floats(0, 1),
)
def test_wild_headings_come_back(parsed, names, value):
    table = small(rows=names[:2], columns=names[2:], note="<script>&amp;")
    rows = [row(names[0], seed, each) for seed, each in enumerate((value, 0.1))]
    laid = lay_out(msgspec.structs.replace(table, title=names[1]), {"": rows})
    back = list(csv.DictReader(io.StringIO(tables_text([laid]), newline="")))
    assert [(each["table"], each["row"], each["column"]) for each in back] == [
        (names[1], names[0], names[2]),
        (names[1], names[1], names[2]),
    ]
    ours = laid.cells[0][0].ours
    assert tuple(float(back[0][name]) for name in ("ours", "low", "high")) == (ours.mean, ours.low, ours.high)
    assert [(each["paper"], each["seeds"], each["difference"]) for each in back] == [("", "2", ""), ("", "0", "")]
    found = parsed(laid)
    assert found["b"] == [visible(names[1])]
    assert found["th"][:2] == [visible(names[2]), visible(names[0])]
    assert found["p"][1] == "<script>&amp;"
    assert len(markdown(laid).splitlines()) == 9
