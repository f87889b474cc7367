"""A study small enough to run whole in a few seconds, through the same path as the quickstart."""

import contextlib
import csv
import json

import pytest

from jaxal.config.reading import parse_study
from jaxal.study import run_study


def tiny(**changes):
    """Return the document of a tiny study; keyword arguments replace whole tables."""
    document = {
        "name": "tiny",
        "seeds": [0, 1],
        "data": {
            "source": {"kind": "digits"},
            "one_vs_rest": "8",
            "split": {"validation_fraction": 0.1, "test_fraction": 0.2},
            "imbalance": {"kind": "ratio", "ratio": 20},
        },
        "schedule": {"initial_fraction": 0.05, "query_size": 9, "num_rounds": 2},
        "model": {"width": 4},
        "training": {"num_epochs": 3, "batch_size": 16, "loss": "bce"},
        "arms": [{"name": "cb", "strategy": "cb_dal"}, {"name": "random", "strategy": "random"}],
    }
    return document | changes


def read_csv(path, drop=()):
    with open(path, newline="") as file:
        return [{key: value for key, value in row.items() if not key.startswith(drop)} for row in csv.DictReader(file)]


def outcome(workdir):
    """Return what must not depend on how often a run was stopped: the result files without seconds, the journals."""
    journals = {}
    for path in sorted(workdir.glob("*/seed-*/journal.jsonl")):
        events = [json.loads(line) for line in path.read_text().splitlines()]
        for event in events:
            event.pop("seconds", None)
        journals[str(path.relative_to(workdir))] = events
    return read_csv(workdir / "results.csv", drop=("seconds_",)), (workdir / "metrics.csv").read_bytes(), journals


@contextlib.contextmanager
def without_drawing():
    """Figures are painted and not drawn: how they look is shown in tests/report, and takes longer than a tiny study."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure.savefig", lambda figure, file, **_: file.write(b"<svg/>"))
        yield


@pytest.fixture(scope="module", autouse=True)
def _without_drawing():
    with without_drawing():
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The tiny study, run without a disturbance."""
    workdir = tmp_path_factory.mktemp("finished")
    study = parse_study(tiny())
    with without_drawing():
        return study, run_study(study, workdir)
