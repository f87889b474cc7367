"""A fit: what is kept, what it is told, what it compiles."""

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score
from small_models import linear_model

from jaxal.config.augmentation import AugmentationConfig
from jaxal.config.models import OrganCNNConfig
from jaxal.config.training import TrainingConfig
from jaxal.evaluation.metrics import ClassMetrics, Metrics
from jaxal.models.organ_cnn import organ_cnn
from jaxal.training import trainer
from jaxal.training.augmentation import augmented
from jaxal.training.trainer import EvaluationSet, evaluate_model, fit

RNG = np.random.default_rng(0)
CLASSES = np.tile([0, 1, 0], 14)[:40].astype(np.int32)
# Class 1 is a little brighter, so that there is something to learn and something to get wrong.
IMAGES = jnp.asarray((RNG.integers(0, 200, (40, 5, 5, 1)) + 25 * CLASSES[:, None, None, None]).astype(np.uint8))
VALIDATION = EvaluationSet(IMAGES[28:], jnp.asarray(CLASSES[28:]), jnp.ones(len(CLASSES[28:]), bool))
POOL, POOL_LABELS = IMAGES[:28], CLASSES[:28]

CNN = organ_cnn(OrganCNNConfig(width=2), image_shape=(5, 5, 1), num_classes=2, mean=(0.5,), std=(0.25,))
LINEAR = linear_model(num_pixels=25)
CONFIG = TrainingConfig(num_epochs=6, batch_size=4, learning_rate=0.05, inference_batch_size=8)


def labeled(count: int):
    labels = np.full(28, -1, np.int32)
    labels[:count] = POOL_LABELS[:count]
    return jnp.asarray(labels)


def run_fit(model=LINEAR, config=CONFIG, *, count=9, seed=0, **options):
    key = jax.random.key(seed)
    options = {"positive_class": 1, "max_labeled": 28} | options
    return fit(model, config, key, POOL, labeled(count), VALIDATION, **options)


def same(one, other) -> bool:
    return all(jax.tree.leaves(jax.tree.map(np.array_equal, one, other)))


@pytest.fixture
def validated(monkeypatch):
    """Collect the variables of every validation, as they were then."""
    collected = []

    def evaluate_and_collect(model, config, variables, evaluation_set, positive_class):
        collected.append(jax.tree.map(np.array, variables))
        return evaluate_model(model, config, variables, evaluation_set, positive_class)

    monkeypatch.setattr(trainer, "evaluate_model", evaluate_and_collect)
    return collected


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_variables_of_the_best_validation_are_kept(validated, seed):
    fitted = run_fit(seed=seed)
    assert len(validated) == 6
    truth = np.asarray(VALIDATION.labels)
    scores = []
    for variables in validated:
        logits = np.asarray(LINEAR.apply(variables, VALIDATION.images), np.float64)
        positive = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
        scores.append((round(roc_auc_score(truth, logits[:, 1] - logits[:, 0]), 6), -log_loss(truth, positive)))
    assert fitted.best_epoch == 1 + scores.index(max(scores))
    assert same(fitted.variables, validated[fitted.best_epoch - 1])


