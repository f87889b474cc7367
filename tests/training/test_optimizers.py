"""The learning rate's half cosine, and optimizers as directions."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxal.config.training import AdamConfig, AdamWConfig
from jaxal.training.optimizers import cosine_learning_rate, descent_direction


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
