"""Losses and their gradients against float64 and finite differences, at extreme logits and with absent classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import losses as reference

from jaxal.config.losses import FocalConfig, LDAMConfig, LossConfig
from jaxal.training.ap_loss import ap_loss, ranking_errors
from jaxal.training.class_weights import effective_number_weights, inverse_frequency_weights
from jaxal.training.losses import LabeledSet, binary_cross_entropy, cross_entropy, make_loss

B = 8
COUNTS = {2: np.array([40, 3]), 5: np.array([50, 0, 9, 1, 20])}


def labeled(counts, progress=0.5) -> LabeledSet:
    return LabeledSet(jnp.asarray(counts, jnp.int32), jnp.float32(progress))


def made(num_classes: int, scale: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Make logits and labels of classes that have labels."""
    rng = np.random.default_rng(seed)
    known = np.flatnonzero(COUNTS[num_classes])
    logits = (rng.normal(size=(B, num_classes)) * scale).astype(np.float32)
    return logits, np.resize(known, B).astype(np.int32)[rng.permutation(B)]


def configs() -> list:
    import typing

    return [each() for each in typing.get_args(LossConfig)]


def kind(config) -> str:
    return str(config.__struct_config__.tag)


def in_float64(name: str, logits: np.ndarray, labels: np.ndarray, counts: np.ndarray, progress: float) -> float:
    if name == "weighted_cross_entropy":
        return reference.weighted_cross_entropy(logits, labels, counts)
    if name == "focal":
        return reference.focal(logits, labels, 2.0)
    if name == "ldam":
        settings = {"max_margin": 0.5, "scale": 30.0, "beta": 0.9999}
        return reference.ldam(logits, labels, counts, is_reweighted=progress >= 0.8, **settings)
    return -np.mean([row[y] for row, y in zip(reference.log_softmax(logits), labels, strict=True)])


SMOOTH = ("cross_entropy", "bce", "weighted_cross_entropy", "focal", "ldam")


# Of the loss that is not smooth, its errors are tested in a gradient's place; BCE is of two classes.
CASES = [
    (config, c) for config in configs() for c in (2, 5) if kind(config) in SMOOTH and (kind(config), c) != ("bce", 5)
]


@pytest.mark.parametrize("progress", [0.5, 0.9])
@pytest.mark.parametrize(("config", "num_classes"), CASES)
def test_a_loss_and_its_gradient_are_those_of_float64(config, num_classes, progress):
    name = kind(config)
    for scale in (0.0, 1.0, 8.0):
        logits, labels = made(num_classes, scale, seed=int(scale))
        known = labeled(COUNTS[num_classes], progress)
        value, gradient = jax.value_and_grad(make_loss(config))(jnp.asarray(logits), jnp.asarray(labels), known)
        expected = in_float64(name, logits, labels, COUNTS[num_classes], progress)
        np.testing.assert_allclose(value, expected, rtol=2e-5)
        differences = np.zeros_like(logits, np.float64)
        for place in np.ndindex(*logits.shape):
            step = np.zeros_like(logits, np.float64)
            step[place] = 1e-5
            up, down = (
                in_float64(name, logits.astype(np.float64) + sign * step, labels, COUNTS[num_classes], progress)
                for sign in (1, -1)
            )
            differences[place] = (up - down) / 2e-5
        np.testing.assert_allclose(gradient, differences, atol=2e-5)


@pytest.mark.parametrize("config", [*configs(), FocalConfig(gamma=0.5), LDAMConfig(reweight_from=0.0)], ids=str)
def test_extreme_logits_and_absent_classes_stay_finite(config):
    num_classes = 2 if kind(config) == "bce" else 5
    for scale in (0.0, 1e4):
        logits, labels = made(num_classes, scale)
        # One class alone with labels, all others absent: what a labeled set may be at the start.
        for counts in (COUNTS[num_classes], np.bincount(labels[:1], minlength=num_classes)):
            rows = labels if np.all(counts[labels]) else np.full(B, labels[0])
            value, gradient = jax.value_and_grad(make_loss(config))(
                jnp.asarray(logits), jnp.asarray(rows), labeled(counts, 0.9)
            )
            assert np.isfinite(value)
            assert np.all(np.isfinite(gradient))


