import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels.content import examples, kinds, rows, seeds
from reference import uncertainty as reference
from reference.class_deficit import class_deficit as reference_class_deficit

from jaxal.config.strategies import ClassDeficitConfig, EntropyConfig, LeastConfidenceConfig, MarginConfig
from jaxal.pool import UNLABELED
from jaxal.strategies.class_deficit import class_deficit
from jaxal.strategies.entropy import entropy
from jaxal.strategies.least_confidence import least_confidence
from jaxal.strategies.margin import margin

from .content_pools import LABELINGS, content_pool
from .pools import C, acquire, make_inputs, picks

# (N, C, Q)
SHAPES = [(1, 2, 1), (6, 11, 9), (40, 3, 7), (900, 5, 30)]
SCORES = {
    "entropy": lambda logits: -reference.entropy(logits),
    "margin": reference.margin,
    "least_confidence": reference.least_confidence,
}
UNCERTAINTY = {
    "entropy": entropy(EntropyConfig(), num_classes=C),
    "margin": margin(MarginConfig(), num_classes=C),
    "least_confidence": least_confidence(LeastConfidenceConfig(), num_classes=C),
}


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("weight", [0.0, 1.0, 20.0])
@pytest.mark.parametrize(("num_rows", "num_classes", "query_size"), SHAPES)
@examples(4)
@given(seed=seeds, kind=kinds, scale=st.sampled_from([1.0, 1e4]), labeling=st.sampled_from(LABELINGS))
def test_each_pick_has_the_smallest_objective_left(
    num_rows, num_classes, query_size, weight, score, seed, kind, scale, labeling
):
    rng = np.random.default_rng(seed)
    logits = (np.float32(scale) * rows(rng, kind, num_rows, num_classes)).astype(np.float32)
    inputs = content_pool(seed, kind, labeling, num_rows, 1, num_classes, query_size)
    inputs = inputs._replace(logits=jnp.asarray(logits))
    strategy = class_deficit(ClassDeficitConfig(score=score, weight=weight), num_classes=num_classes)
    query, _, info = acquire(strategy, inputs, query_size=query_size)
    labels, chosen = np.asarray(inputs.pool.labels), picks(query)
    greedy = reference_class_deficit(
        SCORES[score](logits),
        [reference.softmax(row) for row in logits],
        np.bincount(labels[labels >= 0], minlength=num_classes),
        labels == UNLABELED,
        weight,
        len(chosen),
        chosen,
    )
    rounding = 1e-6 * max(weight, 1.0)
    assert np.all(greedy.objective <= greedy.best + 1e-5 * np.abs(greedy.best) + rounding)
    np.testing.assert_allclose(info.score[query.is_valid], greedy.objective, rtol=1e-5, atol=rounding)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("weight_scale", [1.0, 1e4])
def test_without_weight_it_is_uncertainty_sampling(score, weight_scale):
    """Where all scores are 0 or 1 in float32, too."""
    inputs = make_inputs(3, weight_scale=weight_scale)
    query, _, info = acquire(class_deficit(ClassDeficitConfig(score=score, weight=0.0), num_classes=C), inputs)
    plain, _, plain_info = acquire(UNCERTAINTY[score], inputs)
    np.testing.assert_array_equal(query.indices, plain.indices)
    np.testing.assert_allclose(info.score, (-1 if score == "entropy" else 1) * plain_info.score, rtol=1e-6)
    values = SCORES[score](np.asarray(inputs.logits))
    if weight_scale > 1:
        assert np.any(np.diff(query.indices) < 0), "by row alone they would ascend"
        assert len(set(np.float32(values[query.indices]).tolist())) < len(query.indices)


def test_a_class_without_labels_is_asked_for_first():
    """Equally certain rows, a quarter for each class; class 3 has no label and lacks most."""
    inputs = make_inputs(labels="a class without labels")
    predicted = np.arange(len(inputs.pool.labels)) % C
    inputs = inputs._replace(logits=jnp.asarray(6 * np.eye(C, dtype=np.float32)[predicted]))
    query, _, _ = acquire(class_deficit(ClassDeficitConfig(weight=10.0), num_classes=C), inputs)
    counts = np.bincount(predicted[query.indices], minlength=C)
    known = np.bincount(np.asarray(inputs.pool.labels)[np.asarray(inputs.pool.labels) >= 0], minlength=C)
    assert counts[3] == counts.max() > 0
    assert counts[0] == 0, "the class with the most labels has its share already"
    assert np.ptp(known + counts) < np.ptp(known)
