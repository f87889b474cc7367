"""Documents: files, values by path, command-line words, short forms."""

import contextlib
import copy
import datetime

import pytest
from config_documents import DOCUMENT, SAME_EXAMPLES, document_with, tables
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jaxal.config.data import BuiltConfig, ImagesConfig
from jaxal.config.document import expand_arms, expand_strategies, read_document, set_value, take_overrides
from jaxal.config.reading import load_study, parse_study
from jaxal.errors import ConfigError

TEXT = """
name = "study"
[data.source]
kind = "digits"
[schedule]
initial_size = 10
query_size = 5
num_rounds = 1
[training]
num_epochs = 30
[training.optimizer]
kind = "adamw"
weight_decay = 0.1
[[arms]]
name = "plain"
strategy = "cb_dal"
[[arms]]
name = "small"
strategy = "random"
training.batch_size = 8
[[arms]]
name = "long"
strategy = "random"
training.num_epochs = 90
"""


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(TEXT)
    return str(path)


def test_unreadable_files_are_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.toml: cannot read the config: No such file"):
        read_document(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="cannot read the config: Is a directory"):
        read_document(tmp_path)
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('name = "a"\nseeds = [1,\n')
    with pytest.raises(ConfigError, match=r"wrong\.toml: not a TOML file: .*line|wrong\.toml: .*end of document"):
        read_document(wrong)
    wrong.write_text("a = 1\na = 2\n")
    with pytest.raises(ConfigError, match=r"wrong\.toml: not a TOML file: .*line 2"):
        read_document(wrong)
    wrong.write_bytes(b'name = "\xff"')
    with pytest.raises(ConfigError, match="not a TOML file"):
        read_document(wrong)


KNOWN = {"workdir", "dry_run"}


def test_flags_of_the_config_are_taken_out_wherever_they_stand():
    words = [
        "--training.num-epochs",
        "10",
        "run",
        "--a.b=c=d",
        "--workdir",
        "my-out",
        "c.toml",
        "--seeds",
        "-1",
        "--x=",
    ]
    kept, pairs = take_overrides([*words, "--dry-run", "--dry_run"], KNOWN)
    assert kept == ["run", "--workdir", "my-out", "c.toml", "--dry-run", "--dry_run"]
    assert pairs == [("training.num_epochs", "10"), ("a.b", "c=d"), ("seeds", "-1"), ("x", "")]
    assert take_overrides([], KNOWN) == ([], [])
    assert take_overrides(["--workdir=a-b", "-x"], KNOWN) == (["--workdir=a-b", "-x"], [])


@pytest.mark.parametrize("words", [["--a.b"], ["--a.b", "--c", "1"], ["--a.b", "--dry-run"]])
def test_a_flag_without_a_value_is_refused(words):
    with pytest.raises(ConfigError, match=r"^--a\.b: a value is missing behind it$"):
        take_overrides(words, KNOWN)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10),
        ("-1", -1),
        ("1_000", 1000),
        ("1e-3", 1e-3),
        ("0.5", 0.5),
        ("true", True),
        ("false", False),
        ("True", "True"),
        ('"10"', "10"),
        ("'l2'", "l2"),
        ("l2", "l2"),
        ("", ""),
        ("two words", "two words"),
        ("[0, 1]", [0, 1]),
        ("[0, ", "[0, "),
        ('{kind = "ratio", ratio = 3}', {"kind": "ratio", "ratio": 3}),
        ("2020-01-02", datetime.date(2020, 1, 2)),
    ],
)
def test_values_are_read_as_toml_and_else_as_text(text, value):
    document = {}
    set_value(document, "a.b", text)
    assert document == {"a": {"b": value}}
    assert type(document["a"]["b"]) is type(value)


def test_paths_reach_into_tables_and_lists():
    document = copy.deepcopy(DOCUMENT)
    set_value(document, "name", "other")
    set_value(document, "training.num_epochs", "3")
    set_value(document, "training.new.table", "1")
    set_value(document, "seeds.1", "7")
    set_value(document, "arms.2.strategy.stages.0.share", "0.5")
    set_value(document, "arms.3.training.batch_size", "9")
    assert document["name"] == "other"
    assert document["training"]["num_epochs"] == 3
    assert document["training"]["new"] == {"table": 1}
    assert document["seeds"] == [0, 7]
    assert document["arms"][2]["strategy"]["stages"][0]["share"] == 0.5
    assert document["arms"][3]["training"] == {"batch_size": 9}
    assert document["arms"][:2] == DOCUMENT["arms"][:2]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("arms.4.name", "--arms.4.name: '4' is not an item of a list of 4"),
        ("arms.-1.name", "'-1' is not an item of a list of 4; they are numbered from 0"),
        ("arms.random.name", "'random' is not an item of a list of 4"),
        ("arms.4", "'4' is not an item of a list of 4"),
        ("arms.²", "'²' is not an item of a list of 4"),
        ("arms.", "'' is not an item of a list of 4"),
        ("name.first", "--name.first: name is 'study', not a table that could hold more"),
        ("training.num_epochs.x.y", "--training.num_epochs.x.y: training.num_epochs is 30, not a table"),
        ("seeds.0.x", "seeds.0 is 0, not a table"),
    ],
)
def test_paths_that_lead_nowhere_are_refused(path, message):
    with pytest.raises(ConfigError) as caught:
        set_value(copy.deepcopy(DOCUMENT), path, "1")
    assert message in str(caught.value)


words = st.text(st.characters(codec="ascii"), max_size=8)


