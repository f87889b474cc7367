import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import taylor as reference

from jaxal.kernels.taylor import (
    cross_entropy,
    log_error,
    logit_residual,
    relative_loss_gradient,
    relative_residual,
    taylor_loss_change,
)

from .content import examples, kinds, rows, seeds

SHAPES = [(1, 3, 2), (7, 2, 9), (30, 5, 3)]
cross_entropy_jit, log_error_jit, residual_jit = jax.jit(cross_entropy), jax.jit(log_error), jax.jit(relative_residual)


def loss_gradient(logits, predicted, weight):
    return jnp.exp(log_error(logits, predicted))[:, None] * relative_loss_gradient(logits, predicted, weight)


loss_gradient_jit = jax.jit(loss_gradient)
taylor_loss_change_jit = jax.jit(taylor_loss_change)


@pytest.mark.parametrize(("num_rows", "dim", "num_classes"), SHAPES)
@examples(20)
@given(seed=seeds, kind=kinds, scale=st.sampled_from([1.0, 10.0, 1e4]))
def test_loss_gradient_and_its_change_match_the_reference(num_rows, dim, num_classes, seed, kind, scale):
    rng = np.random.default_rng(seed)
    logits = rows(rng, kind, num_rows, num_classes) * np.float32(scale)
    predicted = np.argmax(logits, axis=1).astype(np.int32)
    weight, shift = rows(rng, "normal", dim, num_classes), rows(rng, "normal", num_rows, dim)

    gradient = np.asarray(loss_gradient_jit(jnp.asarray(logits), jnp.asarray(predicted), jnp.asarray(weight)))
    expected = reference.loss_gradient(logits, predicted, weight)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=3e-6 * np.abs(weight).max())

    change = taylor_loss_change_jit(jnp.asarray(shift), jnp.asarray(gradient))
    scale_of_terms = np.sum(np.abs(shift * gradient), axis=1).max()
    np.testing.assert_allclose(
        change, reference.taylor_loss_change(shift, gradient), rtol=1e-5, atol=1e-6 * scale_of_terms
    )

    # Any label, not only the predicted one: the loss of a wrong one is as large as the gap.
    labels = rng.integers(0, num_classes, num_rows).astype(np.int32)
    loss = cross_entropy_jit(jnp.asarray(logits), jnp.asarray(labels))
    np.testing.assert_allclose(loss, reference.cross_entropy(logits, labels), rtol=1e-5, atol=1e-6)


def test_loss_gradient_is_the_derivative_of_the_loss():
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        embeddings, weight = rng.normal(size=(6, 4)), rng.normal(size=(4, 3))
        logits = embeddings @ weight
        predicted = np.argmax(logits, axis=1)
        gradient = loss_gradient(jnp.asarray(logits), jnp.asarray(predicted, jnp.int32), jnp.asarray(weight))
    for d in range(4):
        step = np.zeros((1, 4))
        step[0, d] = 1e-6
        above = reference.cross_entropy((embeddings + step) @ weight, predicted)
        below = reference.cross_entropy((embeddings - step) @ weight, predicted)
        np.testing.assert_allclose(gradient[:, d], (above - below) / 2e-6, rtol=1e-6, atol=1e-8)


def test_the_taylor_error_falls_fourfold_when_the_mixing_is_halved():
    rng = np.random.default_rng(1)
    with jax.enable_x64(True):
        embeddings, weight, anchor = rng.normal(size=(20, 6)), rng.normal(size=(6, 4)), rng.normal(size=(1, 6))
        logits = jnp.asarray(embeddings @ weight)
        predicted = jnp.argmax(logits, axis=1).astype(jnp.int32)
        gradient = loss_gradient(logits, predicted, jnp.asarray(weight))
        errors = []
        for alpha in 0.02 * 0.5 ** np.arange(5):
            shift = alpha * (anchor - embeddings)
            mixed = jnp.asarray((embeddings + shift) @ weight)
            change = cross_entropy(mixed, predicted) - cross_entropy(logits, predicted)
            errors.append(np.abs(np.asarray(change - taylor_loss_change(jnp.asarray(shift), gradient))))
    ratios = np.array(errors[:-1]) / np.array(errors[1:])
    assert ratios.dtype == np.float64
    assert np.all((ratios >= 3.5) & (ratios <= 4.5)), ratios


