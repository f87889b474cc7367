"""One-shot acquisition: no label at the start, one query by a source model's classes, a shallow classifier."""

import csv
import json

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import jaxal
from jaxal.config.reading import experiment_config, parse_study
from jaxal.data.dataset import load_source, make_dataset
from jaxal.errors import DataError, StoreError
from jaxal.experiment import make_experiment
from jaxal.experiment.source import make_network
from jaxal.models.pretrained import initial_variables
from jaxal.study import StudyListener, prepare_study, run_study
from jaxal.study.embedding import embed_study
from jaxal.study.source_classes import kept_source_shares
from jaxal.training.inference import apply_images

from .conftest import tiny
from .small_network import small_network, write_weights

ENTROPY = {"kind": "entropy", "logits_of": "source", "inverted": True}
SVM = {"classifier": "linear_svm", "batch_size": 16}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of a small network of five classes, while it is known as lite0."""
    with small_network(tmp_path_factory.mktemp("cache")):
        path = tmp_path_factory.mktemp("weights") / "small.safetensors"
        write_weights(path)
        yield path


def document(weights, **changes):
    network = {"kind": "efficientnet", "variant": "lite0", "weights": str(weights)}
    return tiny(
        seeds=[0],
        data={"source": {"kind": "digits"}, "split": {"validation_fraction": 0.1, "test_fraction": 0.2}},
        schedule={"initial_size": 0, "query_size": 60, "num_rounds": 1},
        source_model=network,
        model=network | {"init": "imagenet", "trunk": "frozen"},
        arms=[{"name": "laps", "strategy": "diversified_entropy"}, {"name": "certain", "strategy": ENTROPY}],
        training=SVM,
        **changes,
    )


def dataset_of(study):
    return make_dataset(load_source(study.data), study.data, 0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, weights):
    study, told, notes = parse_study(document(weights)), [], []
    listener = StudyListener(
        on_embedded=lambda *progress: told.append(progress), on_plan=lambda plan, steps: notes.extend(plan.notes)
    )
    return study, run_study(study, tmp_path_factory.mktemp("one_shot"), listener), told, notes


def events_of(result, arm):
    lines = (result.workdir / arm / "seed-0" / "journal.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_the_query_is_what_the_source_model_s_own_classes_ask_for(finished):
    study, result, _, _ = finished
    dataset = dataset_of(study)
    network = make_network(study.source_model, dataset, 5)
    variables, report = initial_variables(network, study.source_model, jax.random.key(0))
    assert not report.fresh
    logits = apply_images(network, variables, dataset.pool.images, 256)
    pool = {
        "embeddings": np.zeros((len(logits), 1), np.float32),
        "labels": np.full(len(logits), -1),
        "source_logits": logits,
        "num_classes": 10,
        "budget": 60,
    }
    for arm, strategy in (("laps", "diversified_entropy"), ("certain", ENTROPY)):
        (asked,) = [event["indices"] for event in events_of(result, arm) if event["event"] == "asked"]
        np.testing.assert_array_equal(asked, jaxal.select(strategy, **pool))
    shares = kept_source_shares(result.workdir)
    counts = np.bincount(np.argmax(logits, axis=1), minlength=5)
    assert shares == tuple(sorted(counts / len(logits), reverse=True))
    assert (result.workdir / "figures" / "source_classes.svg").exists()
    told = f"{np.count_nonzero(counts)} of its 5 classes"
    assert told in (result.workdir / "report.html").read_text(encoding="utf-8")


def test_a_round_without_labels_has_no_score_and_the_query_trains_the_machine(finished):
    _, result, _, _ = finished
    for before, after in (result.table[:2], result.table[2:]):
        assert (before["num_labeled"], after["num_labeled"]) == (0, 60)
        assert before["balanced_accuracy"] is None
        assert after["balanced_accuracy"] > 0.1
    for arm in ("laps", "certain"):
        costs, folds = (
            [
                row[3]
                for event in events_of(result, arm)
                if event["event"] == "round"
                for row in event["metrics"]
                if row[2] == name
            ]
            for name in ("svm_cost", "svm_folds")
        )
        assert (costs[0], folds[0]) == (None, 0)
        assert costs[1] > 0


def test_source_and_frozen_trunk_are_one_pass_over_the_images(finished):
    study, _, told, _ = finished
    assert [total for done, total in told if done == total] == [len(load_source(study.data).labels)]


def test_notes_and_environment_name_the_source_model(finished, weights):
    _, result, _, notes = finished
    told = f"Source model of laps, certain: efficientnet_lite0 by its own 5 classes, weights of {weights} (SHA-256 "
    assert any(note.startswith(told) for note in notes)
    assert any(note.startswith("A linear support vector machine takes the last layer's place") for note in notes)
    pinned = json.loads((result.workdir / "environment.json").read_text())["weights_sha256"]
    assert pinned.keys() == {"(source model)", "laps", "certain"}
    assert len(set(pinned.values())) == 1


def test_without_a_source_model_it_is_said_that_the_trained_model_stands_in(weights):
    plain = document(weights)
    del plain["source_model"], plain["arms"][1]
    notes = prepare_study(parse_study(plain)).notes
    assert "No source_model is set: the model that is trained stands in for it in laps." in notes


def test_thresholding_changes_predictions_and_neither_the_query_nor_the_machine(finished, tmp_path, weights):
    _, plain, _, _ = finished
    moved, beside = (
        run_study(parse_study(document(weights) | {"training": SVM | {"thresholding": how}}), tmp_path / str(how))
        for how in (True, "beside")
    )
    for arm in ("laps", "certain"):
        ours, theirs = events_of(moved, arm), events_of(plain, arm)
        assert [each.get("indices") for each in ours] == [each.get("indices") for each in theirs]
        assert [each.get("sha256") for each in ours] == [each.get("sha256") for each in theirs]
    accuracies = [[row["balanced_accuracy"] for row in result.table] for result in (moved, plain)]
    assert accuracies[0] != accuracies[1]
    assert [row["balanced_accuracy"] for row in beside.table] == accuracies[1]
    with (beside.workdir / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    found = [row["value"] for row in rows if row["metric"] == "thresholded_balanced_accuracy"]
    assert found == ["" if value is None else repr(value) for value in accuracies[0]]


def test_weights_without_a_last_layer_are_no_source_model(weights, tmp_path):
    named = {name: array for name, array in load_file(weights).items() if not name.startswith("classifier")}
    save_file(named, tmp_path / "headless.safetensors")
    changed = document(weights)
    changed["source_model"] = changed["source_model"] | {"weights": str(tmp_path / "headless.safetensors")}
    with pytest.raises(DataError, match=r"headless.*is no last layer of two classes or more: give weights"):
        prepare_study(parse_study(changed))


def test_a_source_model_that_changes_amid_a_study_is_refused(weights, tmp_path):
    path = tmp_path / "source.safetensors"
    path.write_bytes(weights.read_bytes())
    changed = document(weights)
    changed["source_model"] = changed["source_model"] | {"weights": str(path)}
    listener = StudyListener(on_round=lambda *_: write_weights(path, seed=1))
    with pytest.raises(StoreError, match=r"arm certain, seed 0: the pretrained weights in .*source\.safetensors have"):
        run_study(parse_study(changed), tmp_path / "run", listener)


def test_given_embeddings_are_the_source_model_s_too_where_the_trunk_is_the_same(weights, tmp_path, monkeypatch):
    study = parse_study(document(weights))
    cached = make_experiment(experiment_config(study, study.arms[0], 0), dataset_of(study))
    embed_study(study, tmp_path / "given")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "unused"))
    given = document(weights)
    given["data"]["embeddings"] = str(tmp_path / "given")
    study = parse_study(given)
    own = make_experiment(experiment_config(study, study.arms[0], 0), dataset_of(study))
    np.testing.assert_array_equal(own.source_logits, cached.source_logits)
    assert own.source_logits.shape[1] == 5
    assert not (tmp_path / "unused").exists()