@given(st.lists(st.sampled_from(["arms", "0", "1", "strategy", "training", "seeds", "-1", ""]) | words), words)
@settings(SAME_EXAMPLES)
def test_any_path_and_value_is_set_or_refused(parts, text):
    document = copy.deepcopy(DOCUMENT)
    with contextlib.suppress(ConfigError):
        set_value(document, ".".join(parts), text)
    assert set(DOCUMENT) <= set(document)


def expand(document):
    document = copy.deepcopy(document)
    expand_strategies(document)
    expand_arms(document)
    return document


def test_expand_writes_names_out_and_lays_arms_over_the_study():
    document = expand(DOCUMENT)
    assert document["arms"][0]["strategy"] == {"kind": "random"}
    stages = document["arms"][2]["strategy"]["stages"]
    assert stages[0] == {"strategy": {"kind": "entropy"}, "share": 0.25}
    assert document["arms"][2]["training"] == DOCUMENT["training"] | {"batch_size": 16}
    assert document["arms"][3]["model"] == {"kind": "organ_cnn", "width": 4}
    assert "training" not in document["arms"][0]
    assert DOCUMENT["arms"][0]["strategy"] == "random"


def test_a_kind_on_the_command_line_replaces_what_was_said_of_the_other(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(
        'name = "s"\narms = [{name = "all", kind = "active", strategy = "random"}]\n'
        "[schedule]\ninitial_size = 2\nquery_size = 1\nnum_rounds = 1\n"
        '[data.source]\nkind = "images"\npath = "here"\nimage_size = 528\n'
    )
    values = [("data.source.path", "built"), ("data.source.kind", "built")]  # in any order
    assert load_study(path, values).data.source == BuiltConfig(path="built")
    assert load_study(path, [("data.source.kind", "images")]).data.source == ImagesConfig(path="here", image_size=528)
    with pytest.raises(ConfigError, match="missing required field `path`"):
        load_study(path, [("data.source.kind", "built")])
    with pytest.raises(ConfigError, match=r"unknown key data\.source\.image_size"):
        load_study(path, [*values, ("data.source.image_size", "64")])
    # An arm is no table of several forms: its name stays.
    arm = load_study(path, [("arms.0", '{name = "all", kind = "full"}')]).arms[0]
    assert (arm.name, arm.kind) == ("all", "full")
    with pytest.raises(ConfigError, match="asks nothing; remove its strategy"):
        load_study(path, [("arms.0.kind", "full")])


def test_a_table_of_another_kind_replaces_the_study_s_whole():
    study = parse_study(document_with(("arms.0.training", {"optimizer": {"kind": "adam", "beta1": 0.5}})))
    assert study.arms[0].training.optimizer.beta1 == 0.5
    assert not hasattr(study.arms[0].training.optimizer, "weight_decay")
    same = parse_study(document_with(("arms.0.training", {"optimizer": {"beta1": 0.5}})))
    assert same.arms[0].training.optimizer.beta1 == 0.5
    assert same.arms[0].training.optimizer.weight_decay == 0.1
    assert same.arms[0].training.num_epochs == 30
    assert same.training.optimizer.beta1 == 0.9


@given(tables)
@example(DOCUMENT)
@settings(SAME_EXAMPLES)
def test_expand_is_idempotent_and_leaves_its_argument_alone(document):
    before = repr(document)
    once = expand(document)
    assert repr(document) == before
    assert repr(expand(once)) == repr(once)


def test_load_study_sets_values_by_path(config_file):
    overrides = [("arms.0.strategy.auto_fm.num_steps", "2"), ("training.learning_rate", "1"), ("seeds", "[3]")]
    study = load_study(config_file, overrides)
    assert study.arms[0].strategy.auto_fm.num_steps == 2
    assert study.training.learning_rate == 1.0
    assert isinstance(study.training.learning_rate, float)
    assert study.seeds == (3,)
    with pytest.raises(ConfigError, match=r"study\.toml: unknown key arms\.0\.strategy\.share"):
        load_study(config_file, [("arms.0.strategy.share", "1")])
    with pytest.raises(ConfigError, match=r"Expected `int`, got `bool` - at `\$\.training\.num_epochs`"):
        load_study(config_file, [("training.num_epochs", "true")])
    with pytest.raises(ConfigError, match=r"Expected `int`, got `float`"):
        load_study(config_file, [("training.num_epochs", "1.5")])


def test_a_later_override_of_the_same_setting_wins(config_file):
    assert load_study(config_file, [("name", "a"), ("name", "b")]).name == "b"


@pytest.mark.parametrize(
    "other", [None, ("arms.0.strategy.auto_fm.num_steps", "2"), ("arms.1.training.loss", "cross_entropy")]
)
@pytest.mark.parametrize("is_first", [True, False])
def test_an_override_of_the_study_reaches_every_arm_that_does_not_set_it(config_file, other, is_first):
    overrides = [("training.num_epochs", "1")]
    if other is not None:
        overrides.insert(0 if is_first else 1, other)
    study = load_study(config_file, overrides)
    assert study.training.num_epochs == 1
    assert study.arms[1].training.num_epochs == 1
    assert study.arms[1].training.batch_size == 8
    assert study.arms[2].training.num_epochs == 90


def test_an_override_of_one_arm_changes_no_other(config_file):
    study = load_study(config_file, [("arms.1.training.optimizer.weight_decay", "0.7")])
    assert study.arms[1].training.optimizer.weight_decay == 0.7
    assert study.training.optimizer.weight_decay == 0.1
    assert study.arms[2].training.optimizer.weight_decay == 0.1


@pytest.mark.parametrize("text", ["'8'", '"8"'])
def test_a_class_named_by_a_number_can_be_given_in_quotes(config_file, text):
    assert load_study(config_file, [("data.one_vs_rest", text)]).data.one_vs_rest == "8"