@pytest.mark.parametrize(("num_rows", "num_classes"), [(1, 2), (30, 5)])
@examples(25)
@given(seed=seeds, kind=kinds, scale=st.sampled_from([1.0, 10.0, 100.0, 1e4]))
def test_the_factors_of_the_residual_match_the_reference(num_rows, num_classes, seed, kind, scale):
    rng = np.random.default_rng(seed)
    logits = rows(rng, kind, num_rows, num_classes) * np.float32(scale)
    labels = rng.integers(0, num_classes, num_rows).astype(np.int32)  # any, not only the predicted one
    log_errors = np.asarray(log_error_jit(jnp.asarray(logits), jnp.asarray(labels)))
    expected = reference.log_error(logits, labels)
    # A float32 difference of logits is off by its last place.
    np.testing.assert_allclose(log_errors, expected, rtol=1e-6, atol=1e-6)
    residual = residual_jit(jnp.asarray(logits), jnp.asarray(labels))
    np.testing.assert_allclose(
        residual.direction, reference.residual_direction(logits, labels), rtol=1e-6 * scale + 1e-5, atol=1e-6
    )
    is_float32 = -expected < 80
    np.testing.assert_allclose(
        residual.inverse_error[is_float32], np.exp(-expected[is_float32]), rtol=1e-5 + 1e-6 * min(scale, 80)
    )
    assert np.all(residual.inverse_error[-expected > 90] == np.inf)


def test_a_saturated_softmax_keeps_its_direction():
    """With gaps of 10⁴ every p but one is 0 in float32 and float64: W(p - onehot ŷ) itself is 0."""
    logits = jnp.array([[1e4, 0.0, -1.0], [-1e4, 1e4, -1e4]], jnp.float32)
    predicted = jnp.array([0, 1], jnp.int32)
    assert not np.any(logit_residual(logits, predicted))
    share = 1 / (1 + np.exp(-1.0))
    residual = residual_jit(logits, predicted)
    np.testing.assert_allclose(residual.direction, [[-1, share, 1 - share], [0.5, -1, 0.5]], rtol=1e-6)
    np.testing.assert_array_equal(residual.inverse_error, np.inf)
    np.testing.assert_allclose(log_error_jit(logits, predicted), [-1e4, -2e4], rtol=1e-4)


def test_an_offset_that_all_classes_share_costs_the_gradient_no_digits():
    rng = np.random.default_rng(2)
    logits, weight = rows(rng, "normal", 30, 5), rng.normal(size=(3, 5))
    weight = (weight + 300 * rng.normal(size=(3, 1))).astype(np.float32)
    predicted = np.argmax(logits, axis=1).astype(np.int32)
    gradient = loss_gradient_jit(jnp.asarray(logits), jnp.asarray(predicted), jnp.asarray(weight))
    np.testing.assert_allclose(gradient, reference.loss_gradient(logits, predicted, weight), rtol=1e-5, atol=1e-6)


def test_saturated_logits_have_a_finite_loss_and_no_gradient():
    logits = jnp.array([[1e4, -1e4], [-1e4, 1e4]], jnp.float32)
    predicted = jnp.array([0, 0], jnp.int32)
    weight = jnp.array([[1.0, -1.0]], jnp.float32)
    np.testing.assert_allclose(cross_entropy_jit(logits, predicted), [0.0, 2e4], rtol=1e-6)
    np.testing.assert_array_equal(loss_gradient_jit(logits, predicted, weight), [[0.0], [-2.0]])
