import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import mutual_information as reference

from jaxal.kernels.mutual_information import log_mutual_information, relative_entropy_term

from .content import examples, kinds, rows, seeds

# (M, N, C, rows per block): blocks that do not divide N, a single draw, more classes than rows.
SHAPES = [(1, 4, 3, 4), (3, 1, 2, 1), (5, 2, 11, 1), (6, 23, 4, 5)]
log_mutual_information_jit = jax.jit(log_mutual_information, static_argnames="block_size")


def information(mc_logits, block_size):
    return np.exp(np.asarray(log_mutual_information_jit(jnp.asarray(mc_logits), block_size=block_size)))


def draws(seed, kind, shape, disagreement, scale=1.0):
    """Logits [M, N, C] of draws that differ by `disagreement` from common ones."""
    num_draws, num_rows, num_classes = shape
    rng = np.random.default_rng(seed)
    common = rows(rng, kind, num_rows, num_classes)
    noise = rows(rng, kind, num_draws * num_rows, num_classes).reshape(shape)
    return (scale * common[None] + disagreement * noise).astype(np.float32)


@pytest.mark.parametrize(("num_draws", "num_rows", "num_classes", "block_size"), SHAPES)
@examples(20)
@given(seed=seeds, kind=kinds, disagreement=st.sampled_from([0.0, 1e-3, 0.1, 1.0, 10.0]))
def test_information_keeps_its_digits_however_little_draws_disagree(
    num_draws, num_rows, num_classes, block_size, seed, kind, disagreement
):
    mc_logits = draws(seed, kind, (num_draws, num_rows, num_classes), disagreement)
    expected = reference.bald(mc_logits)
    found = information(mc_logits, block_size)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-14)
    assert np.all(found >= 0)
    if num_draws == 1 or disagreement == 0:
        np.testing.assert_array_equal(found, 0)


def test_information_is_the_textbook_difference_of_entropies():
    mc_logits = draws(0, "normal", (6, 23, 4), 1.0)
    expected = [reference.joint_information(mc_logits, [row]) for row in range(23)]
    np.testing.assert_allclose(information(mc_logits, 5), expected, rtol=1e-5)


def test_probabilities_are_averaged_and_not_logits():
    """Two draws, each certain of another class: all of log 2 is information; averaged logits would know none."""
    mc_logits = np.array([[[9.0, -9.0]], [[-9.0, 9.0]]], np.float32)
    np.testing.assert_allclose(information(mc_logits, 1), np.log(2), rtol=1e-5)


@pytest.mark.parametrize("scale", [100.0, 1e4])
@examples(10)
@given(seed=seeds)
def test_saturated_draws_stay_finite(scale, seed):
    mc_logits = draws(seed, "normal", (6, 23, 4), scale, scale)
    np.testing.assert_allclose(information(mc_logits, 5), reference.bald(mc_logits), rtol=1e-5, atol=1e-9)


def test_saturated_rows_keep_their_order():
    """Two draws [0, -g] and [0, -g - 1]: information is about e^-g·0.117, far below the smallest float32."""
    gaps = np.linspace(5, 5000, 23, dtype=np.float32)
    zero = np.zeros_like(gaps)
    mc_logits = np.stack([np.stack([zero, -gaps], axis=1), np.stack([zero, -gaps - 1], axis=1)])
    log_values = np.asarray(log_mutual_information_jit(jnp.asarray(mc_logits), block_size=5))
    mean = (1 + np.exp(-1)) / 2
    expected = -gaps.astype(np.float64) + np.log(-mean * np.log(mean) - np.exp(-1) / 2)
    np.testing.assert_allclose(log_values[1:], expected[1:], rtol=1e-5)
    assert np.all(np.diff(log_values) < 0)


def test_the_relative_entropy_term_keeps_its_digits_and_ends():
    deviation = np.concatenate([[-1.0], np.linspace(-0.999, 30, 500), np.geomspace(1e-8, 0.5, 200)]).astype(np.float32)
    exact = deviation.astype(np.float64)
    ratio = 1 + exact
    # For a small d the textbook form cancels in float64 too; d²/2 - d³/6 is then exact to d²/12 relative.
    direct = np.where(ratio > 0, ratio * np.log1p(np.where(ratio > 0, exact, 0)), 0) - exact
    expected = np.where(np.abs(exact) < 1e-4, exact**2 / 2 - exact**3 / 6, direct)
    np.testing.assert_allclose(jax.jit(relative_entropy_term)(jnp.asarray(deviation)), expected, rtol=5e-6)
    np.testing.assert_array_equal(relative_entropy_term(jnp.asarray([-1.0, -1.0 - 1e-6, 0.0], jnp.float32)), [1, 1, 0])
