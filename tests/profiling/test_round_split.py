"""A round of a study, split into what takes the time."""

import time

import jax
import pytest

from jaxal.cli import main
from jaxal.config.reading import load_study
from jaxal.errors import ConfigError
from jaxal.experiment import asking, fitting
from jaxal.profiling.round_split import Phase, RoundSplit, round_markdown, split_round
from jaxal.training.trainer import FitResult

TEXT = """
name = "tiny"
seeds = [3]
data = {one_vs_rest = "8", source.kind = "digits", split = {validation_fraction = 0.1, test_fraction = 0.2}}
schedule = {initial_fraction = 0.05, query_size = 9, num_rounds = 1}
model.width = 4
training = {num_epochs = 50, batch_size = 32}
arms = [{name = "all", kind = "full"}, {name = "sure", strategy = "margin"}]
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TEXT)
    return "tiny.toml"


def test_a_round_is_split_without_a_run_folder(config, tmp_path, capsys, monkeypatch):
    epochs = []

    def fit(model, training, key, *arguments, **settings):
        epochs.append(training.num_epochs)
        time.sleep(0.05)  # compiling the real one takes ten seconds
        return FitResult(model.init(key), 1, 1)

    monkeypatch.setattr(fitting, "fit", fit)
    asking._compile.cache_clear()  # another test may have compiled the same choice
    jax.clear_caches()
    assert main(["profile", "--round", config, "--training.num_epochs", "1", "--out", "split"]) == 0
    captured = capsys.readouterr()
    assert captured.out == (tmp_path / "split" / "round.md").read_text()
    assert "Round 1 of arm sure, seed 3: 9 labels from a pool of 1258" in captured.out
    rows = [line.strip("| ").split(" | ") for line in captured.out.splitlines()[4:]]
    assert [row[0] for row in rows] == ["fit", "embed", "acquire", "evaluate", "io", "checks", "all"]
    seconds = {row[0]: float(row[1]) for row in rows}
    compiling = {row[0]: float(row[3]) for row in rows}
    assert epochs == [1, 1]
    assert seconds["fit"] >= 0.05
    assert all(value > 0 for value in seconds.values())
    assert seconds["all"] == pytest.approx(sum(list(seconds.values())[:-1]), abs=0.004)
    # The query is compiled in this round; what writes it compiles nothing.
    assert 0 < compiling["acquire"] <= 1.05 * seconds["acquire"] + 0.02  # each by a clock of its own
    assert compiling["io"] == 0
    assert "round 0, " in captured.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["split", "tiny.toml"]


def test_shares_are_of_the_whole_with_and_without_compiling():
    phases = (Phase("fit", 3.0, 2.0), Phase("embed", 1.0, 0.0))
    lines = round_markdown(RoundSplit("a", 0, 5, 100, 0.5, 7.0, phases)).splitlines()
    assert "| fit | 3.000 | 75.0 % | 2.000 | 50.0 % |" in lines
    assert "| all | 4.000 | 100.0 % | 2.000 | 100.0 % |" in lines
    assert "0.5 s for the data, 7.0 s for round 0" in lines[0]


def test_a_study_that_asks_nothing_has_no_round(config):
    study = load_study(config, [("arms", '[{name = "all", kind = "full"}]')])
    with pytest.raises(ConfigError, match="none of them asks anything"):
        split_round(study)
