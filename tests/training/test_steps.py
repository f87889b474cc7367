"""Optimization steps: Adam as optax has it, the same from Python and under scan."""

import functools

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
import optax
import pytest
from small_models import fit_plan, linear_model

from jaxal.config.losses import BCEConfig
from jaxal.config.models import OrganCNNConfig
from jaxal.config.training import AdamConfig, AdamWConfig, SGDConfig, TrainingConfig
from jaxal.data.loading import Images
from jaxal.models.model import Variables
from jaxal.models.organ_cnn import organ_cnn
from jaxal.training import steps
from jaxal.training.steps import new_fit, run_epoch, scan_epoch, step_epoch

IMAGES = jnp.asarray(np.random.default_rng(0).integers(0, 256, (10, 5, 5, 1), dtype=np.uint8))
LABELS = jnp.asarray([0, 1, 1, 0, -1, 1, 0, 0, 1, -1], jnp.int32)
BATCHES = jnp.asarray([[0, 1, 2, 3], [5, 6, 7, 8], [3, 2, 1, 0], [8, 8, 7, 7]], jnp.int32)
TOTAL = 8.0  # two epochs of four steps

LINEAR = linear_model(num_pixels=25)
CNN = organ_cnn(OrganCNNConfig(width=2), image_shape=(5, 5, 1), num_classes=2, mean=(0.5,), std=(0.25,))
ADAM = TrainingConfig(learning_rate=0.05, final_learning_rate=0.01, optimizer=AdamConfig(beta1=0.8, beta2=0.9))
ADAM_W = TrainingConfig(
    learning_rate=0.05, final_learning_rate=0.01, optimizer=AdamWConfig(weight_decay=0.5), loss=BCEConfig()
)
SGD = TrainingConfig(learning_rate=0.05, final_learning_rate=0.01, optimizer=SGDConfig(weight_decay=0.5))


def epoch(function, model, config, *, num_steps=3, num_epochs=1):
    state = new_fit(config, model.init(jax.random.key(0)))
    for _ in range(num_epochs):
        state = function(model, config, state, jax.random.key(7), IMAGES, LABELS, BATCHES, num_steps, fit_plan(TOTAL))
    return state


def reference_epochs(model, config, optimizer, *, num_steps=3, num_epochs=1):
    """Train by optax's own optimizer, with its own schedule and its own loss."""
    variables = model.init(jax.random.key(0))
    state = optimizer.init(variables.params)

    @jax.jit
    def gradient(variables, key, rows):
        def loss(params):
            logits, batch_stats = model.apply_train(Variables(params, variables.batch_stats), key, IMAGES[rows])
            one_hot = jax.nn.one_hot(LABELS[rows], 2)
            return -jnp.mean(jnp.sum(one_hot * jax.nn.log_softmax(logits), axis=1)), batch_stats

        return jax.grad(loss, has_aux=True)(variables.params)

    step = 0
    for _ in range(num_epochs):
        for rows in BATCHES[:num_steps]:
            gradients, batch_stats = gradient(variables, jax.random.fold_in(jax.random.key(7), step), rows)
            updates, state = optimizer.update(gradients, state, variables.params)
            variables = Variables(optax.apply_updates(variables.params, updates), batch_stats)
            step += 1
    return variables


def half_cosine(step):
    return 0.01 + 0.04 * 0.5 * (1 + jnp.cos(jnp.pi * step / TOTAL))


def assert_close(one, other, tolerance=1e-5):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(left, right, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("model", "config", "optimizer", "tolerance"),
    [
        # Adam divides small gradients by themselves, so the network's float32 noise grows; it moves by 0.2 in all.
        pytest.param(CNN, ADAM, optax.adam(half_cosine, b1=0.8, b2=0.9), 2e-3, marks=pytest.mark.slow),
        (LINEAR, ADAM, optax.adam(half_cosine, b1=0.8, b2=0.9), 1e-5),
        (LINEAR, ADAM_W, optax.adamw(half_cosine, weight_decay=0.5), 1e-5),
    ],
    ids=["cnn-adam", "linear-adam", "linear-adamw-bce"],
)
def test_two_epochs_are_those_of_optax(model, config, optimizer, tolerance):
    state = epoch(step_epoch, model, config, num_epochs=2)
    assert int(state.step) == 6
    assert_close(state.variables, reference_epochs(model, config, optimizer, num_epochs=2), tolerance)


