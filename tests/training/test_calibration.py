"""Probabilities divided by the labeled set's priors."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from jaxal.evaluation.metrics import evaluate
from jaxal.training.calibration import FLOOR, thresholded


@pytest.mark.parametrize("counts", [[40, 9, 1], [5, 5, 5], [1, 0, 0], [0, 7, 2]])
def test_softmax_of_the_result_is_p_over_prior_normalized(counts):
    logits = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32) * 4
    known = np.array(counts) > 0
    divided = softmax(logits.astype(np.float64), axis=1)[:, known] / (np.array(counts)[known] / sum(counts))
    expected = np.zeros((50, 3))
    expected[:, known] = divided / divided.sum(axis=1, keepdims=True)
    found = np.asarray(thresholded(jnp.asarray(logits), jnp.asarray(counts)))
    np.testing.assert_allclose(softmax(found.astype(np.float64), axis=1), expected, rtol=2e-5, atol=1e-7)
    assert np.all(found[:, ~known] == FLOOR)


def test_signed_scores_are_not_inverted():
    """The rarest class of three negative scores gains by its prior; dividing the scores would make it the least."""
    scores, counts = np.float32([[-1.0, -1.1, -1.2]]), np.array([80, 15, 5])
    assert np.argmax(scores / (counts / 100)) == 0
    assert np.argmax(thresholded(jnp.asarray(scores), jnp.asarray(counts))) == 2


def test_far_logits_and_a_class_without_labels_stay_finite_and_that_class_is_never_predicted():
    logits = jnp.asarray([[0.0, 1e6, -1e6], [-1e30, 1e30, 0.0], [0.0, 0.0, 0.0]])
    for counts in ([3, 0, 1], [0, 0, 2], [0, 0, 0]):
        found = np.asarray(thresholded(logits, jnp.asarray(counts)))
        assert np.all(np.isfinite(found))
        if sum(counts):
            assert np.all(np.argmax(found, axis=1) != 1)


def test_two_classes_keep_their_ranking_while_predictions_move():
    rng = np.random.default_rng(1)
    labels = jnp.asarray(rng.integers(0, 10, 400) == 0, jnp.int32)
    x = rng.normal(size=400) + np.where(labels == 1, 1, -1)  # log-likelihood ratio 2x
    logits = jnp.asarray(np.log([[0.9, 0.1]]) + np.stack([-x, x], axis=1), jnp.float32)
    before = evaluate(logits, labels, jnp.ones(400, bool), positive_class=1)
    after = evaluate(thresholded(logits, jnp.asarray([90, 10])), labels, jnp.ones(400, bool), positive_class=1)
    np.testing.assert_allclose(after.auroc, before.auroc, rtol=1e-6)
    assert after.balanced_accuracy > before.balanced_accuracy + 0.05
