"""Losses against float64, at ordinary and at extreme logits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxal.training.losses import LOSSES, binary_cross_entropy, cross_entropy

B = 8


def reference(logits: np.ndarray, labels: np.ndarray) -> float:
    """Average -log softmax in float64, row by row."""
    total = 0.0
    for row, label in zip(logits.astype(np.float64), labels, strict=True):
        total += np.log(np.sum(np.exp(row - row.max()))) + row.max() - row[label]
    return total / len(labels)


@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("num_classes", [2, 5])
def test_cross_entropy_is_that_of_float64(scale, num_classes):
    rng = np.random.default_rng(int(scale) + num_classes)
    logits = (rng.normal(size=(B, num_classes)) * scale).astype(np.float32)
    labels = rng.integers(0, num_classes, B).astype(np.int32)
    loss = cross_entropy(jnp.asarray(logits), jnp.asarray(labels))
    np.testing.assert_allclose(loss, reference(logits, labels), rtol=1e-5)


@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 1e4])
def test_bce_on_the_difference_is_cross_entropy_on_two_logits(scale):
    rng = np.random.default_rng(int(scale))
    logits = (rng.normal(size=(B, 2)) * scale).astype(np.float32)
    labels = rng.integers(0, 2, B).astype(np.int32)
    assert len(set(labels)) == 2
    loss = binary_cross_entropy(jnp.asarray(logits), jnp.asarray(labels))
    np.testing.assert_allclose(loss, reference(logits, labels), rtol=1e-5)


def test_both_losses_have_the_gradient_softmax_minus_one_hot():
    logits = np.random.default_rng(1).normal(size=(B, 2)).astype(np.float32)
    labels = np.arange(B, dtype=np.int32) % 2
    exponentials = np.exp(logits.astype(np.float64))
    expected = (exponentials / exponentials.sum(axis=1, keepdims=True) - np.eye(2)[labels]) / B
    for name in ("cross_entropy", "bce"):
        gradient = jax.grad(LOSSES[name])(jnp.asarray(logits), jnp.asarray(labels))
        np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_the_losses_of_the_config_are_those_there_are():
    from typing import get_args, get_type_hints

    from jaxal.config.training import TrainingConfig

    assert set(LOSSES) == set(get_args(get_type_hints(TrainingConfig)["loss"]))