@pytest.mark.parametrize("model", [LINEAR, CNN], ids=["linear", "cnn"])
@pytest.mark.parametrize("num_steps", [1, 3, 4])
def test_an_epoch_under_scan_is_an_epoch_from_python(model, num_steps):
    one, other = (epoch(function, model, ADAM, num_steps=num_steps) for function in (step_epoch, scan_epoch))
    assert int(one.step) == int(other.step) == num_steps
    assert jax.tree.structure(one) == jax.tree.structure(other)
    ends = [np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(each.variables)]) for each in (one, other)]
    begin = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(model.init(jax.random.key(0)))])
    # Not number by number: Adam divides a gradient that is nearly zero by itself, so rounding may turn its sign.
    assert np.linalg.norm(ends[0] - ends[1]) <= 0.05 * np.linalg.norm(ends[1] - begin)
    if model is LINEAR:
        assert_close(one, other, 1e-3)


def test_steps_beyond_the_epoch_s_own_change_nothing():
    state = epoch(scan_epoch, LINEAR, ADAM, num_steps=0)
    assert_close(state.variables, LINEAR.init(jax.random.key(0)), 0)
    assert int(state.step) == 0


def test_every_step_draws_its_own_noise():
    noises = {
        float(epoch(step_epoch, LINEAR, ADAM, num_steps=count).variables.batch_stats["noise"]) for count in (1, 2, 3)
    }
    assert len(noises) == 3


def test_run_epoch_steps_from_python_on_cpu_and_scans_elsewhere(monkeypatch):
    called = []

    def record(name, model, config, state, *_):
        called.append(name)
        return state

    state = new_fit(ADAM, LINEAR.init(jax.random.key(0)))
    for name in ("step_epoch", "scan_epoch"):
        monkeypatch.setattr(steps, name, functools.partial(record, name))
    for backend in ("cpu", "gpu", "tpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        arguments = (jax.random.key(7), IMAGES, LABELS, BATCHES, 3, fit_plan(TOTAL))
        assert run_epoch(LINEAR, ADAM, state, *arguments) is state
    assert called == ["step_epoch", "scan_epoch", "scan_epoch"]


def quiet_apply_train(variables, key, images):
    return LINEAR.apply(variables, images), variables.batch_stats


QUIET = LINEAR._replace(apply_train=quiet_apply_train)  # draws no noise, which parts would draw otherwise


def parted(config, micro_batch_size):
    """Return the same training in parts, of batches of four."""
    return msgspec.structs.replace(config, batch_size=4, micro_batch_size=micro_batch_size)


@pytest.mark.parametrize("config", [ADAM, ADAM_W, SGD], ids=["adam", "adamw", "sgd"])
@pytest.mark.parametrize("micro_batch_size", [1, 2, 4])
def test_parts_of_a_batch_make_one_step_of_the_whole(config, micro_batch_size):
    whole = epoch(step_epoch, QUIET, config, num_epochs=2)
    in_parts = epoch(run_epoch, QUIET, parted(config, micro_batch_size), num_epochs=2)
    assert int(in_parts.step) == 6 * 4 // micro_batch_size
    assert_close(whole.variables, in_parts.variables, 1e-4)


def test_parts_are_the_same_in_place_streamed_and_under_scan(monkeypatch):
    config = parted(ADAM, 2)
    one = epoch(run_epoch, LINEAR, config)
    state, key = new_fit(config, LINEAR.init(jax.random.key(0))), jax.random.key(7)
    sizes = []

    def noted(rows):
        sizes.append(len(rows))
        return np.asarray(IMAGES)[rows]

    lazy = Images(noted, 10, IMAGES.shape[1:])
    other = run_epoch(LINEAR, config, state, key, lazy, LABELS, BATCHES, 3, fit_plan(TOTAL))
    assert sizes == [2] * 6  # never a whole batch on the device
    assert_close(one, other, 0)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert_close(one.variables, epoch(run_epoch, LINEAR, config).variables, 1e-3)


def test_between_the_parts_the_parameters_rest_and_every_part_draws_its_own_noise():
    config = parted(ADAM, 1)
    ends = [epoch(step_epoch_of_parts, LINEAR, config, num_steps=count) for count in range(6)]
    begin = LINEAR.init(jax.random.key(0)).params
    for state in ends[1:4]:
        assert_close(state.variables.params, begin, 0)
    assert not np.allclose(ends[4].variables.params["classifier"]["kernel"], begin["classifier"]["kernel"])
    assert_close(ends[5].variables.params, ends[4].variables.params, 0)
    assert len({float(state.variables.batch_stats["noise"]) for state in ends[1:]}) == 5


def step_epoch_of_parts(model, config, state, key, images, labels, batches, num_steps, total):
    return step_epoch(model, config, state, key, images, labels, batches.reshape(-1, 1), num_steps, total)
