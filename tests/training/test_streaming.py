"""Training and inference on streamed images: bit for bit what they are on images in place."""

import functools
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_models import fit_plan, linear_model
from streamed_images import streamed

from jaxal.config.models import OrganCNNConfig
from jaxal.config.training import AdamWConfig, TrainingConfig
from jaxal.data.loading import Images
from jaxal.models.organ_cnn import organ_cnn
from jaxal.training import steps
from jaxal.training.inference import apply_images, embed_images
from jaxal.training.steps import new_fit, run_epoch
from jaxal.training.trainer import EvaluationSet, evaluate_model, fit

RNG = np.random.default_rng(0)
SIDE, CHANNELS = 10, 3
CLASSES = np.tile([0, 1, 0, 2], 20).astype(np.int32)
IMAGES = RNG.integers(0, 180, (80, SIDE, SIDE, CHANNELS)) + 25 * CLASSES[:, None, None, None]
IMAGES = jnp.asarray(IMAGES.astype(np.uint8))
POOL, VALIDATION = IMAGES[:50], EvaluationSet(IMAGES[50:], jnp.asarray(CLASSES[50:]), jnp.ones(30, bool))
LABELS = jnp.asarray(np.where(np.arange(50) % 2, CLASSES[:50], -1), jnp.int32)

CNN = organ_cnn(
    OrganCNNConfig(width=4), image_shape=(SIDE, SIDE, CHANNELS), num_classes=3, mean=(0.5, 0.4, 0.3), std=(0.2,) * 3
)
LINEAR = linear_model(num_pixels=SIDE * SIDE * CHANNELS, num_classes=3)
CONFIG = TrainingConfig(
    num_epochs=3, batch_size=8, learning_rate=0.01, inference_batch_size=16, optimizer=AdamWConfig(weight_decay=0.1)
)


def same(one, other) -> bool:
    equal = functools.partial(np.array_equal, equal_nan=True)
    return all(jax.tree.leaves(jax.tree.map(equal, one, other)))


def run_fit(model, pool, validation, labels=LABELS):
    return fit(model, CONFIG, jax.random.key(1), pool, labels, validation, positive_class=1, max_labeled=50)


@pytest.mark.parametrize("model", [LINEAR, pytest.param(CNN, marks=pytest.mark.slow)], ids=["linear", "cnn"])
def test_a_fit_on_streamed_images_is_the_fit_on_images_in_place(model):
    one = run_fit(model, POOL, VALIDATION)
    other = run_fit(model, streamed(POOL), VALIDATION._replace(images=streamed(VALIDATION.images)))
    assert not same(one.variables, model.init(jax.random.key(1)))
    assert one.best_epoch == other.best_epoch
    assert same(one.variables, other.variables)


@pytest.mark.parametrize(
    ("model", "num_images"),
    [*((LINEAR, number) for number in (1, 15, 16, 17, 50)), pytest.param(CNN, 17, marks=pytest.mark.slow)],
)
def test_inference_on_streamed_images_is_that_on_images_in_place(model, num_images):
    images, variables = POOL[:num_images], model.init(jax.random.key(0))
    for compute in (embed_images, apply_images):
        one, other = (compute(model, variables, each, 16) for each in (images, streamed(images)))
        assert one.shape[0] == num_images
        np.testing.assert_array_equal(one, other)


def test_streamed_images_are_scored_alike():
    variables = LINEAR.init(jax.random.key(0))
    lazy = VALIDATION._replace(images=streamed(VALIDATION.images))
    one, other = (evaluate_model(LINEAR, CONFIG, variables, each, 1) for each in (VALIDATION, lazy))
    assert np.isfinite(one.loss)
    assert same(one, other)


def test_only_labeled_rows_are_read_and_in_the_order_of_the_plan():
    read = []

    def noted(rows):
        read.append(rows.tolist())
        return np.asarray(POOL)[rows]

    batches = jnp.asarray(RNG.permutation(np.arange(1, 49, 2))[:16].reshape(4, 4), jnp.int32)
    arguments = (jax.random.key(0), Images(noted, 50, POOL.shape[1:]), LABELS, batches, 3, fit_plan(9))
    state = run_epoch(LINEAR, CONFIG, new_fit(CONFIG, LINEAR.init(jax.random.key(0))), *arguments)
    assert int(state.step) == 3
    assert sorted(read) == sorted(batches[:3].tolist())


def test_streaming_steps_from_python_on_every_backend(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    for name in ("step_epoch", "scan_epoch"):
        monkeypatch.setattr(steps, name, None)
    run_fit(LINEAR, streamed(POOL), VALIDATION)


def test_a_later_fit_on_streamed_images_compiles_nothing():
    compilations = []

    def listener(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compilations.append(duration)

    model = linear_model(num_pixels=SIDE * SIDE * CHANNELS, num_classes=3)  # its functions were never compiled
    lazy, fewer = VALIDATION._replace(images=streamed(VALIDATION.images)), LABELS.at[:30].set(-1)
    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        run_fit(model, streamed(POOL), lazy, fewer)
        first = len(compilations)
        run_fit(model, streamed(POOL), lazy)
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)
    assert first > 0
    assert len(compilations) == first


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_exception_in_reading_ends_the_fit_and_its_threads(error):
    count = 0

    def failing(rows):
        nonlocal count
        count += 1
        if count == 6:
            raise error
        return np.asarray(POOL)[rows]

    with pytest.raises(error):
        run_fit(LINEAR, Images(failing, 50, POOL.shape[1:]), VALIDATION)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("jaxal-load")]
