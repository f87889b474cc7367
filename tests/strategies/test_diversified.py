import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels.content import examples, kinds, rows, seeds
from reference import uncertainty as reference
from reference.diversification import best_in_turn

from jaxal.config.strategies import (
    DiversifiedEntropyConfig,
    DiversifiedLeastConfidenceConfig,
    DiversifiedMarginConfig,
)
from jaxal.pool import UNLABELED
from jaxal.strategies.diversified import diversified

from .content_pools import LABELINGS, content_pool
from .pools import C, Q, S, acquire, make_inputs, picks

# (N, S, Q): one row; more classes than rows; many laps; S > Q, where the first lap is never completed.
SHAPES = [(1, 2, 1), (6, 11, 9), (40, 3, 17), (900, 50, 12)]
CONFIGS = {
    "entropy": (DiversifiedEntropyConfig, -1, reference.log_entropy),
    "margin": (DiversifiedMarginConfig, 1, reference.margin_log_odds),
    "least_confidence": (DiversifiedLeastConfidenceConfig, 1, reference.least_confidence_log_odds),
}


@pytest.mark.parametrize("measure", CONFIGS)
@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize(("num_rows", "num_source", "query_size"), SHAPES)
@examples(5)
@given(seed=seeds, kind=kinds, scale=st.sampled_from([1.0, 1e4]), labeling=st.sampled_from(LABELINGS))
def test_each_pick_is_the_best_that_its_lap_still_offers(
    num_rows, num_source, query_size, measure, inverted, seed, kind, scale, labeling
):
    config, sign, log_form = CONFIGS[measure]
    rng = np.random.default_rng(seed)
    logits = (np.float32(scale) * rows(rng, kind, num_rows, num_source)).astype(np.float32)
    inputs = content_pool(seed, kind, labeling, num_rows, 1, 3, query_size)
    inputs = inputs._replace(source_logits=jnp.asarray(logits))
    query, _, info = acquire(diversified(config(inverted=inverted), num_classes=3), inputs, query_size=query_size)
    values = (-sign if inverted else sign) * np.clip(log_form(logits), -1e30, 1e30)
    is_free = np.asarray(inputs.pool.labels) == UNLABELED
    had, offered = best_in_turn(logits.argmax(axis=1), values, is_free, picks(query))
    assert np.all(had <= offered + 1e-5 * np.abs(offered) + 1e-5)
    shown = getattr(reference, measure)(logits)[picks(query)]
    np.testing.assert_allclose(info.score[query.is_valid], shown, rtol=1e-5, atol=1e-6)


def test_the_papers_example_in_numbers():
    """Classes A, A, A, B, B, C with confidences .9, .8, .7, .6, .95, .5: lap one is B, A, C; lap two A, B; then A."""
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.95, 0.5])
    predicted = np.array([0, 0, 0, 1, 1, 2])
    probabilities = np.repeat((1 - confidence)[:, None] / (S - 1), S, axis=1)
    probabilities[np.arange(6), predicted] = confidence
    inputs = make_inputs()
    rows_of_pool = np.flatnonzero(np.asarray(inputs.pool.labels) == UNLABELED)[:6]
    labels = np.where(np.isin(np.arange(len(inputs.pool.labels)), rows_of_pool), UNLABELED, 0).astype(np.int32)
    source = np.asarray(inputs.source_logits).copy()
    source[rows_of_pool] = np.log(probabilities)
    pool = inputs.pool._replace(labels=jnp.asarray(labels))
    inputs = inputs._replace(pool=pool, source_logits=jnp.asarray(source))
    certain, _, info = acquire(diversified(DiversifiedLeastConfidenceConfig(), num_classes=C), inputs)
    np.testing.assert_array_equal(certain.indices, rows_of_pool[[4, 0, 5, 1, 3, 2]])
    np.testing.assert_allclose(info.score, confidence[[4, 0, 5, 1, 3, 2]], rtol=1e-5)
    uncertain = diversified(DiversifiedLeastConfidenceConfig(inverted=False), num_classes=C)
    np.testing.assert_array_equal(acquire(uncertain, inputs)[0].indices, rows_of_pool[[5, 3, 2, 1, 4, 0]])
    assert len(certain.indices) == Q
