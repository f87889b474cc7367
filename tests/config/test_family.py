"""Families: the studies that one file describes, and what their tables may name."""

import pytest

from jaxal.config.data import BuiltConfig, TFDSConfig
from jaxal.config.family import load_family, members_named
from jaxal.config.losses import FocalConfig
from jaxal.config.models import EfficientNetConfig, ResNetConfig
from jaxal.config.reading import load_study
from jaxal.config.strategies import BalancedConfig
from jaxal.errors import ConfigError

STUDY = """
name = "all"
model = "efficientnet_b3"
[data.source]
kind = "images"
path = "photos"
[schedule]
initial_size = 10
query_size = 5
num_rounds = 2
[[arms]]
name = "random"
strategy = "random"
[[arms]]
name = "full"
kind = "full"
"""
AXES = """
[[vary.data]]
name = "food"
data.source = "tfds:food101"
[[vary.data]]
name = "marks"
data.source = {kind = "built", path = "marks"}
model.image_size = 64
training.loss = "focal"
[[vary.budget]]
name = "500"
schedule.query_size = 500
[[vary.budget]]
name = "balanced"
model = "resnet18"
arms = [{name = "balanced", strategy = "balanced(entropy)"}]
"""
TABLE = """
[[tables]]
title = "Beside"
full_arm = "full"
cell = {metric = "accuracy"}
rows.ours = {arm = "random"}
rows.quoted = {}
columns.food = {member = "food-500"}
columns.marks = {member = "marks-500"}
cells.ours.marks = {metric = "auroc"}
"""


@pytest.fixture
def put(tmp_path):
    def put(*texts, name="all.toml"):
        path = tmp_path / name
        path.write_text("\n".join(texts))
        return path

    return put


def refused(path, *overrides):
    with pytest.raises(ConfigError) as caught:
        load_family(path, overrides)
    return str(caught.value)


def test_members_are_all_combinations_the_first_axis_slowest(put):
    family = load_family(put(STUDY, AXES, TABLE))
    members = dict(family.members)
    assert (family.name, family.is_one_study) == ("all", False)
    assert list(members) == ["food-500", "food-balanced", "marks-500", "marks-balanced"]
    assert [study.name for study in members.values()] == [f"all-{name}" for name in members]
    assert [table.title for table in family.tables] == ["Beside"]
    assert [study.schedule.query_size for study in members.values()] == [500, 5, 500, 5]
    assert members["food-500"].data.source == TFDSConfig(name="food101")
    assert members["marks-500"].data.source == BuiltConfig(path="marks")  # another kind: nothing of the base is left
    assert members["marks-500"].model == EfficientNetConfig(variant="b3", image_size=64)
    assert members["marks-500"].training.loss == FocalConfig()
    assert members["food-balanced"].model == ResNetConfig(depth=18)
    assert [type(arm.strategy) for arm in members["food-balanced"].arms] == [BalancedConfig]  # a list takes its place
    assert [arm.name for arm in members["food-500"].arms] == ["random", "full"]


def test_values_are_set_before_the_study_is_varied(put):
    values = [
        ("vary.budget.1.arms.0.strategy.base", "margin"),
        ("vary.data.0.data.source.image_size", "32"),
        ("vary.data.1.data.source.path", "here"),
        ("vary.data.1.training.loss.gamma", "1"),
        ("schedule.query_size", "7"),
    ]
    members = dict(load_family(put(STUDY, AXES), values).members)
    assert members["food-500"].data.source == TFDSConfig(name="food101", image_size=32)
    assert members["marks-500"].data.source == BuiltConfig(path="here")
    assert members["marks-500"].training.loss == FocalConfig(gamma=1)
    assert members["food-balanced"].arms[0].strategy.base.__struct_config__.tag == "margin"
    assert [study.schedule.query_size for study in members.values()] == [500, 7, 500, 7]


def test_a_family_extends_another(put):
    base = put(STUDY, AXES, TABLE, name="base.toml")
    budget = '\n[[vary.budget]]\nname = "9"\nschedule.query_size = 9\n'
    over = put('extends = "base.toml"\nname = "small"\ntables = []\nseeds = [7]', budget, name="small.toml")
    family = load_family(over)
    assert [name for name, _ in family.members] == ["food-9", "marks-9"]  # its list of budgets, the base's of data
    assert {study.seeds for _, study in family.members} == {(7,)}
    assert (family.name, family.tables) == ("small", ())
    noted = put('extends = "base.toml"\ntables_note = """\nOurs are of\nother data."""', name="noted.toml")
    assert [table.note for table in load_family(noted).tables] == ["Ours are of other data."]
    beside = load_family(noted, [("tables.0.note", "Five seeds.")])
    assert [table.note for table in beside.tables] == ["Five seeds. Ours are of other data."]
    assert [table.note for table in load_family(base).tables] == [""]


def test_a_file_that_varies_nothing_is_one_study(put):
    table = TABLE.replace('{member = "food-500"}', "{}").replace('{member = "marks-500"}', "{}")
    path = put(STUDY, table)
    family = load_family(path)
    assert family.is_one_study
    assert family.members == (("", load_study(path)),)  # which leaves the tables out
    assert [table.title for table in family.tables] == ["Beside"]
    with pytest.raises(ConfigError, match=r"--only a: all is one study, without members"):
        members_named(family, ["a"])
    with pytest.raises(ConfigError, match=r"unknown key tables\.0\.titel"):
        load_study(path, [("tables.0.titel", "x")])


