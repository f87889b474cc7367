from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from reference.closed_form_mixing import closed_form_mixing as reference
from reference.taylor import log_error

from jaxal.kernels.closed_form_mixing import closed_form_mixing

from .content import examples, kinds, rows, seeds

closed_form_jit = jax.jit(closed_form_mixing, static_argnames="block_size")


def problem(rng, kind, num_rows, dim, num_classes, dtype=np.float32):
    """Rows, a linear head's logits and weight, and anchors of which about a third do not exist."""
    embeddings = rows(rng, kind, num_rows, dim).astype(dtype)
    weight = rng.normal(size=(dim, num_classes)).astype(dtype)
    logits = (embeddings @ weight + rng.normal(size=(1, num_classes))).astype(dtype)
    anchors = rows(rng, kind, num_classes, dim).astype(dtype)
    return embeddings, logits, weight, anchors, rng.random(num_classes) < 0.7


class Found(NamedTuple):
    """The kernel's answer as NumPy arrays, which stay float64 outside `enable_x64`; the change itself in float64."""

    norm: np.ndarray
    loss_change: np.ndarray
    relative_change: np.ndarray


def mix(arrays, block_size):
    mixing = closed_form_jit(*(jnp.asarray(array) for array in arrays), block_size=block_size)
    norm, relative_change = (np.asarray(array) for array in mixing)
    error = np.exp(log_error(arrays[1], np.argmax(arrays[1], axis=1)))
    is_known = np.isfinite(relative_change)
    change = np.where(is_known, np.where(is_known, relative_change, 0) * error, relative_change)
    return Found(norm, change, relative_change)


# One row; more classes than rows; blocks that do not divide the rows.
@pytest.mark.parametrize(("num_rows", "dim", "num_classes", "block_size"), [(1, 3, 2, 1), (4, 5, 7, 3), (40, 4, 3, 16)])
@examples(25)
@given(seed=seeds, kind=kinds)
def test_the_shortest_mix_matches_the_loops(num_rows, dim, num_classes, block_size, seed, kind):
    arrays = problem(np.random.default_rng(seed), kind, num_rows, dim, num_classes)
    mixing, expected = mix(arrays, block_size), reference(*arrays)
    np.testing.assert_allclose(mixing.norm, expected.norm, rtol=1e-5)
    clear = expected.clearance > 1e-5
    np.testing.assert_array_equal(np.isfinite(mixing.loss_change), np.isfinite(expected.loss_change))
    known = clear & np.isfinite(expected.loss_change)
    np.testing.assert_allclose(mixing.loss_change[known], expected.loss_change[known], rtol=1e-4, atol=1e-6)


def test_that_mix_and_no_shorter_one_flips_the_prediction():
    rng = np.random.default_rng(1)
    embeddings, logits, weight, anchors, _ = problem(rng, "normal", 40, 4, 3, np.float64)
    for c in range(3):
        only = np.arange(3) == c
        with jax.enable_x64(True):
            norm = mix((embeddings, logits, weight, anchors, only), 16).norm
        alpha = reference(embeddings, logits, weight, anchors, only).alpha
        np.testing.assert_allclose(np.linalg.norm(alpha, axis=1), norm, rtol=1e-9)
        difference = anchors[c] - embeddings
        predicted = np.argmax(logits, axis=1)
        for factor, is_flipped in ((1 - 1e-6, False), (1 + 1e-6, True)):
            mixed = logits + (factor * alpha * difference) @ weight
            np.testing.assert_array_equal(np.argmax(mixed, axis=1) != predicted, is_flipped)
        # No other direction of the same length gets there.
        direction = rng.normal(size=(500, *alpha.shape))
        direction /= np.linalg.norm(direction, axis=2, keepdims=True)
        mixed = logits + (0.999 * norm[:, None] * direction * difference) @ weight
        np.testing.assert_array_equal(np.argmax(mixed, axis=2), np.broadcast_to(predicted, (500, 40)))


def test_an_anchor_at_the_sample_and_a_twin_class_flip_nothing():
    embeddings, logits, weight, anchors, _ = problem(np.random.default_rng(2), "normal", 4, 5, 2)
    all_anchors = np.ones(2, bool)
    at_anchor = np.broadcast_to(embeddings[:1], (4, 5)), logits, weight, np.broadcast_to(embeddings[:1], (2, 5))
    twins = embeddings, logits, np.broadcast_to(weight[:, :1], (5, 2)), anchors
    for arrays in (at_anchor, twins):
        mixing = mix((*arrays, all_anchors), 4)
        np.testing.assert_array_equal(mixing.norm, np.inf)
        np.testing.assert_array_equal(mixing.loss_change, -np.inf)
    # Means of equal rows that miss the row by the last place do so by rounding alone.
    beside = np.nextafter(at_anchor[3], np.inf, dtype=np.float32)
    np.testing.assert_array_equal(mix((*at_anchor[:3], beside, all_anchors), 4).norm, np.inf)


def test_what_stands_in_a_missing_anchor_does_not_matter():
    embeddings, logits, weight, anchors, _ = problem(np.random.default_rng(4), "normal", 4, 5, 7)
    is_anchor = np.arange(7) != 2
    results = []
    for content in (0.0, 1e6, np.nan):
        anchors = anchors.copy()
        anchors[2] = content
        results.append(mix((embeddings, logits, weight, anchors, is_anchor), 3))
    for other in results[1:]:
        np.testing.assert_array_equal(other.norm, results[0].norm)
        np.testing.assert_array_equal(other.relative_change, results[0].relative_change)


def test_saturated_logits_keep_their_order():
    embeddings, logits, weight, anchors, is_anchor = problem(np.random.default_rng(6), "normal", 40, 4, 3)
    factor = np.float32(1e4)
    plain = mix((embeddings, logits, weight, anchors, is_anchor), 16)
    saturated = mix((embeddings, logits * factor, weight * factor, anchors, is_anchor), 16)
    assert is_anchor.any()
    np.testing.assert_allclose(saturated.norm, plain.norm, rtol=1e-5)
    assert np.all(np.isfinite(saturated.loss_change))


@pytest.mark.parametrize("width", [6, 256])
def test_equal_rows_have_equal_norms_wherever_they_stand(width):
    """The order of rows that are all the same is decided by what is no part of the norm: it must not be by rounding."""
    rng = np.random.default_rng(7)
    embeddings, logits, weight, anchors, _ = problem(rng, "normal", 5, width, 3)
    places = rng.integers(0, 5, 203)
    for block_size in (64, 203):
        mixing = mix((embeddings[places], logits[places], weight, anchors, np.ones(3, bool)), block_size)
        for each in range(5):
            assert len(set(mixing.norm[places == each].tolist())) == 1
            assert len(set(mixing.relative_change[places == each].tolist())) == 1
