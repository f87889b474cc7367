"""The stop rule: decided by the journal, finished for good, and told of where results are read."""

import itertools
import json

import pytest

from jaxal.config.reading import parse_study
from jaxal.config.study import ScheduleConfig
from jaxal.console import print_result
from jaxal.study import StudyListener, prepare_study, run_study, stopping
from jaxal.study.stopping import describe_stop, final_round, has_plateaued, is_finished
from tests.study.conftest import outcome, read_csv, tiny
from tests.study.test_crashes import stop_after


def schedule(rounds, gain=0.0):
    return ScheduleConfig(initial_size=1, query_size=1, num_rounds=9, plateau_rounds=rounds, plateau_gain=gain)


def journal(aurocs):
    rows = ([["test", "", "auroc", 0.1], ["validation", "8", "auroc", 0.2]], [["validation", "", "accuracy", 0.3]])
    return {n: {"metrics": [*rows[0], ["validation", "", "auroc", auroc], *rows[1]]} for n, auroc in enumerate(aurocs)}


@pytest.mark.parametrize(
    ("rounds", "gain", "aurocs", "stops"),
    [
        (None, 0.0, [0.9, 0.9, 0.9, 0.9], None),
        (1, 0.0, [0.9, 0.9], 1),
        (1, 0.0, [0.9, 0.91, 0.92, 0.91], 3),
        (2, 0.0, [0.9, 0.8, 0.91, 0.9, 0.9], 4),
        (2, 0.0, [0.9, 0.8], None),  # never before so many rounds after the first
        (2, 0.01, [0.9, 0.905, 0.909], 2),  # small growth is none
        (2, 0.01, [0.9, 0.906, 0.912, 0.918], None),  # but two small ones may be enough
        (1, 0.5, [0.25, 0.75], 1),  # "more than": exactly the gain is not
        (1, 0.5, [0.25, 0.875], None),
        (1, 0.0, [None, None, 0.5, None, 0.6, None, 0.6], 6),  # not defined counts as nothing
        (3, 0.0, [None] * 9, None),
        (1, 0.0, [0.9, 0.5, 0.99], 1),  # the first time is the last
    ],
)
def test_a_run_stops_where_its_best_has_not_grown(rounds, gain, aurocs, stops):
    settings, events = schedule(rounds, gain), journal(aurocs)
    assert final_round(settings, events, 9) == (9 if stops is None else stops)
    assert is_finished(settings, events, 9) == (stops is not None)
    prefixes = [has_plateaued(settings, aurocs[: number + 1]) for number in range(len(aurocs))]
    assert (prefixes.index(True) if True in prefixes else None) == stops
    told = describe_stop(settings, events, 9)
    assert (told is None) == (stops is None)
    if told is not None:
        best = max(auroc for auroc in aurocs[: stops + 1] if auroc is not None)
        assert told.startswith(
            f"stopped after round {stops} of 9: the best validation AUROC, {best:.4f}, has not grown"
        )


def test_a_plateau_at_the_last_round_planned_is_no_stop_and_a_gap_hides_what_lies_behind():
    events = journal([0.9, 0.9, 0.9])
    assert final_round(schedule(2), events, 2) == 2
    assert is_finished(schedule(2), events, 2)
    assert describe_stop(schedule(2), events, 2) is None
    del events[1]
    assert final_round(schedule(2), events, 9) == 9
    assert not is_finished(schedule(2), events, 9)


PLATEAU = {
    "schedule": {"initial_fraction": 0.05, "query_size": 9, "num_rounds": 3, "plateau_rounds": 1},
    "training": {"num_epochs": 2, "batch_size": 16, "early_stop": 1, "start": "continue", "micro_batch_size": 8},
    "arms": [{"name": "margin", "strategy": "margin"}],
}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A study with a plateau, run without a disturbance, and what its listener was told."""
    workdir, told = tmp_path_factory.mktemp("stopped"), {"steps": 0, "planned": 0, "notes": []}

    def on_steps(num_steps):
        told["steps"] += num_steps

    listener = StudyListener(
        on_plan=lambda plan, remaining: told.update(planned=remaining), on_steps=on_steps, on_note=told["notes"].append
    )
    study = parse_study(tiny(**PLATEAU))
    return study, run_study(study, workdir, listener), told


def rounds_of(table):
    key = lambda row: (row["arm"], row["seed"])  # noqa: E731
    return {run: [row["round"] for row in rows] for run, rows in itertools.groupby(table, key)}


def test_each_run_ends_where_its_own_journal_says(stopped):
    study, result, told = stopped
    rounds = rounds_of(result.table)
    assert len(rounds) == 2
    early = {run: numbers for run, numbers in rounds.items() if len(numbers) < 4}
    assert early
    for (arm, seed), numbers in rounds.items():
        lines = (result.workdir / arm / f"seed-{seed}" / "journal.jsonl").read_text().splitlines()
        events = {e["round"]: e for e in map(json.loads, lines) if e["event"] == "round"}
        assert numbers == list(range(final_round(study.schedule, events, 3) + 1))
        assert {event["round"] for event in map(json.loads, lines)} == set(numbers)  # nothing was asked in vain
        assert all(1 <= event["best_epoch"] <= event["epochs"] <= 2 for event in events.values())
    assert len(told["notes"]) == len(early)
    assert all(any(f"{arm}, seed {seed} stopped after round" in note for note in told["notes"]) for arm, seed in early)
    assert told["steps"] == told["planned"] > 0  # a bar comes to its end


def test_a_stopped_study_is_finished(stopped, tmp_path):
    study, result, _ = stopped
    before = {path: path.read_bytes() for path in result.workdir.rglob("*") if path.is_file()}
    told = []
    again = run_study(study, result.workdir, StudyListener(on_plan=lambda plan, remaining: told.append(remaining)))
    assert again.table == result.table
    assert told == [0]
    assert {path: path.read_bytes() for path in result.workdir.rglob("*") if path.is_file()} == before


def test_the_report_and_the_table_tell_of_it(stopped, capsys):
    study, result, _ = stopped
    page = (result.workdir / "report.html").read_text()
    assert "not finished" not in page
    assert "stopped after round" in page
    assert "of the seeds that went on" in page
    print_result(result.table, result.workdir)
    printed = capsys.readouterr().out
    last = {run: numbers[-1] for run, numbers in rounds_of(result.table).items()}
    ends = [row for row in result.table if row["round"] == last[row["arm"], row["seed"]]]
    mean = sum(row["num_labeled"] for row in ends) / 2
    (line,) = [line for line in printed.splitlines() if " margin " in line]
    assert f" {mean:.1f}".removesuffix(".0") in line
    for note in ("asks no further once", "goes on from the variables", "8 images at a time", "after 1 epoch without"):
        assert any(note in told for told in prepare_study(study).notes)


def test_a_kill_before_the_stop_changes_nothing(stopped, tmp_path):
    """The fit that goes on from the round before begins with the checkpoint's variables."""
    study, result, _ = stopped
    run, last = next((run, numbers[-1]) for run, numbers in rounds_of(result.table).items() if len(numbers) < 4)
    stop_after(study, tmp_path, (*run, last - 1))
    run_study(study, tmp_path)
    assert outcome(tmp_path) == outcome(result.workdir)


def test_results_have_the_rows_that_there_are(stopped):
    _, result, _ = stopped
    assert len(read_csv(result.workdir / "results.csv")) == len(result.table) < 8
    assert stopping.validation_auroc({"metrics": []}) is None
