"""A support vector machine or the network, whichever predicts held-out labels better."""

from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxal.config.reading import experiment_config, parse_study
from jaxal.experiment import Experiment
from jaxal.experiment.fitting import fit_round
from jaxal.models.model import Variables
from jaxal.training.choosing import NUM_FITS
from jaxal.training.folds import stratified_folds
from jaxal.training.inference import apply_images, embed_images
from jaxal.training.trainer import EvaluationSet
from tests.training.small_models import linear_model

NUM_ROWS, NUM_EPOCHS, BATCH_SIZE = 90, 4, 8


def two_layers():
    """Make a network whose embeddings see only the first two pixels, until it is trained."""
    last = linear_model(num_pixels=2)

    def init(key):
        params, _ = last.init(key)
        return Variables(params | {"first": jnp.eye(4, 2)}, {})

    def embed(variables, images):
        return (images.reshape(images.shape[0], -1).astype(jnp.float32) / 127.5 - 1) @ variables.params["first"]

    def embed_train(variables, key, images):
        return embed(variables, images), {}

    def apply(variables, images):
        return last.head(variables, embed(variables, images))

    def apply_train(variables, key, images):
        return apply(variables, images), {}

    spec = last.spec._replace(image_shape=(4, 1, 1))
    return last._replace(
        spec=spec, init=init, embed=embed, apply=apply, embed_train=embed_train, apply_train=apply_train
    )


MODEL = two_layers()


def experiment_of(*, told_by, learning_rate):
    """Make an experiment whose two classes differ in one pixel."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 2, NUM_ROWS).astype(np.int32)
    images = rng.integers(0, 256, (NUM_ROWS, 4, 1, 1)).astype(np.uint8)
    images[:, told_by, 0, 0] = np.where(classes == 1, 200, 55) + rng.integers(-50, 50, NUM_ROWS)
    training = {
        "num_epochs": NUM_EPOCHS,
        "batch_size": BATCH_SIZE,
        "learning_rate": learning_rate,
        "inference_batch_size": 16,
        "classifier": "cross_validated",
    }
    document = {
        "name": "choice",
        "data": {"source": {"kind": "digits"}},
        "schedule": {"initial_size": 0, "query_size": 5, "num_rounds": 1},
        "model": "resnet18",
        "training": training,
        "arms": [{"name": "a", "strategy": "random"}],
    }
    study = parse_study(document)
    images = jnp.asarray(images)
    return Experiment(
        config=experiment_config(study, study.arms[0], 0),
        model=MODEL,
        strategy=None,
        oracle=None,
        class_names=("zero", "one"),
        minority=1,
        initial_labels=classes,
        query_sizes=(),
        pool_images=images,
        pool_ids=np.arange(NUM_ROWS).astype(str),
        sample_ids=jnp.arange(NUM_ROWS, dtype=jnp.int32),
        pool_groups=None,
        validation=EvaluationSet(images[60:], jnp.asarray(classes[60:]), jnp.ones(30, bool)),
        test_sets={},
        weights_sha256="",
        subgroups=MappingProxyType({}),
    )


def fitted_round(experiment, num_labeled, number=0):
    """Fit a round to the first labels; return the fit, the metrics told, and the steps told."""
    labels, steps = experiment.initial_labels.copy(), []
    labels[num_labeled:] = -1
    fitted, rows = fit_round(
        experiment,
        number,
        jnp.asarray(labels),
        experiment.validation,
        max_labeled=60,
        num_epochs=experiment.config.training.num_epochs,
        begin=None,
        on_steps=steps.append,
    )
    assert all(each >= 0 for each in steps)
    return fitted, {row.metric: row.value for row in rows}, sum(steps)


@pytest.mark.parametrize(
    ("told_by", "learning_rate", "is_svm"), [(0, 1e-9, True), (2, 0.1, False)], ids=["machine", "network"]
)
def test_what_predicts_held_out_labels_better_is_fitted_to_all(told_by, learning_rate, is_svm):
    experiment = experiment_of(told_by=told_by, learning_rate=learning_rate)
    compilations = []

    def listener(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compilations.append(duration)

    fitted, told, num_steps = fitted_round(experiment, 43)
    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        fitted_round(experiment, 60, number=1)
        assert not compilations
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)
    assert num_steps == NUM_FITS * NUM_EPOCHS * -(-43 // BATCH_SIZE)
    assert told["chose_svm"] == is_svm == (told["svm_accuracy"] >= told["network_accuracy"])
    assert max(told["svm_accuracy"], told["network_accuracy"]) > 0.85
    assert told["svm_accuracy"] != told["network_accuracy"]
    assert told["choice_folds"] == told["svm_folds"] == 10
    images, variables = experiment.pool_images[43:], fitted.variables
    logits = apply_images(MODEL, variables, images, 16)
    assert np.mean(np.argmax(logits, axis=1) == experiment.initial_labels[43:]) > 0.85
    # The law of models: whatever won, its last layer is applied to its embeddings.
    head, z = MODEL.linear_head(variables), embed_images(MODEL, variables, images, 16)
    np.testing.assert_allclose(logits, z @ head.weight + head.bias[None], rtol=1e-5, atol=1e-5)
    assert np.array_equal(variables.params["first"], np.eye(4, 2)) == is_svm
    again, same, _ = fitted_round(experiment, 43)
    assert same == told
    assert jax.tree.all(jax.tree.map(np.array_equal, again.variables, variables))


def test_where_nothing_can_be_held_out_the_machine_is_taken_and_it_is_said():
    experiment = experiment_of(told_by=0, learning_rate=0.05)
    first = int(np.flatnonzero(np.diff(experiment.initial_labels))[0]) + 2  # of one class, and one of the other
    fitted, told, num_steps = fitted_round(experiment, first)
    assert (told["choice_folds"], told["chose_svm"], told["svm_cost"]) == (0, 1, 1.0)
    assert told["svm_accuracy"] is told["network_accuracy"] is None
    assert (fitted.best_epoch, num_steps) == (1, NUM_FITS * NUM_EPOCHS * -(-first // BATCH_SIZE))
    fitted, told, num_steps = fitted_round(experiment, 0)
    assert (fitted.best_epoch, told["svm_cost"], num_steps) == (0, None, 0)


def test_folds_deal_every_class_evenly():
    labels = np.repeat([0, 2, 5], [23, 4, 9])
    fold_of, num_folds = stratified_folds(labels, seed=3)
    assert num_folds == 4
    counts = np.array([[np.sum((fold_of == fold) & (labels == each)) for each in (0, 2, 5)] for fold in range(4)])
    assert np.all(counts >= 1)
    assert np.all(np.ptp(counts, axis=0) <= 1)
    for alone in ([0, 0, 1], [2], []):
        fold_of, num_folds = stratified_folds(np.array(alone, np.int32), seed=3)
        assert num_folds == 0
        assert np.all(fold_of == -1)