def test_the_network_learns_and_what_is_kept_is_one_of_its_epochs(validated):
    config = TrainingConfig(num_epochs=16, batch_size=4, learning_rate=0.02, inference_batch_size=8)
    fitted = run_fit(CNN, config, count=28)
    assert same(fitted.variables, validated[fitted.best_epoch - 1])
    metrics = evaluate_model(CNN, config, fitted.variables, VALIDATION, 1)
    untrained = evaluate_model(CNN, config, CNN.init(jax.random.key(0)), VALIDATION, 1)
    assert float(metrics.auroc) > max(0.6, float(untrained.auroc))


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([(0.5, 1.0), (0.7, 9.0), (0.6, 0.1)], 2),  # AUROC goes before loss
        ([(0.7, 1.0), (0.7, 0.5), (0.7, 0.6)], 2),  # a tie goes by loss
        ([(0.7, 0.5), (0.7, 0.5), (0.7, 0.5)], 1),  # then to the earlier epoch
        ([(NAN, 0.9), (NAN, 0.3), (NAN, 0.4)], 2),  # AUROC not defined: the loss decides
        ([(NAN, NAN), (0.5, 3.0), (NAN, NAN)], 2),  # diverged and back
        ([(0.6, 1.0), (NAN, NAN), (NAN, 0.0)], 1),
        ([(NAN, NAN), (NAN, NAN), (NAN, NAN)], 1),  # nothing is ever sound: the first, not the untrained
        ([(0.0, INF), (0.0, 5.0), (0.0, INF)], 2),
        ([(0.5, NAN), (0.5, 7.0), (0.5, 8.0)], 2),
    ],
)
@pytest.mark.parametrize("keep", ["best_auroc", "best_accuracy", "last"])
def test_what_is_best_is_decided_by_what_is_kept_then_loss_then_epoch(monkeypatch, scores, best, keep):
    script = iter(scores)
    blank = ClassMetrics(*(jnp.zeros(2) for _ in ClassMetrics._fields))

    def scripted(model, config, variables, evaluation_set, positive_class):
        score, loss = next(script)
        zero = jnp.zeros(())
        other = jnp.asarray(0.5 if keep == "best_auroc" else -score, jnp.float32)  # what must not decide
        auroc, accuracy = (other, score) if keep == "best_accuracy" else (score, other)
        return Metrics(
            auroc=jnp.asarray(auroc, jnp.float32),
            average_precision=zero,
            balanced_accuracy=zero,
            accuracy=jnp.asarray(accuracy, jnp.float32),
            loss=jnp.asarray(loss, jnp.float32),
            calibration_error=zero,
            per_class=blank,
        )

    def count_up(model, config, state, *_):
        params = jax.tree.map(lambda leaf: jnp.full_like(leaf, state.step + 1), state.variables.params)
        return state._replace(variables=state.variables._replace(params=params), step=state.step + 1)

    monkeypatch.setattr(trainer, "evaluate_model", scripted)
    monkeypatch.setattr(trainer, "run_epoch", count_up)
    fitted = run_fit(config=TrainingConfig(num_epochs=3, keep=keep))
    kept = 3 if keep == "last" else best
    assert fitted.best_epoch == kept
    assert float(fitted.variables.params["classifier"]["bias"][0]) == kept
    accuracies = [score for score, _ in scores if score == score]
    if keep == "best_accuracy":
        assert fitted.max_accuracy == (pytest.approx(max(accuracies)) if accuracies else None)
    assert next(script, None) is None


@pytest.mark.parametrize(("num_epochs", "every", "times"), [(6, 1, 6), (6, 2, 3), (7, 3, 3), (2, 5, 1)])
def test_validation_comes_every_so_many_epochs_and_after_the_last(validated, num_epochs, every, times):
    config = TrainingConfig(num_epochs=num_epochs, batch_size=4, inference_batch_size=8, validate_every=every)
    fitted = run_fit(config=config)
    assert len(validated) == times
    assert fitted.best_epoch % every == 0 or fitted.best_epoch == num_epochs


def test_the_length_of_a_fit_may_differ_from_the_config_s(validated):
    told = []
    fitted = run_fit(num_epochs=4, on_steps=told.append)
    assert (fitted.num_epochs, len(validated), told) == (4, 4, [3] * 4)
    truth, hits = np.asarray(VALIDATION.labels), []
    for variables in validated:
        hits.append(np.mean(np.argmax(LINEAR.apply(variables, VALIDATION.images), axis=1) == truth))
    assert fitted.max_accuracy == pytest.approx(max(hits))
    as_config = run_fit(config=msgspec.structs.replace(CONFIG, num_epochs=4))
    assert same(fitted, as_config)