def test_bce_on_the_difference_is_cross_entropy_on_two_logits():
    for scale in (0.0, 1.0, 30.0, 1e4):
        logits, labels = made(2, scale)
        assert len(set(labels)) == 2
        given = jnp.asarray(logits), jnp.asarray(labels)
        np.testing.assert_allclose(binary_cross_entropy(*given), cross_entropy(*given), rtol=1e-5)


def test_focal_with_gamma_0_is_cross_entropy():
    logits, labels = made(5, 3.0)
    given = jnp.asarray(logits), jnp.asarray(labels)
    np.testing.assert_allclose(
        make_loss(FocalConfig(gamma=0.0))(*given, labeled(COUNTS[5])), cross_entropy(*given), 1e-5
    )


@pytest.mark.parametrize("seed", range(6))
def test_ranking_errors_are_those_of_the_walk_from_the_lowest_positive_up(seed):
    rng = np.random.default_rng(seed)
    scores = np.round(rng.normal(size=11) * 2, 1).astype(np.float32)  # some tie
    is_positive = rng.random(11) < 0.4
    is_positive[seed] = True
    loss, errors = ranking_errors(jnp.asarray(scores), jnp.asarray(is_positive), 1.0)
    expected_loss, expected_errors = reference.ranking_errors(scores, is_positive, 1.0)
    np.testing.assert_allclose(loss, expected_loss, atol=1e-6)
    np.testing.assert_allclose(errors, expected_errors, atol=1e-6)
    assert abs(float(errors.sum())) < 1e-6


def test_ap_loss_moves_the_scores_of_the_rarer_class_by_its_errors():
    logits, labels = made(2, 1.0)
    for counts, positive in (([40, 3], 1), ([3, 40], 0), ([5, 5], 1)):
        loss = make_loss(configs()[-1])
        value, gradient = jax.value_and_grad(loss)(jnp.asarray(logits), jnp.asarray(labels), labeled(counts))
        scores = logits[:, positive] - logits[:, 1 - positive]
        expected, errors = reference.ranking_errors(scores, labels == positive, 1.0)
        np.testing.assert_allclose(value, expected, atol=1e-6)
        np.testing.assert_allclose(gradient[:, positive], errors, atol=1e-6)
        np.testing.assert_allclose(gradient[:, 1 - positive], -errors, atol=1e-6)


def test_ap_loss_of_several_classes_averages_those_that_can_be_ranked():
    logits, labels = made(5, 2.0)
    value = ap_loss(jnp.asarray(logits), jnp.asarray(labels), labeled(COUNTS[5]), delta=1.0)
    wide, expected = logits.astype(np.float64), []
    for c in np.unique(labels):
        others = np.delete(wide, c, axis=1)
        scores = wide[:, c] - np.log(np.exp(others).sum(axis=1))
        expected.append(reference.ranking_errors(scores, labels == c, 1.0)[0])
    assert len(expected) == 4  # one of the five has no label
    np.testing.assert_allclose(value, np.mean(expected), atol=1e-5)


@pytest.mark.parametrize("label", [0, 1])
def test_ap_loss_of_a_batch_with_nothing_to_rank_has_no_gradient(label):
    logits = jnp.asarray(made(2, 3.0)[0])
    value, gradient = jax.value_and_grad(make_loss(configs()[-1]))(
        logits, jnp.full(B, label, jnp.int32), labeled([40, 3])
    )
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros((B, 2)))


def test_weights_make_a_labeled_sample_weigh_one_on_average_and_an_absent_class_nothing():
    counts = np.array([6, 0, 2])
    given = jnp.asarray(counts)
    np.testing.assert_allclose(inverse_frequency_weights(given), [8 / 12, 0, 2], rtol=1e-6)
    raw = np.array([(1 - 0.9999) / (1 - 0.9999**6), 0, (1 - 0.9999) / (1 - 0.9999**2)])
    np.testing.assert_allclose(effective_number_weights(given, 0.9999), raw * 8 / (raw * counts).sum(), rtol=1e-5)
    np.testing.assert_allclose(effective_number_weights(given, 0.0), [1, 0, 1], rtol=1e-6)
    np.testing.assert_array_equal(inverse_frequency_weights(jnp.zeros(3, jnp.int32)), np.zeros(3))
