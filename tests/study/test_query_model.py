"""A query model that asks, and another that is trained on the same labels and scored."""

import json

import jax
import numpy as np
import pytest
import tomli_w

from jaxal.config.models import OrganCNNConfig
from jaxal.config.reading import experiment_config, load_study, parse_study
from jaxal.data.dataset import load_source, make_dataset
from jaxal.errors import ConfigError
from jaxal.experiment import ask, asked_rows, fitting, make_experiment, rounds, start, tell
from jaxal.study import prepare_study, run_study
from jaxal.training.trainer import FitResult

from .conftest import tiny
from .small_network import small_network, write_weights

NETWORK = {"kind": "efficientnet", "variant": "lite0", "init": "imagenet", "trunk": "frozen"}
SCHEDULE = {"initial_size": 30, "query_size": 9, "num_rounds": 1}
MARGIN = {"name": "margin", "strategy": "margin"}


def experiment_of(**changes):
    study = parse_study(tiny(**{"arms": [MARGIN], "seeds": [0]} | changes))
    dataset = make_dataset(load_source(study.data), study.data, 0)
    return make_experiment(experiment_config(study, study.arms[0], 0), dataset)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two small pretrained networks with frozen trunks, of which a machine is fitted in no time."""
    with small_network(tmp_path_factory.mktemp("cache")):
        folder = tmp_path_factory.mktemp("weights")
        for seed in (0, 1):
            write_weights(folder / f"{seed}.safetensors", seed)
        yield [NETWORK | {"weights": str(folder / f"{seed}.safetensors")} for seed in (0, 1)]


def settings(model, **changes):
    data = {"source": {"kind": "digits"}, "split": {"validation_fraction": 0.1, "test_fraction": 0.2}}
    return {"data": data, "schedule": SCHEDULE, "training": {"classifier": "linear_svm"}, "model": model, **changes}


def test_one_model_asks_and_the_other_is_scored(models):
    large, small = models
    both = experiment_of(**settings(large, query_model=small))
    alone = {name: experiment_of(**settings(model)) for name, model in (("large", large), ("small", small))}
    state, record = start(both)
    asking, asking_record = start(alone["small"])
    scored, scored_record = start(alone["large"])
    assert record.metrics == scored_record.metrics != asking_record.metrics
    assert jax.tree.all(jax.tree.map(np.array_equal, state.variables, asking.variables))
    state, query, _ = ask(both, state)
    _, expected, _ = ask(alone["small"], asking)
    np.testing.assert_array_equal(query.indices, expected.indices)
    labels = both.oracle.answer(asked_rows(query))
    _, record = tell(both, state, query, labels)
    _, scored_record = tell(alone["large"], scored, query, labels)
    assert record.metrics == scored_record.metrics


@pytest.mark.slow
def test_a_study_names_both_models_and_pins_their_weights(models, tmp_path):
    large, small = models
    # The last layer alone: support vector machines of all the rows behind a network of random numbers take minutes.
    full = {"name": "full", "kind": "full", "training": {"classifier": "network"}}
    arms = [MARGIN | {"query_model": small}, full]
    study = parse_study(tiny(arms=arms, seeds=[0], **settings(large)))
    plan = prepare_study(study)
    assert [arm.steps for arm in plan.arms] == [(2, 2), (2000,)]
    assert any(note.startswith("Query model of margin: efficientnet_lite0") for note in plan.notes)
    assert any(note.startswith("margin: A query model is fitted and asks;") for note in plan.notes)
    result = run_study(study, tmp_path)
    pinned = json.loads((tmp_path / "environment.json").read_text())["weights_sha256"]
    assert pinned.keys() == {"margin", "margin (query model)", "full"}
    assert pinned["margin"] == pinned["full"] != pinned["margin (query model)"]
    assert [row["num_labeled"] for row in result.table][:2] == [30, 39]


@pytest.mark.parametrize("begin", ["restart", "continue"])
def test_fine_tuned_models_share_their_images_and_the_scored_one_always_starts_anew(monkeypatch, begin):
    fitted = []

    def fit(model, training, key, *arguments, begin, **settings):
        fitted.append((model, begin is None))
        return FitResult(model.init(key), 1, 1)

    monkeypatch.setattr(fitting, "fit", fit)
    monkeypatch.setattr(rounds, "_scored", lambda *_: [])  # compiling a network takes ten seconds
    experiment = experiment_of(model={"width": 4}, query_model={"width": 1}, training={"start": begin})
    assert experiment.scored.pool_images is experiment.pool_images
    assert experiment.scored.model.spec.embedding_width == 4 * experiment.model.spec.embedding_width
    state, _ = start(experiment)
    query = rounds.Query(np.arange(9, dtype=np.int32), np.zeros(9, bool))
    tell(experiment, state, query, np.zeros(0, np.int32))
    models = (experiment.model, experiment.scored.model)
    assert fitted == [*zip(models, (True, True), strict=True), *zip(models, (begin == "restart", True), strict=True)]


def test_a_query_model_is_a_word_a_table_or_an_arm_s(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(tomli_w.dumps(tiny(query_model={"kind": "organ_cnn", "width": 2})))
    study = load_study(path, [("arms.1.query_model", "resnet18"), ("query_model.width", "3")])
    assert study.query_model == OrganCNNConfig(width=3)
    assert [experiment_config(study, arm, 0).query_model for arm in study.arms] == [
        study.query_model,
        study.arms[1].query_model,
    ]


FULL = {"name": "full", "kind": "full", "query_model": {"width": 2}}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"query_model": "resnet19"}, r"query_model: unknown model 'resnet19' \(did you mean resnet18\?\)"),
        ({"arms": [FULL]}, r"arms\.0 \(full\): an arm of kind full asks nothing; remove its query_model"),
        (
            {"query_model": NETWORK | {"init": "random", "weights": "x.pth"}},
            r"query_model: weights are read where init =",
        ),
        (
            {"model": NETWORK, "query_model": {"width": 2}, "training": {"classifier": "linear_svm"}},
            r"arms\.0 \(cb\): training\.classifier = \"linear_svm\" needs embeddings that stay",
        ),
    ],
)
def test_query_models_that_cannot_be_are_refused(changes, expected):
    with pytest.raises(ConfigError, match=expected):
        parse_study(tiny(**changes))
