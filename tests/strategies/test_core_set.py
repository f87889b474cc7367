import numpy as np
import pytest
from reference.k_center import k_center as reference_k_center

from jaxal.config.strategies import CoreSetConfig
from jaxal.pool import UNLABELED
from jaxal.strategies.core_set import core_set

from .pools import C, N, acquire, make_inputs, picks

STRATEGY = core_set(CoreSetConfig(), num_classes=C)


def textbook(inputs, chosen, is_center):
    labels = np.asarray(inputs.pool.labels)
    embeddings = np.asarray(inputs.embeddings, np.float64)
    return reference_k_center(
        embeddings, is_center, labels == UNLABELED, np.zeros(len(labels)), len(chosen), follow=chosen
    )


@pytest.mark.parametrize("labels", ["every class labeled", "a class without labels", "one class labeled"])
@pytest.mark.parametrize("seed", range(4))
def test_each_pick_is_the_farthest_from_all_labeled_and_picked(seed, labels):
    inputs = make_inputs(seed, labels)
    query, _, info = acquire(STRATEGY, inputs)
    greedy = textbook(inputs, picks(query), np.asarray(inputs.pool.labels) >= 0)
    np.testing.assert_allclose(greedy.distance, greedy.best, rtol=1e-5)
    np.testing.assert_allclose(info.score, greedy.distance, rtol=1e-5)


def test_with_nothing_labeled_a_random_sample_opens_and_the_rest_follows():
    openings = set()
    for seed in range(12):
        inputs = make_inputs(0, "nothing labeled")
        query, _, info = acquire(STRATEGY, inputs, seed=seed)
        opening, *others = picks(query).tolist()
        openings.add(opening)
        is_center = np.arange(N) == opening
        labeled = inputs._replace(pool=inputs.pool._replace(labels=inputs.pool.labels.at[opening].set(0)))
        greedy = textbook(labeled, np.array(others), is_center)
        np.testing.assert_allclose(greedy.distance, greedy.best, rtol=1e-5)
        assert info.score[0] == np.inf
        np.testing.assert_allclose(info.score[1:], greedy.distance, rtol=1e-5)
    assert len(openings) > 4, "the opening pick is drawn, not fixed"
