import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import uncertainty as reference

from jaxal.kernels.uncertainty import entropy, margin, margin_log_odds

from .content import examples, kinds, rows, seeds

SHAPES = [(1, 2), (3, 11), (40, 2), (40, 5)]
entropy_jit, margin_jit, margin_log_odds_jit = jax.jit(entropy), jax.jit(margin), jax.jit(margin_log_odds)


@pytest.mark.parametrize(("num_rows", "num_classes"), SHAPES)
@examples(20)
@given(seed=seeds, kind=kinds, scale=st.sampled_from([1e-3, 1.0, 10.0, 1e4]))
def test_uncertainties_match_the_log_domain_in_float64(num_rows, num_classes, seed, kind, scale):
    logits = (rows(np.random.default_rng(seed), kind, num_rows, num_classes) * np.float32(scale)).astype(np.float32)
    # The logits' own differences are exact in float64; probabilities are then good to a few float32 ulps.
    np.testing.assert_allclose(entropy_jit(jnp.asarray(logits)), reference.entropy(logits), rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(margin_jit(jnp.asarray(logits)), reference.margin(logits), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        margin_log_odds_jit(jnp.asarray(logits)), reference.margin_log_odds(logits), rtol=1e-5, atol=1e-5
    )


def test_saturated_logits_stay_finite():
    logits = np.array([[1e4, -1e4], [-1e4, 1e4], [1e4, 1e4], [0.0, 1e4]], np.float32)
    np.testing.assert_allclose(entropy_jit(jnp.asarray(logits)), [0.0, 0.0, np.log(2.0), 0.0], atol=1e-6)
    np.testing.assert_allclose(margin_jit(jnp.asarray(logits)), [1.0, 1.0, 0.0, 1.0], atol=1e-6)
    # log m = 0 and 1 - m = 2 exp(-gap): the order survives where the margin itself has long been 1.
    np.testing.assert_allclose(
        margin_log_odds_jit(jnp.asarray(logits)),
        [2e4 - np.log(2.0), 2e4 - np.log(2.0), -np.inf, 1e4 - np.log(2.0)],
        rtol=1e-6,
    )


def test_equal_logits_have_the_largest_entropy_and_no_margin():
    logits = np.full((3, 5), 7.25, np.float32)
    np.testing.assert_allclose(entropy_jit(jnp.asarray(logits)), np.log(5.0), rtol=1e-6)
    np.testing.assert_array_equal(margin_jit(jnp.asarray(logits)), 0.0)
    np.testing.assert_array_equal(margin_log_odds_jit(jnp.asarray(logits)), -np.inf)


def test_margin_log_odds_rises_strictly_with_the_margin():
    gaps = np.geomspace(1e-6, 1e4, 2000)
    logits = np.stack([np.zeros_like(gaps), gaps], axis=1).astype(np.float32)
    log_odds = np.asarray(margin_log_odds_jit(jnp.asarray(logits)))
    assert np.all(np.isfinite(log_odds))
    assert np.all(np.diff(log_odds) > 0)
    margins = np.asarray(margin_jit(jnp.asarray(logits)))
    assert np.sum(margins == 1.0) > 100, "the grid must reach the region where the margin itself cannot order"
