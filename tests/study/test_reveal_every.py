"""Labels revealed a few at a time within a round: they change what labels matter to, and nothing else."""

import itertools
import json

import jax
import msgspec
import numpy as np
import pytest
import tomli_w
from reference import balancing as reference

from jaxal.cli import main
from jaxal.config.reading import experiment_config, load_study, parse_study
from jaxal.data.dataset import load_source, make_dataset
from jaxal.errors import InputError
from jaxal.experiment import ask, asked_rows, make_experiment, run_round, start, state_template, tell
from jaxal.pool import EXCLUDED, UNLABELED, reveal
from jaxal.store import checkpoints, journal
from jaxal.study import StudyListener, prepare_study, rounds, run_study
from jaxal.training.inference import embed_images
from tests.study.conftest import outcome, read_csv, tiny

NUM_CLASSES, QUERY_SIZE = 10, 24
BALANCED = {"kind": "balanced", "base": "entropy"}


def document(reveal_every, *strategies, **changes):
    """Ten classes, one of them rare; a fit of one epoch, since only the choice is looked at."""
    schedule = {"initial_fraction": 0.05, "query_size": QUERY_SIZE, "num_rounds": 2}
    if reveal_every is not None:
        schedule["reveal_every"] = reveal_every
    settings = {
        "seeds": [0],
        "data": {"source": {"kind": "digits"}, "minority_class": "3", "imbalance": {"kind": "ratio", "ratio": 12}},
        "schedule": schedule,
        "training": {"num_epochs": 1, "batch_size": 32},
        "arms": [{"name": each if isinstance(each, str) else each["kind"], "strategy": each} for each in strategies],
    }
    return tiny(**(settings | changes))


