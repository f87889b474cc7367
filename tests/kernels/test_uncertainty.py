import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import uncertainty as reference

from jaxal.kernels.uncertainty import (
    certainty_and_measure,
    entropy,
    least_confidence,
    least_confidence_log_odds,
    log_entropy,
    margin,
    margin_log_odds,
)

from .content import examples, kinds, rows, seeds

SHAPES = [(1, 2), (3, 11), (40, 2), (40, 5)]
entropy_jit, margin_jit, margin_log_odds_jit = jax.jit(entropy), jax.jit(margin), jax.jit(margin_log_odds)
least_confidence_jit, least_log_odds_jit = jax.jit(least_confidence), jax.jit(least_confidence_log_odds)
log_entropy_jit = jax.jit(log_entropy)


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
    np.testing.assert_allclose(least_confidence_jit(jnp.asarray(logits)), reference.least_confidence(logits), rtol=1e-6)
    np.testing.assert_allclose(
        least_log_odds_jit(jnp.asarray(logits)), reference.least_confidence_log_odds(logits), rtol=1e-6, atol=2e-6
    )
    # An error of 2e-6 in log H is one of 2e-6 relative in H, however small H is.
    np.testing.assert_allclose(
        log_entropy_jit(jnp.asarray(logits)), reference.log_entropy(logits), rtol=1e-6, atol=2e-6
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
    np.testing.assert_allclose(least_confidence_jit(jnp.asarray(logits)), 0.2, rtol=1e-6)
    np.testing.assert_allclose(least_log_odds_jit(jnp.asarray(logits)), -np.log(4.0), rtol=1e-6)
    np.testing.assert_allclose(log_entropy_jit(jnp.asarray(logits)), np.log(np.log(5.0)), rtol=1e-6)


def test_margin_log_odds_rises_strictly_with_the_margin():
    gaps = np.geomspace(1e-6, 1e4, 2000)
    logits = np.stack([np.zeros_like(gaps), gaps], axis=1).astype(np.float32)
    log_odds = np.asarray(margin_log_odds_jit(jnp.asarray(logits)))
    assert np.all(np.isfinite(log_odds))
    assert np.all(np.diff(log_odds) > 0)
    margins = np.asarray(margin_jit(jnp.asarray(logits)))
    assert np.sum(margins == 1.0) > 100, "the grid must reach the region where the margin itself cannot order"


@pytest.mark.parametrize("measure", ["entropy", "margin", "least_confidence"])
def test_the_key_rises_strictly_with_certainty_where_the_measure_itself_has_run_out(measure):
    gaps = np.geomspace(1e-2, 1e4, 2000)
    logits = np.stack([np.zeros_like(gaps), gaps, -gaps], axis=1).astype(np.float32)
    key, value = (np.asarray(array) for array in certainty_and_measure(jnp.asarray(logits), measure))
    assert np.all(np.isfinite(key))
    assert np.all(np.diff(key) > 0)
    np.testing.assert_allclose(value, getattr(reference, measure)(logits), rtol=1e-5, atol=1e-6)
    assert np.sum(value == value[-1]) > 100, "the grid must reach the region where the measure cannot order"


def test_an_unknown_measure_is_refused():
    with pytest.raises(KeyError, match="gini"):
        certainty_and_measure(jnp.zeros((2, 2)), "gini")
