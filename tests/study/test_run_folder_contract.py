"""The run folder as promised: columns, rows, order, journal."""

import itertools
import json

import jax
import numpy as np
import pytest

from jaxal.config.reading import parse_study
from jaxal.data.dataset import load_source, make_dataset
from jaxal.data.schedule import initial_labels
from jaxal.errors import StoreError
from jaxal.study import run_study
from tests.study.conftest import outcome, read_csv, tiny

RESULTS = (
    "arm,seed,round,num_labeled,labeled_fraction,auroc,average_precision,balanced_accuracy,accuracy,minority_labeled,"
    "classes_found,imbalance_ratio,seconds_train,seconds_embed,seconds_acquire"
)


def test_columns_and_row_order(finished):
    _, result = finished
    lines = (result.workdir / "results.csv").read_text().split("\n")
    assert lines[0] == RESULTS
    assert lines[-1] == ""
    keys = [(row["arm"], int(row["seed"]), int(row["round"])) for row in read_csv(result.workdir / "results.csv")]
    assert keys == [(arm, seed, number) for arm in ("cb", "random") for seed in (0, 1) for number in (0, 1, 2)]
    metrics = (result.workdir / "metrics.csv").read_text()
    assert metrics.startswith("arm,seed,round,split,class,metric,value\n")
    assert {row["split"] for row in read_csv(result.workdir / "metrics.csv")} == {"pool", "validation", "test"}


def test_cells(finished):
    study, result = finished
    for row, typed in zip(read_csv(result.workdir / "results.csv"), result.table, strict=True):
        assert (row["seconds_embed"] == "") == (row["seconds_acquire"] == "") == (row["round"] == "0")
        assert len(row["seconds_train"].split(".")[1]) == 3
        assert float(row["auroc"]) == typed["auroc"]
        dataset = make_dataset(load_source(study.data), study.data, typed["seed"])
        initial = initial_labels(study.schedule, dataset.pool, 2, typed["seed"])
        assert typed["num_labeled"] == np.sum(initial >= 0) + 9 * typed["round"]
        assert typed["labeled_fraction"] == typed["num_labeled"] / len(dataset.pool.labels)
        assert typed["imbalance_ratio"] == (typed["num_labeled"] / typed["minority_labeled"]) - 1


def test_all_arms_share_splits_and_initial_labels(finished):
    _, result = finished
    for seed in (0, 1):
        first = [
            json.loads((result.workdir / arm / f"seed-{seed}" / "journal.jsonl").read_text().split("\n")[0])
            for arm in ("cb", "random")
        ]
        assert first[0] == first[1]
        assert first[0]["event"] == "labels"


def test_journal_tells_the_rounds_in_order(finished):
    study, result = finished
    source = load_source(study.data)
    for seed in study.seeds:
        dataset = make_dataset(source, study.data, seed)
        truth = dict(zip(dataset.pool.ids.tolist(), dataset.pool.labels.tolist(), strict=True))
        text = (result.workdir / "cb" / f"seed-{seed}" / "journal.jsonl").read_text()
        events = [json.loads(line) for line in text.splitlines()]
        assert [(event["event"], event["round"]) for event in events] == [
            ("labels", 0),
            ("round", 0),
            *((name, number) for number in (1, 2) for name in ("asked", "labels", "round")),
        ]
        labeled = set()
        for event in events:
            if event["event"] == "labels":
                assert event["labels"] == [truth[name] for name in event["ids"]]
                assert not labeled & set(event["ids"])
                labeled |= set(event["ids"])
            if event["event"] == "asked":
                assert event["ids"] == dataset.pool.ids[event["indices"]].tolist()
                assert len(event["ids"]) == len(event["score"]) == len(event["reason"]) == 9
                # 9 labels: five by Auto-FM, four by MPPS.
                assert [reason.split(".")[0] for reason in event["reason"]] == ["auto_fm"] * 5 + ["mpps"] * 4


def test_a_finished_run_is_a_no_op(finished):
    study, result = finished
    before = {path: path.stat().st_mtime_ns for path in result.workdir.rglob("*") if path.is_file()}
    again = run_study(study, result.workdir)
    after = {path: path.stat().st_mtime_ns for path in result.workdir.rglob("*") if path.is_file()}
    before.pop(result.workdir / ".lock")
    after.pop(result.workdir / ".lock")
    assert before == after
    assert again.table == result.table


def test_a_changed_config_is_refused_with_the_difference(finished):
    _, result = finished
    changed = parse_study(tiny(training={"num_epochs": 4, "batch_size": 16, "loss": "bce"}))
    with pytest.raises(StoreError, match=r"training\.num_epochs"):
        run_study(changed, result.workdir)


@pytest.mark.slow
def test_the_same_study_elsewhere_comes_out_the_same(finished, tmp_path):
    study, result = finished
    run_study(study, tmp_path / "again")
    assert outcome(tmp_path / "again") == outcome(result.workdir)


def uneven():
    """Rounds of unequal size, as labeled fractions make them; a width that no other test has compiled."""
    schedule = {"initial_fraction": 0.05, "labeled_fractions": [0.06, 0.1, 0.11, 0.2]}
    arms = [{"name": "cb", "strategy": "cb_dal"}]
    training = {"num_epochs": 1, "batch_size": 16, "loss": "bce"}
    return parse_study(tiny(seeds=[3], schedule=schedule, model={"width": 3}, arms=arms, training=training))


def test_no_compilation_from_round_two_on(tmp_path):
    compiled, marks = [], {}
    name = "/jax/core/compile/backend_compile_duration"
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, duration, **_: compiled.append(duration) if event == name else None
    )
    from jaxal.study import StudyListener

    def on_round(arm, seed, number, num_rounds):
        marks[number] = len(compiled)

    run_study(uneven(), tmp_path, StudyListener(on_round=on_round))
    assert marks[1] > marks[0] > 0
    assert marks[4] == marks[1]
    sizes = [row["num_labeled"] for row in read_csv(tmp_path / "results.csv")]
    assert len({int(b) - int(a) for a, b in itertools.pairwise(sizes)}) > 2


def test_hidden_truth_of_samples_never_asked_cannot_matter():
    from jaxal.config.reading import experiment_config
    from jaxal.experiment import ask, asked_rows, make_experiment, start, tell
    from jaxal.oracle import simulated_oracle

    study = uneven()  # compiled by the test before
    dataset = make_dataset(load_source(study.data), study.data, 3)
    experiment = make_experiment(experiment_config(study, study.arms[0], 3), dataset)

    def play(experiment):
        state, record = start(experiment)
        story = [record.metrics]
        for _ in experiment.query_sizes:
            state, query, info = ask(experiment, state)
            rows = asked_rows(query)
            state, record = tell(experiment, state, query, experiment.oracle.answer(rows))
            scores = np.asarray(info.acquisition.score)[: len(rows)].tolist()
            story += [rows.tolist(), scores, record.metrics]
        return story, np.asarray(state.pool.labels)

    story, labels = play(experiment)
    never_asked = np.flatnonzero(labels < 0)
    permuted = dataset.pool.labels.copy()
    permuted[never_asked] = np.random.default_rng(0).permutation(permuted[never_asked])
    assert (permuted != dataset.pool.labels).sum() > 10
    other_story, other_labels = play(experiment._replace(oracle=simulated_oracle(permuted)))
    assert other_story == story
    assert np.array_equal(other_labels, labels)