def test_on_steps_is_told_of_each_epoch():
    told = []
    run_fit(count=9, on_steps=told.append)
    assert told == [3] * 6  # ceil(9 / 4)


def test_every_epoch_has_an_order_of_its_own(monkeypatch):
    orders = []

    def collect(model, config, state, key, images, labels, batches, *_):
        orders.append(np.asarray(batches)[:3].ravel().tolist())
        return state

    monkeypatch.setattr(trainer, "run_epoch", collect)
    run_fit(count=9)
    assert len(orders) == 6
    assert all(set(order) == set(range(9)) for order in orders)
    assert len({tuple(order) for order in orders}) == 6


def test_nothing_labeled_is_not_fitted(validated):
    told = []
    fitted = run_fit(count=0, on_steps=told.append)
    assert fitted.best_epoch == 0
    assert told == validated == []
    init_key = jax.random.split(jax.random.key(0), 3)[0]
    assert same(fitted.variables, LINEAR.init(init_key))


def test_a_fit_is_its_key_s():
    one, same_key, other_key = run_fit(seed=3), run_fit(seed=3), run_fit(seed=4)
    assert same(one, same_key)
    assert not same(one.variables, other_key.variables)


def test_rows_without_label_are_never_seen():
    labels = labeled(9)
    garbage = jnp.where((labels >= 0)[:, None, None, None], POOL, 255 - POOL)
    excluded = jnp.where(labels >= 0, labels, -2)
    key = jax.random.key(5)
    options = {"positive_class": 1, "max_labeled": 28}
    one = fit(LINEAR, CONFIG, key, POOL, labels, VALIDATION, **options)
    other = fit(LINEAR, CONFIG, key, garbage, excluded, VALIDATION, **options)
    assert same(one, other)


def test_max_labeled_sets_shapes_and_nothing_else():
    assert same(run_fit(max_labeled=9), run_fit(max_labeled=28))


@pytest.mark.parametrize("is_protocol", [False, True], ids=["plain", "protocol"])
def test_a_later_fit_with_more_labels_compiles_nothing(is_protocol):
    compilations = []

    def listener(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compilations.append(duration)

    model, config = CNN, TrainingConfig(num_epochs=2, batch_size=5, inference_batch_size=8)
    if is_protocol:  # in parts, augmented, stopped early, and each fit from the one before
        model = augmented(linear_model(num_pixels=25), AugmentationConfig(flips="both", rotation=20.0))
        config = msgspec.structs.replace(config, micro_batch_size=1, early_stop=1, start="continue")
    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        fitted = run_fit(model, config, count=6)
        first = len(compilations)
        begin = fitted.variables if is_protocol else None
        run_fit(model, config, count=21, seed=1, begin=begin)
        run_fit(model, config, count=3, seed=2, begin=begin, num_epochs=5)
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)
    assert first > 0
    assert len(compilations) == first


def test_padding_rows_of_validation_change_nothing():
    padded = EvaluationSet(
        jnp.concatenate([VALIDATION.images, jnp.full((5, 5, 5, 1), 255, jnp.uint8)]),
        jnp.concatenate([VALIDATION.labels, jnp.array([1, 0, -1, 1, 0], jnp.int32)]),
        jnp.concatenate([VALIDATION.is_counted, jnp.zeros(5, bool)]),
    )
    key, options = jax.random.key(0), {"positive_class": 1, "max_labeled": 28}
    one, other = (fit(LINEAR, CONFIG, key, POOL, labeled(9), each, **options) for each in (VALIDATION, padded))
    assert one.best_epoch == other.best_epoch
    assert same(one.variables, other.variables)
    scored = [evaluate_model(LINEAR, CONFIG, one.variables, each, 1) for each in (VALIDATION, padded)]
    assert same(*scored)


