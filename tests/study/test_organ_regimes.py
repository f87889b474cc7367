"""The six regimes of the OrganSMNIST study on digits: who asks, who is scored, and when."""

import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxal.cli import main
from jaxal.config.reading import experiment_config, load_study, parse_study
from jaxal.data.dataset import load_source, make_dataset
from jaxal.errors import InputError
from jaxal.experiment import ask, asking, fitting, make_experiment, rounds, start, tell
from jaxal.study import prepare_study
from jaxal.training.trainer import FitResult
from tests.study.conftest import outcome, read_csv, tiny

PAPERS = Path(__file__).parents[2] / "configs" / "papers"
REGIMES = ["full", "random", "random_augmented", "active", "alda", "alpa"]
SCORES = ("auroc", "average_precision", "balanced_accuracy", "accuracy")
PROTOCOL = {"start": "continue", "restart_every": 3, "extra_epochs": 1, "num_epochs": 6}


def test_the_budget_and_the_networks_are_the_paper_s():
    for name in ("organ_smnist", "organ_smnist_small"):
        study = load_study(PAPERS / f"{name}.toml")
        schedule = study.schedule
        assert [arm.name for arm in study.arms] == REGIMES
        assert schedule.initial_size + schedule.query_size * schedule.num_rounds == 139
        assert (schedule.initial_size, schedule.query_size, schedule.num_rounds) == (7, 4, 33)
        configs = [experiment_config(study, arm, 0) for arm in study.arms]
        assert [config.model.width for config in configs] == [16, 32, 32, 32, 32, 32]
        assert [config.query_model and config.query_model.width for config in configs] == [None] * 3 + [8] * 3
        changed = [config.augmentation.mode for config in configs if not config.augmentation.is_none]
        assert changed == ["train", "pool_once", "train"]


@pytest.fixture
def fits(monkeypatch):
    """Collect each fit in place of fitting: the model's width, epochs, and the variables that it began with."""
    collected = []

    def fit(model, training, key, *arguments, begin, num_epochs, **settings):
        collected.append((model.spec.embedding_width // 2, num_epochs, begin))
        return FitResult(model.init(key), num_epochs, num_epochs, 0.5)

    monkeypatch.setattr(fitting, "fit", fit)
    monkeypatch.setattr(rounds, "_scored", lambda *_: [])  # compiling a network takes ten seconds
    return collected


def rounds_of(num_rounds=6, **changes):
    """Run the fits of a study's rounds; the query of each is empty."""
    schedule = {"initial_size": 7, "query_size": 4, "num_rounds": num_rounds}
    document = tiny(schedule=schedule | changes.pop("schedule", {}), model={"width": 3}, **changes)
    study = parse_study(document)
    experiment = make_experiment(
        experiment_config(study, study.arms[0], 0), make_dataset(load_source(study.data), study.data, 0)
    )
    query = rounds.Query(jnp.arange(4, dtype=jnp.int32), jnp.zeros(4, bool))
    state, record = start(experiment)
    states, records = [state], [record]
    for _ in range(num_rounds):
        state, record = tell(experiment, state, query, np.zeros(0, np.int32))
        states, records = [*states, state], [*records, record]
    return experiment, states, records, prepare_study(study).arms[0]


def test_a_query_model_goes_on_begins_anew_every_third_query_and_is_trained_longer(fits):
    arms = [{"name": "active", "strategy": "entropy", "query_model": {"width": 1}, "query_training": PROTOCOL}]
    training = {"num_epochs": 4, "batch_size": 16}
    _, states, records, plan = rounds_of(arms=arms, training=training, schedule={"scored_rounds": "last"})
    assert [(width, epochs) for width, epochs, _ in fits] == [(1, n) for n in (6, 6, 6, 7, 7, 7, 8)] + [(3, 4)]
    for number, (_, _, begin) in enumerate(fits[:7]):
        if number % 3 == 0:
            assert begin is None
        else:
            assert jax.tree.all(jax.tree.map(np.array_equal, begin, states[number - 1].variables))
    assert fits[7][2] is None
    told = [[row.metric for row in record.metrics if row.split != "pool"] for record in records]
    assert told == [[]] * 6 + [["max_accuracy"]]
    # Batches of 16: one of 7, 11 and 15 labels, two of 19 … 31.
    assert plan.steps == (6, 6, 6, 14, 14, 14, 16 + 8)


def test_at_random_nothing_is_fitted_or_embedded_before_the_last_round(fits, monkeypatch):
    monkeypatch.setattr(asking, "embed_images", None)
    arms = [{"name": "random", "strategy": "random"}]
    experiment, states, records, plan = rounds_of(2, arms=arms, schedule={"scored_rounds": "last"})
    assert [(width, epochs) for width, epochs, _ in fits] == [(3, 3)]
    assert [(record.num_epochs, bool(record.seconds_train)) for record in records] == [(0, False)] * 2 + [(3, True)]
    assert [bool(steps) for steps in plan.steps] == [False, False, True]
    _, query, _ = ask(experiment, states[0])
    assert np.sum(query.is_valid) == 4
    with pytest.raises(InputError, match="there is nothing to ask"):
        ask(experiment, states[2])


@pytest.fixture
def tiny_regimes(tmp_path, monkeypatch):
    """The config's own six arms, on digits and with networks of width 1, which share what they compile."""
    shutil.copy(PAPERS / "organ_smnist.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    settings = {"data.source.kind": "digits", "seeds": "[0]", "schedule.num_rounds": "3", "training.num_epochs": "1"}
    settings |= {"query_training.num_epochs": "1", "model.width": "1", "arms.0.model.width": "1"}
    settings |= {f"arms.{number}.query_model.width": "1" for number in (3, 4, 5)}
    words = [word for path, value in settings.items() for word in (f"--{path}", value)]
    return ["run", "organ_smnist.toml", *words]


@pytest.mark.slow
def test_the_six_regimes_run_on_digits_and_resume_to_the_same(tiny_regimes, monkeypatch, tmp_path):
    assert main([*tiny_regimes, "--workdir", "whole"]) == 0
    rows = read_csv(tmp_path / "whole" / "results.csv")
    labels = {name: [int(row["num_labeled"]) for row in rows if row["arm"] == name] for name in REGIMES}
    assert labels.pop("full") == [1439]
    assert all(counts == [7, 11, 15, 19] for counts in labels.values())
    for row in rows:
        is_scored = row["arm"] == "full" or row["round"] == "3"
        assert all((row[score] != "") == is_scored for score in SCORES)
        is_fitted = is_scored or row["arm"] in REGIMES[3:]
        assert (float(row["seconds_train"]) > 0) == is_fitted
    best = [row for row in read_csv(tmp_path / "whole" / "metrics.csv") if row["metric"] == "max_accuracy"]
    assert [row["arm"] for row in best] == REGIMES
    page = (tmp_path / "whole" / "report.html").read_text()
    assert "fitted and scored after the last round only" in page
    assert "unpruned test set after its last round alone" in page
    # Stopped between two rounds of an arm whose query model goes on from the round before.
    fit, num_fits = rounds.fit_round, iter(range(100))

    def stopped(experiment, number, *arguments, **settings):
        if next(num_fits) == 5:
            raise KeyboardInterrupt
        return fit(experiment, number, *arguments, **settings)

    monkeypatch.setattr(rounds, "fit_round", stopped)
    assert main([*tiny_regimes, "--workdir", "stopped"]) == 130
    monkeypatch.setattr(rounds, "fit_round", fit)
    assert main([*tiny_regimes, "--workdir", "stopped"]) == 0
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "whole")