def test_a_family_is_no_study_and_members_are_chosen_by_name(put):
    path = put(STUDY, AXES)
    with pytest.raises(ConfigError, match=r"a family of 4 studies \(food-500, food-balanced, .*`jaxal run` runs it"):
        load_study(path)
    family = load_family(path)
    assert members_named(family, ()) == family.members
    assert [name for name, _ in members_named(family, ("marks-500", "food-500"))] == ["food-500", "marks-500"]
    with pytest.raises(ConfigError, match=r"--only 500: no such member; there are food-500, food-balanced"):
        members_named(family, ("food-500", "500"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (("vary", "3"), "vary: expected the axes of the family"),
        (("vary", "{}"), "vary: expected the axes of the family"),
        (("vary.budget", "[]"), "vary.budget: expected a list of at least one choice"),
        (("vary.budget", "{}"), "vary.budget: expected a list"),
        (("vary.budget.0", "3"), "vary.budget.0: expected a table with a name"),
        (("vary.budget.0", "{seeds = [1]}"), "vary.budget.0: name is missing"),
        (("vary.budget.0.name", "9"), "vary.budget.0.name: expected text, got 9; put it in quotes"),
        (("vary.budget.0.name", "../up"), "vary.budget.0.name: '../up' cannot name a folder"),
        (("vary.a b", '[{name = "x"}]'), "vary.a b: 'a b' cannot name a folder"),
        (("vary.budget.0.name", "Balanced"), "repeated: Balanced, balanced"),
        (("vary", '{a = [{name = "x"}, {name = "x-y"}], b = [{name = "y-z"}, {name = "z"}]}'), "repeated: x-y-z"),
        (("vary", '{a = [{name = "tables.csv"}]}'), "itself takes the names tables.csv"),
        (("vary.budget.0.schedule.querysize", "1"), "member food-500: unknown key schedule.querysize (did you mean"),
        (("vary.data.1.vary.x", "1"), "member marks-500: unknown key vary"),
        (("vary.data.0.model", "resnet19"), "member food-500: model: unknown model 'resnet19'"),
        (("vary.data.1.seeds", "[1, 1]"), "member marks-500: seeds: must differ"),
        (("arms.0.name", "tables.csv"), "the name is taken by the run folder itself"),
    ],
)
def test_what_does_not_vary_a_study_is_refused(put, override, message):
    path = put(STUDY, AXES)
    told = refused(path, override)
    assert told.startswith(str(path))
    assert message in told


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (("tables", "3"), "Expected `array`, got `int` - at `$.tables`"),
        (("tables.0.titel", "x"), "unknown key tables.0.titel (did you mean title?)"),
        (("tables.0.rows.ours.metrc", "x"), "unknown key tables.0.rows.ours.metrc (did you mean metric?)"),
        (("tables.0.cells.ours.marks.metrc", "x"), "unknown key tables.0.cells.ours.marks.metrc"),
        (("tables.0.rows", "{}"), "length >= 1 - at `$.tables[0].rows`"),
        (("tables.0.paper", "CB-DAL"), "give both paper and table"),
        (("tables.0.cells.hours.food.arm", "random"), "cells: no row 'hours' (did you mean ours?)"),
        (("tables.0.cells.ours.foo.arm", "random"), "cells: no column 'foo' (did you mean food?)"),
        (("tables.0.columns.food.member", "food"), "no member 'food'; there are food-500, food-balanced, marks-500"),
        (("tables.0.columns.food.member", "food-balanced"), "no arm 'random' in member food-balanced; there are balan"),
        (("tables.0.rows.ours.arm", "badge"), "no arm 'badge' in member food-500; there are random, full"),
        (("tables.0.full_arm", "all"), "no arm 'all' in member marks-500; there are random, full"),
        (("tables.0.columns.food.full_member", "foo"), "no member 'foo'; there are food-500, food-balanced"),
        (("tables.0.columns.food.full_member", "food-balanced"), "no arm 'full' in member food-balanced; there are"),
        (("tables.0.columns.more.arm", "full"), "cells of arm 'full' name no member; there are food-500"),
    ],
)
def test_tables_name_what_there_is(put, override, message):
    assert message in refused(put(STUDY, AXES, TABLE), override)


def test_a_gain_needs_no_member_of_its_own_and_may_be_from_another_s_full_arm(put):
    more = [("tables.0.columns.gain.metric", "g_al"), ("tables.0.columns.food.full_member", "marks-500")]
    (table,) = load_family(put(STUDY, AXES, TABLE), more).tables
    assert table.columns["gain"].metric == "g_al"
    assert table.columns["food"].full_member == "marks-500"


def test_tables_have_titles_of_their_own_and_all_problems_are_told_at_once(put):
    assert "titles must differ; repeated: 'Beside'" in refused(put(STUDY, AXES, TABLE, TABLE))
    told = refused(put(STUDY, AXES, TABLE), ("tables.0.columns.food.member", "a"), ("tables.0.rows.ours.arm", "b"))
    assert "no member 'a'" in told
    assert "no arm 'b' in member marks-500" in told
    assert "needs no member" in refused(put(STUDY, TABLE))
