"""entropy, margin and least_confidence, either way round."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels.content import examples, kinds, rows, seeds
from reference import uncertainty as reference

from jaxal.config.strategies import EntropyConfig, LeastConfidenceConfig, MarginConfig
from jaxal.pool import UNLABELED
from jaxal.strategies.entropy import entropy
from jaxal.strategies.least_confidence import least_confidence
from jaxal.strategies.margin import margin

from .content_pools import LABELINGS, content_pool
from .greedy import assert_smallest_first
from .pools import C, N, Q, acquire, make_inputs, picks

# (N, C, Q)
SHAPES = [(1, 2, 1), (6, 11, 9), (40, 2, 7), (1500, 5, 12)]
# measure: (factory, config, sign that makes the uncertain small, its log-domain form, the sign of that)
MEASURES = {
    "entropy": (entropy, EntropyConfig, -1, reference.log_entropy),
    "margin": (margin, MarginConfig, 1, reference.margin_log_odds),
    "least_confidence": (least_confidence, LeastConfidenceConfig, 1, reference.least_confidence_log_odds),
}
every_measure = pytest.mark.parametrize("measure", MEASURES)
either_way = pytest.mark.parametrize("inverted", [False, True])


def strategy_of(measure, inverted, num_classes=C):
    factory, config, _, _ = MEASURES[measure]
    return factory(config(inverted=inverted), num_classes=num_classes)


@every_measure
@either_way
@pytest.mark.parametrize(("num_rows", "num_classes", "query_size"), SHAPES)
@examples(5)
@given(seed=seeds, kind=kinds, scale=st.sampled_from([0.1, 3.0, 100.0, 1e4]), labeling=st.sampled_from(LABELINGS))
def test_each_pick_is_the_best_left(num_rows, num_classes, query_size, measure, inverted, seed, kind, scale, labeling):
    rng = np.random.default_rng(seed)
    logits = (np.float32(scale) * rows(rng, kind, num_rows, num_classes)).astype(np.float32)
    inputs = content_pool(seed, kind, labeling, num_rows, 1, num_classes, query_size)
    inputs = inputs._replace(logits=jnp.asarray(logits))
    query, _, info = acquire(strategy_of(measure, inverted, num_classes), inputs, query_size=query_size)
    _, _, sign, log_form = MEASURES[measure]
    sign = -sign if inverted else sign
    is_free = np.asarray(inputs.pool.labels) == UNLABELED
    values = getattr(reference, measure)(logits)
    assert_smallest_first(sign * values, picks(query), is_free, atol=1e-7)
    # In the log domain too, where saturated values have all become 0 or 1; a tie of the two best is -inf there.
    log_values = np.clip(log_form(logits), -1e30, None)
    assert_smallest_first(sign * log_values, picks(query), is_free, atol=1e-5)
    np.testing.assert_allclose(info.score[query.is_valid], values[picks(query)], rtol=1e-5, atol=1e-6)
    assert info.num_fallback == 0


@every_measure
@either_way
def test_equal_rows_go_by_their_index_either_way(measure, inverted):
    """Two kinds of rows, alternating: ties inside a kind go to the lowest row, whichever kind is first."""
    inputs = make_inputs()
    kind = np.arange(N) % 2
    logits = np.array([[1.0, 0, 0, 0], [5.0, 0, 0, 0]], np.float32)[kind]
    query, _, _ = acquire(strategy_of(measure, inverted), inputs._replace(logits=jnp.asarray(logits)))
    free = np.flatnonzero(np.asarray(inputs.pool.labels) == UNLABELED)
    expected = free[np.argsort(kind[free] != int(inverted), kind="stable")]
    np.testing.assert_array_equal(query.indices, expected[:Q])


@every_measure
def test_names_say_what_was_done(measure):
    strategy = strategy_of(measure, inverted=True)
    assert strategy.name == measure
    assert strategy.reasons == (measure,)


@every_measure
def test_a_source_model_s_logits_are_ranked_as_the_model_s_own(measure):
    inputs = make_inputs()
    factory, config, _, _ = MEASURES[measure]
    asking = factory(config(logits_of="source"), num_classes=C)
    assert asking.needs == {"source_logits"}
    query, _, info = acquire(asking, inputs._replace(logits=None))
    expected, _, values = acquire(strategy_of(measure, inverted=False), inputs._replace(logits=inputs.source_logits))
    np.testing.assert_array_equal(query.indices, expected.indices)
    np.testing.assert_array_equal(info.score, values.score)