def test_with_nothing_to_validate_on_the_last_epoch_is_kept():
    nothing = VALIDATION._replace(is_counted=jnp.zeros_like(VALIDATION.is_counted))
    fitted = fit(LINEAR, CONFIG, jax.random.key(0), POOL, labeled(9), nothing, positive_class=1, max_labeled=28)
    assert fitted.best_epoch == CONFIG.num_epochs
    assert fitted.max_accuracy is None


def scripted(monkeypatch, aurocs):
    """Let validation score as the script says, epoch by epoch."""
    blank, zero, script = ClassMetrics(*(jnp.zeros(2) for _ in ClassMetrics._fields)), jnp.zeros(()), iter(aurocs)

    def evaluate(*_):
        return Metrics(jnp.asarray(next(script), jnp.float32), zero, zero, zero, zero, zero, blank)

    monkeypatch.setattr(trainer, "evaluate_model", evaluate)


@pytest.mark.parametrize(
    ("patience", "every", "aurocs", "best", "run"),
    [
        (1, 1, [0.5, 0.5], 1, 2),  # as good is not better
        (2, 1, [0.5, 0.6, 0.5, 0.4], 2, 4),
        (2, 1, [0.5, 0.4, 0.6, 0.4, 0.7, 0.8], 6, 6),
        (3, 1, [0.5] * 4, 1, 4),
        (6, 1, [0.5] * 6, 1, 6),
        (1, 2, [0.5, 0.5], 2, 4),  # epochs without a validation neither count nor stop
        (3, 2, [0.5, 0.5, 0.6], 6, 6),
        (1, 1, [NAN, NAN], 1, 2),
    ],
)
def test_a_fit_ends_so_many_epochs_after_its_best(monkeypatch, patience, every, aurocs, best, run):
    scripted(monkeypatch, aurocs)
    told = []
    config = TrainingConfig(num_epochs=6, batch_size=4, early_stop=patience, validate_every=every)
    fitted = run_fit(config=config, on_steps=told.append)
    assert (fitted.best_epoch, fitted.num_epochs) == (best, run)
    assert told[:run] == [3] * run
    assert sum(told) == 6 * 3  # what is left out is told too, or a bar would wait for it


def test_an_early_stop_is_the_beginning_of_the_whole_fit(monkeypatch):
    """The cosine goes on over all epochs: what is kept is what the whole fit had at that epoch."""
    collected = []

    def after(model, config, variables, *_):
        collected.append(jax.tree.map(np.array, variables))
        return evaluate_model(model, config, variables, *_)

    monkeypatch.setattr(trainer, "evaluate_model", after)
    config = TrainingConfig(num_epochs=6, batch_size=4, learning_rate=0.05, early_stop=1)
    stopped = run_fit(config=config)
    num_run = len(collected)
    run_fit(config=CONFIG)
    assert stopped.num_epochs == num_run < 6
    assert all(same(*pair) for pair in zip(collected[:num_run], collected[num_run:], strict=False))


def test_nothing_to_validate_on_never_stops_early():
    nothing = VALIDATION._replace(is_counted=jnp.zeros_like(VALIDATION.is_counted))
    config = TrainingConfig(num_epochs=3, batch_size=4, early_stop=1)
    fitted = fit(LINEAR, config, jax.random.key(0), POOL, labeled(9), nothing, positive_class=1, max_labeled=28)
    assert (fitted.best_epoch, fitted.num_epochs) == (3, 3)


def test_a_fit_begins_where_it_is_told_and_leaves_that_alone():
    begin = jax.tree.map(lambda leaf: leaf + 1, LINEAR.init(jax.random.key(9)))
    before = jax.tree.map(np.array, begin)
    config = TrainingConfig(num_epochs=1, batch_size=4, learning_rate=1e-12, final_learning_rate=0.0)
    fitted = run_fit(config=config, begin=begin)
    np.testing.assert_allclose(
        fitted.variables.params["classifier"]["kernel"], before.params["classifier"]["kernel"], atol=1e-9
    )
    assert same(begin, before)
    assert same(run_fit(count=0, begin=begin).variables, before)
