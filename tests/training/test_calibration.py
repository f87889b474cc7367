"""Prior thresholding: probabilities over priors, whatever the counts."""

import jax.numpy as jnp
import numpy as np
from scipy.special import softmax

from jaxal.training.calibration import thresholded

LOGITS = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32) * 4


def test_probabilities_are_divided_by_the_shares_of_the_labels():
    counts = np.array([90, 9, 1])
    divided = softmax(LOGITS, axis=1) / (counts / 100)
    found = softmax(thresholded(jnp.asarray(LOGITS), jnp.asarray(counts)), axis=1)
    np.testing.assert_allclose(found, divided / divided.sum(axis=1, keepdims=True), rtol=1e-5)
    assert np.mean(np.argmax(found, axis=1) == 2) > np.mean(np.argmax(LOGITS, axis=1) == 2)


def test_a_class_without_labels_is_left_undivided():
    counts = np.array([6, 0, 2])
    divided = softmax(LOGITS, axis=1) / np.array([0.75, 1, 0.25])
    found = softmax(thresholded(jnp.asarray(LOGITS), jnp.asarray(counts)), axis=1)
    np.testing.assert_allclose(found, divided / divided.sum(axis=1, keepdims=True), rtol=1e-5)
    np.testing.assert_array_equal(thresholded(jnp.asarray(LOGITS), jnp.zeros(3, jnp.int32)), LOGITS)