def events_of(workdir, arm, seed=0):
    text = (workdir / arm / f"seed-{seed}" / "journal.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def finished_singly(tmp_path_factory):
    """A study whose labels are revealed one by one."""
    workdir = tmp_path_factory.mktemp("singly")
    run_study(parse_study(document(1, "random", BALANCED)), workdir)
    return workdir


def test_the_journal_has_one_query_and_its_answers_a_round(finished_singly):
    switches = []
    for arm in ("random", "balanced"):
        events = events_of(finished_singly, arm)
        assert [(event["event"], event["round"]) for event in events] == [
            ("labels", 0),
            ("round", 0),
            *((name, number) for number in (1, 2) for name in ("asked", "labels", "round")),
        ]
        for asked, labels in zip(events[2::3], events[3::3], strict=True):
            assert asked["ids"] == labels["ids"]
            assert len(set(asked["ids"])) == QUERY_SIZE == len(asked["score"])
            reasons = asked["reason"]
            assert set(reasons) <= {"random", "entropy.entropy", "balancing"}
            assert asked["switched_at"] == (reasons.index("balancing") if "balancing" in reasons else None)
            switches.append(asked["switched_at"])
    assert switches[:2] == [None, None]
    assert any(switches[2:])


def test_results_and_report_read_it_like_any_other(finished_singly):
    rows = [row for row in read_csv(finished_singly / "results.csv") if row["arm"] == "balanced"]
    assert [int(row["num_labeled"]) - int(rows[0]["num_labeled"]) for row in rows] == [0, QUERY_SIZE, 2 * QUERY_SIZE]
    assert float(rows[1]["seconds_acquire"]) > 0
    text = (finished_singly / "report.html").read_text(encoding="utf-8")
    assert "1 label is asked at a time" in text
    assert '<span class="why">entropy.entropy</span>' in text.replace("<wbr>", "")


def experiment_of(every, strategy, **changes):
    study = parse_study(document(every, strategy, **changes))
    dataset = make_dataset(load_source(study.data), study.data, 0)
    return make_experiment(experiment_config(study, study.arms[0], 0), dataset), dataset.pool.labels


@pytest.fixture(scope="module")
def fitted():
    """A state after round 0, which is the same for every strategy."""
    return start(experiment_of(None, "random")[0])[0]


def starting(experiment, fitted):
    return fitted._replace(strategy=state_template(experiment).strategy)


def choice(every, strategy, fitted):
    experiment, _ = experiment_of(every, strategy)
    _, query, info = ask(experiment, starting(experiment, fitted), experiment.oracle.answer)
    return asked_rows(query), info.acquisition


@pytest.mark.parametrize("strategy", ["random", "entropy", pytest.param("core_set", marks=pytest.mark.slow)])
def test_a_choice_without_labels_is_the_same_in_pieces(strategy, fitted):
    rows, told = choice(None, strategy, fitted)
    assert len(rows) == QUERY_SIZE
    for every in (3, 5, 1, QUERY_SIZE, 1000):
        piecewise_rows, piecewise_told = choice(every, strategy, fitted)
        np.testing.assert_array_equal(piecewise_rows, rows)
        jax.tree.map(np.testing.assert_array_equal, piecewise_told, told)


def test_balancing_differs_by_what_it_is_told(fitted):
    choices = {tuple(choice(every, BALANCED, fitted)[0].tolist()) for every in (None, 3, 1)}
    assert len(choices) == 3


@pytest.mark.parametrize("every", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_balancing_in_the_experiment_is_the_loop_over_labels(every, fitted):
    experiment, truth = experiment_of(every, BALANCED)
    alone, _ = experiment_of(None, "entropy")
    state = starting(experiment, fitted)
    for _ in experiment.query_sizes:
        listed = asked_rows(ask(alone, state._replace(strategy=()))[1])
        embeddings = embed_images(experiment.model, state.variables, experiment.pool_images, 128)
        game = reference.Game(embeddings, state.pool.labels, NUM_CLASSES, listed, QUERY_SIZE, "max")
        told = []

        def answer(rows, told=told):
            told.append(rows.tolist())
            return experiment.oracle.answer(rows)

        state, query, _ = ask(experiment, state, answer)
        rows = asked_rows(query)
        pieces = [rows[place : place + every] for place in range(0, QUERY_SIZE, every)]
        assert told == [piece.tolist() for piece in pieces[:-1]], "the last piece's labels are not needed to ask"
        for piece in pieces:
            picked = [game.pick() for _ in piece]
            assert piece.tolist() == [pick.row for pick in picked]
            game.reveal(piece, truth[piece])
        assert game.switched_at not in (None, 0)
        assert np.all(np.asarray(state.pool.labels)[rows] == UNLABELED), "revealed by tell, not by ask"
        state, _ = tell(experiment, state, query, truth[rows])
        assert np.all(np.asarray(state.pool.queried_at)[rows] == int(state.pool.round))
        np.testing.assert_array_equal(np.asarray(state.pool.labels)[rows], truth[rows])


def test_a_round_against_the_oracle_is_ask_answer_tell(fitted):
    experiment, truth = experiment_of(7, "core_set")
    after, _ = run_round(experiment, fitted)
    asked, query, _ = ask(experiment, fitted, experiment.oracle.answer)
    told, _ = tell(experiment, asked, query, truth[asked_rows(query)])
    jax.tree.map(np.testing.assert_array_equal, after.pool, told.pool)


def test_pieces_without_answers_are_refused(fitted):
    experiment, _ = experiment_of(7, "entropy")
    with pytest.raises(InputError, match=r"answer: needed to ask 24 samples 7 at a time \(schedule\.reveal_every\)"):
        ask(experiment, fitted)
    with pytest.raises(InputError, match="labels: 7 samples were asked, but 6 labels are given"):
        ask(experiment, fitted, lambda rows: np.zeros(len(rows) - 1, np.int32))
    with pytest.raises(InputError, match=r"labels: expected -2 … 9, got 10 … 10"):
        ask(experiment, fitted, lambda rows: np.full(len(rows), 10, np.int32))


@pytest.mark.parametrize("reply", [UNLABELED, EXCLUDED])
def test_what_is_skipped_or_left_for_later_is_not_asked_twice_in_a_round(reply, fitted):
    experiment, _ = experiment_of(5, "entropy")
    state, query, _ = ask(experiment, fitted, lambda rows: np.full(len(rows), reply, np.int32))
    rows = asked_rows(query)
    assert len(set(rows.tolist())) == QUERY_SIZE
    state, _ = tell(experiment, state, query, np.full(QUERY_SIZE, reply, np.int32))
    np.testing.assert_array_equal(np.asarray(state.pool.labels)[rows], reply)


def test_a_query_beyond_the_pool_takes_what_there_is(fitted):
    schedule = {"initial_fraction": 0.05, "query_size": 2000, "num_rounds": 2, "reveal_every": 500}
    experiment, truth = experiment_of(500, "random", schedule=schedule)
    state, query, info = ask(experiment, fitted, experiment.oracle.answer)
    left = int(np.sum(np.asarray(fitted.pool.labels) == UNLABELED))
    assert query.indices.shape == info.acquisition.score.shape == (left,)
    assert np.all(query.is_valid)
    pool = reveal(state.pool, query, jax.numpy.asarray(truth[asked_rows(query)]))
    np.testing.assert_array_equal(pool.labels, truth)
    _, query, _ = ask(experiment, state._replace(pool=pool), experiment.oracle.answer)
    assert not np.any(query.is_valid), "the second round has nothing left to ask"


class Crash(BaseException):
    """What a kill leaves behind."""


SMALL = {"schedule": {"initial_fraction": 0.05, "query_size": 6, "num_rounds": 2, "reveal_every": 2}}


def dying(write, moment, clock):
    """The same function, but one that dies right before or right after a moment of the common clock."""

    def attempt(*arguments, **keywords):
        if clock[0] == moment:
            raise Crash
        clock[0] += 1
        answer = write(*arguments, **keywords)
        if clock[0] == moment:
            raise Crash
        clock[0] += 1
        return answer

    return attempt


@pytest.mark.slow
def test_killed_anywhere_and_resumed_it_comes_out_the_same(tmp_path, monkeypatch):
    """Die before and after durable writes and answers, each time one moment later, until the run gets through."""
    study = parse_study(document(2, BALANCED, **SMALL))
    run_study(study, tmp_path / "whole")
    moments, ask_once = 0, rounds.ask
    for moment in itertools.count():
        clock = [0]
        with monkeypatch.context() as patched:
            patched.setattr(journal, "append", dying(journal.append, moment, clock))
            patched.setattr(checkpoints, "save", dying(checkpoints.save, moment, clock))

            def ask_dying(experiment, state, answer, moment=moment, clock=clock):
                return ask_once(experiment, state, dying(answer, moment, clock))

            patched.setattr(rounds, "ask", ask_dying)
            try:
                run_study(study, tmp_path / "run")
            except Crash:
                moments += 1
                continue
        break
    assert moments > 8
    results, metrics, journals = outcome(tmp_path / "whole")
    assert outcome(tmp_path / "run") == (results, metrics, journals)


@pytest.mark.slow
def test_no_compilation_from_round_two_on(tmp_path):
    compiled, marks = [], {}
    name = "/jax/core/compile/backend_compile_duration"

    def listen(event, duration, **_):
        if event == name:
            compiled.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        # Queries of unequal size, the last piece of each another part of four, a size that no other test here has.
        schedule = {"initial_fraction": 0.05, "labeled_fractions": [0.06, 0.075, 0.08], "reveal_every": 4}
        study = parse_study(document(4, BALANCED, schedule=schedule))
        run_study(study, tmp_path, StudyListener(on_round=lambda *where: marks.update({where[2]: len(compiled)})))
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert marks[1] > marks[0]
    assert marks[3] == marks[1]
    sizes = [int(row["num_labeled"]) for row in read_csv(tmp_path / "results.csv")]
    assert len({(after - before) % 4 for before, after in itertools.pairwise(sizes)}) > 1


def test_it_is_set_in_a_file_or_on_the_command_line(tmp_path):
    config = tmp_path / "study.toml"
    config.write_text(tomli_w.dumps(document(None, "random", **SMALL)))
    assert load_study(config).schedule.reveal_every == 2
    assert load_study(config, [("schedule.reveal_every", "4")]).schedule.reveal_every == 4
    assert main(["run", str(config), "--workdir", str(tmp_path / "run"), "--schedule.reveal_every", "0"]) == 2
    assert main(["run", str(config), "--workdir", str(tmp_path / "run"), "--schedule.reveal_every", "1"]) == 0
    assert len(read_csv(tmp_path / "run" / "results.csv")) == 3
    assert "reveal_every = 1" in (tmp_path / "run" / "config.toml").read_text()


def test_that_stages_share_pieces_is_said_in_the_plan():
    notes = prepare_study(parse_study(document(1, "cb_dal", BALANCED))).notes
    (note,) = [note for note in notes if "share" in note and "stages" in note]
    assert note.startswith("So it is each 1 and not the query that the stages of these arms share: cb_dal.")
    assert not [note for note in prepare_study(parse_study(document(None, "cb_dal"))).notes if "at a time" in note]


def test_an_arm_may_reveal_otherwise_than_its_study(tmp_path):
    study = parse_study(document(3, "random", "entropy", "diversified_entropy"))
    arms = [msgspec.structs.replace(arm, reveal_every=1) if arm.name == "entropy" else arm for arm in study.arms]
    arms[2:] = [msgspec.structs.replace(arms[2], reveal_every=2)]
    study = msgspec.structs.replace(study, arms=tuple(arms))
    assert [experiment_config(study, arm, 0).schedule.reveal_every for arm in study.arms] == [3, 1, 2]
    notes = prepare_study(study).notes
    told = "asked at a time and revealed before the next; the model is fitted after the last."
    for arm, every in (("random", "3 labels are"), ("entropy", "1 label is"), ("diversified_entropy", "2 labels are")):
        assert f"Of each query of {arm} {every} {told}" in notes
    assert "So laps over the predicted classes begin anew with each 2 of: diversified_entropy." in notes
