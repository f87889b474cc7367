"""The learning rate's half cosine, and optimizers as directions."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxal.config.training import AdamConfig, AdamWConfig, SGDConfig
from jaxal.training.optimizers import accumulated_direction, cosine_learning_rate, descent_direction


@pytest.mark.parametrize(
    ("progress", "expected"), [(0, 1e-3), (0.25, 8.5365e-4), (0.5, 5.005e-4), (0.75, 1.4735e-4), (1, 1e-6)]
)
def test_the_rate_falls_along_half_a_cosine(progress, expected):
    rate = cosine_learning_rate(jnp.asarray(progress, jnp.float32), 1e-3, 1e-6)
    np.testing.assert_allclose(rate, expected, rtol=1e-3)


def test_the_rate_ends_at_its_end_and_never_rises_or_falls_below():
    rates = np.array([cosine_learning_rate(jnp.asarray(step / 50, jnp.float32), 1e-3, 1e-12) for step in range(51)])
    np.testing.assert_allclose([rates[0], rates[-1]], [1e-3, 1e-12], rtol=1e-6)
    assert np.all(np.diff(rates) < 0)
    assert np.all(rates > 0)


def test_the_same_config_gives_the_same_optimizer():
    assert descent_direction(AdamConfig()) is descent_direction(AdamConfig())
    assert descent_direction(AdamConfig()) is not descent_direction(AdamWConfig())


def test_adam_w_adds_the_decayed_weights_to_adam_s_direction():
    params = {"w": jnp.array([2.0, -4.0])}
    gradients = {"w": jnp.array([0.5, 0.5])}
    directions = []
    for config in (AdamConfig(), AdamWConfig(weight_decay=0.25)):
        optimizer = descent_direction(config)
        directions.append(optimizer.update(gradients, optimizer.init(params), params)[0]["w"])
    np.testing.assert_allclose(directions[0], [1, 1], rtol=1e-5)
    np.testing.assert_allclose(directions[1] - directions[0], [0.5, -1], rtol=1e-5)


@pytest.mark.parametrize("config", [SGDConfig(), SGDConfig(momentum=0.5, weight_decay=0.25), SGDConfig(momentum=0)])
def test_sgd_takes_the_steps_of_its_equation(config):
    optimizer, rates = descent_direction(config), (0.1, 0.05, 0.02)
    gradients = np.array([[1.0, -2.0], [0.5, 0.5], [-3.0, 1.0]])
    params = {"w": jnp.array([2.0, -4.0])}
    state, w, v = optimizer.init(params), np.array([2.0, -4.0]), np.zeros(2)
    for rate, gradient in zip(rates, gradients, strict=True):
        direction, state = optimizer.update({"w": jnp.asarray(gradient, jnp.float32)}, state, params)
        params = {"w": params["w"] - rate * direction["w"]}
        v = config.momentum * v + gradient + config.weight_decay * w
        w = w - rate * v
        np.testing.assert_allclose(params["w"], w, rtol=1e-5)


def test_sgd_steps_once_by_the_mean_of_the_parts():
    params, parts = {"w": jnp.array([2.0])}, accumulated_direction(SGDConfig(weight_decay=0.5), 2)
    state, directions = parts.init(params), []
    for gradient in (1.0, 3.0, 5.0, 7.0):
        direction, state = parts.update({"w": jnp.array([gradient])}, state, params)
        directions.append(float(direction["w"][0]))
    np.testing.assert_allclose(directions, [0, 2 + 1, 0, 0.9 * 3 + 6 + 1], rtol=1e-6)
