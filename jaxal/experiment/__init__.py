"""One experiment, one arm with one seed, as a functional loop: embed, acquire, reveal, fit, evaluate."""

from jaxal.experiment.asking import AskInfo, ask, asked_rows
from jaxal.experiment.rounds import RoundRecord, run_round, start, tell
from jaxal.experiment.setup import Experiment, make_experiment, make_model, plan_labels
from jaxal.experiment.state import ExperimentState, round_key, state_template

__all__ = [
    "AskInfo",
    "Experiment",
    "ExperimentState",
    "RoundRecord",
    "ask",
    "asked_rows",
    "make_experiment",
    "make_model",
    "plan_labels",
    "round_key",
    "run_round",
    "start",
    "state_template",
    "tell",
]
