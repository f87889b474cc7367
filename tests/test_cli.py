"""The command line, in this process: exit codes, messages, and what a dry run leaves behind."""

import io
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import jaxal.study.family
from jaxal.cli import main
from jaxal.config.strategy_table import STRATEGIES
from jaxal.errors import ConfigError, DataError, InputError, StoreError
from jaxal.store.signals import Terminated
from jaxal.study import StudyResult

TEXT = """
name = "tiny"
seeds = [0, 1]

[data]
one_vs_rest = "8"
source.kind = "digits"
split = {validation_fraction = 0.2, test_fraction = 0.2}
imbalance = {kind = "ratio", ratio = 20}

[schedule]
initial_fraction = 0.05
query_size = 20
num_rounds = 2

[[arms]]
name = "random"
strategy = "random"

[[arms]]
name = "full"
kind = "full"
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A config file in an otherwise empty current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TEXT)
    return "tiny.toml"


@pytest.fixture
def ran(monkeypatch):
    """Stand in for the study loop: collect what it is called with."""
    calls = []

    def run_study(study, workdir=None, listener=None, tables=()):
        calls.append((study, workdir))
        return StudyResult([], Path(workdir or "runs/tiny"))

    monkeypatch.setattr(jaxal.study.family, "run_study", run_study)
    return calls


def refused(capsys, words: list[str]) -> str:
    """Return the one line on standard error of a command that ends with 2."""
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("jaxal: ")
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "absent.toml"], "absent.toml: cannot read the config: No such file"),
        (["run", "tiny.toml", "--no_such_flag", "1"], "tiny.toml: unknown key no_such_flag"),
        (["run", "tiny.toml", "--training.num_epoch", "1"], "training.num_epoch (did you mean num_epochs?)"),
        (["run", "tiny.toml", "--training.num_epochs", "0"], "Expected `int` >= 1 - at `$.training.num_epochs`"),
        (["run", "tiny.toml", "--training.num_epochs", "-1"], "Expected `int` >= 1"),
        (["run", "tiny.toml", "--training.num_epochs"], "--training.num_epochs: a value is missing"),
        (["run", "tiny.toml", "--arms.7.name", "a"], "'7' is not an item of a list of 2"),
        (["run", "tiny.toml", "--arms.1.name", "random"], "arms: names must differ"),
        (
            ["run", "tiny.toml", "--dry-run", "--arms.0.strategy", "radnom"],
            "unknown kind 'radnom' (did you mean random?)",
        ),
        (["run", "tiny.toml", "--work", "out"], "tiny.toml: unknown key work"),
        (["run", "tiny.toml", "--name", "--dry-run"], "--name: a value is missing"),
    ],
)
def test_what_is_not_understood_ends_with_2(config, ran, capsys, words, message):
    assert message in refused(capsys, words)
    assert not ran


def test_a_file_that_is_no_toml_ends_with_2(config, ran, capsys, tmp_path):
    (tmp_path / "wrong.toml").write_text("name = \n")
    assert "wrong.toml: not a TOML file: " in refused(capsys, ["run", "wrong.toml"])
    (tmp_path / "wrong.toml").write_text("name = 'a'\n")
    assert "wrong.toml: " in refused(capsys, ["run", "wrong.toml"])
    assert not ran


@pytest.mark.parametrize(
    "words",
    [
        ["no_such_command"],
        ["run"],
        ["run", "--workdir"],
        ["run", "--training.num_epochs", "3"],
        ["run", "tiny.toml", "more"],
        ["run", "tiny.toml", "-x"],
        ["--workdir", "a"],
        ["strategies", "--all"],
        ["strategies", "more"],
    ],
)
def test_what_is_no_command_ends_with_2_and_says_why(config, ran, capsys, words):
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out + captured.err
    assert not ran


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_help_names_the_commands(capsys, words):
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "usage: jaxal" in text
    assert "strategies" in text


def test_help_of_run_says_how_settings_are_given(config, ran, capsys):
    assert main(["run", "tiny.toml", "--training.num_epochs", "3", "--help"]) == 0
    text = capsys.readouterr().out
    assert "usage: jaxal run" in text
    assert "--workdir" in text
    assert "--training.num_epochs 10" in text
    assert not ran


def test_strategies_prints_every_row_of_the_table(capsys):
    assert main(["strategies"]) == 0
    rows = [line.split("│") for line in capsys.readouterr().out.splitlines() if "│" in line]
    printed = {row[1].strip(): [cell.strip() for cell in row[2:5]] for row in rows}
    assert list(printed) == list(STRATEGIES)
    for name, entry in STRATEGIES.items():
        paper, needs, cost = printed[name]
        assert (paper, cost) == (entry.paper, entry.cost)
        assert set(entry.needs) <= set(needs.split(", "))


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(config, ran, capsys, tmp_path):
    assert main(["run", config, "--workdir", "out", "--dry-run"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.toml"]
    assert not ran
    rows = [line.split() for line in capsys.readouterr().out.replace("│", " ").splitlines()]
    assert ["pool", "960", "48", "1008"] in rows
    assert ["test", "325", "35", "360"] in rows
    # 5 % of each class are 48 + 2; an epoch over 50, 70, 90 labels is 2 + 3 + 3 steps of 32, and there are 50 epochs.
    assert ["random", "2", "50", "70", "90", "400"] in rows
    assert ["full", "2", "1008", "1600"] in rows


def test_a_dry_run_refuses_data_that_do_not_fit_with_1(config, capsys, tmp_path):
    assert main(["run", config, "--dry-run", "--data.one_vs_rest", "eight"]) == 1
    assert "jaxal: data.one_vs_rest = 'eight': no such class" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.toml"]


def test_a_run_gets_the_study_with_its_overrides_and_its_folder(config, ran, capsys):
    words = ["run", "--training.num-epochs=3", config, "--workdir", "my_out-1", "--arms.0.strategy", "core_set"]
    assert main(words) == 0
    [(study, workdir)] = ran
    assert workdir == "my_out-1"
    assert study.training.num_epochs == 3
    assert study.arms[0].strategy.__struct_config__.tag == "core_set"
    assert "Run folder: my_out-1" in capsys.readouterr().out
    assert main(["run", config, "--seeds", "[5]"]) == 0
    study, workdir = ran[1]
    assert (study.seeds, workdir) == ((5,), None)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("what"), 2),
        (DataError("what"), 1),
        (StoreError("what"), 1),
        (InputError("what"), 1),
        (KeyboardInterrupt(), 130),
        (Terminated(), 143),
    ],
)
def test_how_a_run_that_stops_ends(config, monkeypatch, capsys, error, code):
    def stopping(*arguments):
        raise error

    monkeypatch.setattr(jaxal.study.family, "run_study", stopping)
    assert main(["run", config]) == code
    message = capsys.readouterr().err.strip()
    assert message == "jaxal: what" or (code > 2 and message.endswith("The same command goes on where it was."))


def test_a_reader_that_went_away_is_no_traceback(config, monkeypatch):
    def stopping(*arguments):
        raise BrokenPipeError

    monkeypatch.setattr(jaxal.study.family, "run_study", stopping)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert main(["run", config]) == 1


def test_warnings_of_a_run_are_lines_and_no_longer_than_it(config, monkeypatch, capsys):
    def warning(*arguments):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("look out", stacklevel=1)
        return StudyResult([], Path("runs/tiny"))

    before = warnings.showwarning
    monkeypatch.setattr(jaxal.study.family, "run_study", warning)
    assert main(["run", config]) == 0
    assert capsys.readouterr().err == "jaxal: look out\n"
    assert warnings.showwarning is before


def test_an_error_that_nobody_foresaw_is_not_swallowed(config, monkeypatch):
    def failing(*arguments):
        raise RuntimeError("a bug")

    monkeypatch.setattr(jaxal.study.family, "run_study", failing)
    with pytest.raises(RuntimeError, match="a bug"):
        main(["run", config])


# Stands for a user who is quick: the signal comes while the command line itself is being loaded.
SIGNAL_WHILE_LOADING = """
import os, signal, sys
from jaxal.__main__ import entry
class Sender:
    def find_spec(self, name, *_):
        if name == "tyro":
            os.kill(os.getpid(), signal.{name})
sys.meta_path.insert(0, Sender())
sys.argv = ["jaxal", "strategies"]
entry()
"""


@pytest.mark.parametrize(
    ("name", "code", "line"), [("SIGINT", 130, "jaxal: stopped."), ("SIGTERM", 143, "jaxal: terminated.")]
)
def test_a_signal_while_modules_are_loaded_is_no_traceback(name, code, line):
    words = [sys.executable, "-c", SIGNAL_WHILE_LOADING.format(name=name)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip(), done.stdout) == (code, line, "")


def test_the_module_is_the_command_and_hands_on_its_exit_code(config):
    done = subprocess.run(
        [sys.executable, "-m", "jaxal", "run", "absent.toml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "jaxal: absent.toml: cannot read the config: No such file or directory\n"
    assert done.stdout == ""
