"""Every strategy of the table runs in a study by its name."""

import json

import pytest

from jaxal.config.reading import parse_study
from jaxal.config.strategy_table import STRATEGIES
from jaxal.study import run_study

from .conftest import tiny

NAMES = [name for name in STRATEGIES if name not in ("balanced", "budget_split")] + ["balanced(entropy)"]


# Each is compiled anew.
@pytest.mark.slow
def test_every_strategy_runs_in_a_study_by_name(tmp_path):
    arms = [{"name": name.strip(")").replace("(", "."), "strategy": name} for name in NAMES]
    schedule = {"initial_fraction": 0.1, "query_size": 5, "num_rounds": 1}
    training = {"num_epochs": 1, "batch_size": 16, "loss": "bce"}
    study = parse_study(tiny(seeds=[0], arms=arms, schedule=schedule, training=training, mc_dropout={"num_draws": 4}))
    result = run_study(study, tmp_path)
    assert len(result.table) == 2 * len(NAMES)
    for arm in arms:
        lines = (tmp_path / arm["name"] / "seed-0" / "journal.jsonl").read_text().splitlines()
        asked = next(event for event in map(json.loads, lines) if event["event"] == "asked")
        assert len(set(asked["ids"])) == 5
        assert all(asked["reason"])
