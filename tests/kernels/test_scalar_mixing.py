import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from reference import scalar_mixing as reference
from reference.taylor import log_error

from jaxal.kernels.blocks import block_budget
from jaxal.kernels.scalar_mixing import anchor_gaps, anchor_logits, scalar_mixing, smallest_flipping_alpha

from .content import examples, kinds, rows, seeds

ALPHAS = (0.75, 0.25, 1.0, 0.5, 0.125)


@jax.jit
def by_logits(logits, weight, bias, anchors, is_anchor, alphas):
    at_anchors = anchor_logits(anchors, weight, bias)
    predicted = jnp.argmax(logits, axis=1).astype(jnp.int32)
    exact = smallest_flipping_alpha(logits, predicted, anchor_gaps(at_anchors, is_anchor))
    return exact, scalar_mixing(logits, at_anchors, is_anchor, alphas)


def problem(rng, kind, num_rows, dim, num_classes, scale=1.0):
    embeddings, anchors = rows(rng, kind, num_rows, dim), rows(rng, kind, num_classes, dim)
    weight = (scale * rng.normal(size=(dim, num_classes))).astype(np.float32)
    bias = (scale * rng.normal(size=num_classes)).astype(np.float32)
    return embeddings, weight, bias, anchors, rng.random(num_classes) < 0.7


def mix(embeddings, weight, bias, anchors, is_anchor, alphas=ALPHAS, dtype=np.float32):
    weight, bias, anchors = (array.astype(dtype) for array in (weight, bias, anchors))
    logits = embeddings.astype(dtype) @ weight + bias
    arrays = (logits, weight, bias, anchors, is_anchor, np.asarray(alphas, dtype))
    exact, mixing = jax.device_get(by_logits(*(jnp.asarray(array) for array in arrays)))
    return logits, exact, mixing


@pytest.mark.parametrize("scale", [0.1, 1.0, 1e4])
@pytest.mark.parametrize(("num_rows", "dim", "num_classes"), [(1, 3, 2), (5, 4, 9), (300, 8, 5), (1500, 6, 10)])
def test_mixing_logits_flips_exactly_what_mixing_embeddings_flips(num_rows, dim, num_classes, scale):
    for seed in range(2):
        for kind in ("normal", "offset", "clustered", "duplicates"):
            arrays = problem(np.random.default_rng(seed), kind, num_rows, dim, num_classes, scale)
            _, exact, mixing = mix(*arrays)
            expected = reference.smallest_flipping_alpha(*arrays, ALPHAS)
            np.testing.assert_array_equal(mixing.norm, expected)
            for alpha in (0.1, 0.5, 0.9):
                np.testing.assert_array_equal(exact <= alpha, reference.flips_at(alpha, *arrays))


@examples(40)
@given(seed=seeds, kind=kinds)
def test_the_prediction_changes_at_the_smallest_flipping_alpha_and_not_before(seed, kind):
    with jax.enable_x64(True):
        arrays = problem(np.random.default_rng(seed), kind, 10, 3, 4)
        logits, exact, _ = mix(*arrays, dtype=np.float64)
    never = np.isinf(exact)
    assert not reference.flips_at(1 - 1e-9, *arrays)[never].any()
    for row in np.flatnonzero(~never):
        only = (arrays[0][row : row + 1], *arrays[1:])
        assert 0 <= exact[row] < 1
        if exact[row] > 0:
            assert not reference.flips_at(exact[row] * (1 - 1e-7), *only)[0]
        assert reference.flips_at(exact[row] + (1 - exact[row]) * 1e-6, *only)[0]
    assert logits.dtype == exact.dtype == np.float64


@examples(40)
@given(seed=seeds, kind=kinds)
def test_the_loss_change_is_that_of_the_embeddings(seed, kind):
    arrays = problem(np.random.default_rng(seed), kind, 10, 3, 4)
    logits, _, mixing = mix(*arrays)
    expected = reference.loss_change(mixing.norm, *arrays)
    # Logits [N C] in float32 carry an error of the size of the largest; the shift is a difference of two of them.
    scale = np.abs(logits).max() + np.abs(arrays[3] @ arrays[1] + arrays[2]).max()
    error = np.exp(log_error(logits, np.argmax(logits, axis=1)))
    change = np.where(np.isfinite(expected), mixing.relative_change * error, mixing.relative_change)
    np.testing.assert_allclose(change, expected, rtol=1e-4, atol=2e-6 * scale)


def test_without_any_anchor_nothing_flips():
    *arrays, _ = problem(np.random.default_rng(0), "normal", 10, 3, 4)
    _, exact, mixing = mix(*arrays, np.zeros(4, bool))
    np.testing.assert_array_equal(exact, np.inf)
    np.testing.assert_array_equal(mixing.norm, np.inf)
    np.testing.assert_array_equal(mixing.relative_change, -np.inf)


def test_a_tie_that_an_anchor_breaks_flips_at_once_and_one_that_none_breaks_never():
    logits = jnp.zeros((1, 2), jnp.float32)
    predicted = jnp.zeros(1, jnp.int32)
    for gap, expected in ((-1.0, 0.0), (0.0, np.inf), (1.0, np.inf)):
        gaps = jnp.array([[0.0, gap], [-gap, 0.0]], jnp.float32)
        assert smallest_flipping_alpha(logits, predicted, gaps)[0] == expected
    # A class is no rival of its own, whatever rounding makes of its gap to itself.
    assert smallest_flipping_alpha(logits, predicted, jnp.array([[-1e-9, 1.0], [1.0, 0.0]], jnp.float32))[0] == np.inf


def test_what_stands_in_a_missing_anchor_does_not_matter():
    *arrays, anchors, _ = problem(np.random.default_rng(3), "normal", 10, 3, 4)
    is_anchor = np.array([True, False, True, True])
    results = []
    for content in (0.0, 1e6, np.nan):
        anchors = anchors.copy()
        anchors[1] = content
        results.append(mix(*arrays, anchors, is_anchor)[1:])
    for other in results[1:]:
        jax.tree.map(np.testing.assert_array_equal, other, results[0])
    assert np.isfinite(results[0][0]).any()


def test_blocks_of_a_few_rows_mix_as_the_whole():
    arrays = problem(np.random.default_rng(5), "normal", 41, 3, 4)
    *_, whole = mix(*arrays)
    assert len(set(whole.norm.tolist())) > 3
    with block_budget(8 * 4 * 40):
        *_, blocked = jax.jit(lambda *each: by_logits.__wrapped__(*each))(
            arrays[0] @ arrays[1] + arrays[2], *arrays[1:], np.asarray(ALPHAS, np.float32)
        )
    np.testing.assert_array_equal(blocked.norm, whole.norm)
    np.testing.assert_allclose(blocked.relative_change, whole.relative_change, rtol=1e-6)
