import jax.numpy as jnp
import numpy as np
import pytest
from kernels.content import KINDS
from reference.k_center import k_center as reference_k_center
from reference.push_pull import push_pull_by_turns

from jaxal.config.strategies import MPPSConfig
from jaxal.pool import UNLABELED
from jaxal.strategies.mpps import mpps

from .content_pools import content_pool
from .eq5 import eq5_of, poles_of
from .greedy import assert_smallest_first
from .pools import C, D, N, Q, acquire, make_inputs, picks, pool_of
from .variants import MPPS

PUSH_PULL, K_CENTER = range(2)


@pytest.mark.parametrize("name", [name for name, config in MPPS.items() if config.minority == "rarest"])
@pytest.mark.parametrize("labels", ["every class labeled", "equal counts"])
@pytest.mark.parametrize("seed", range(4))
def test_the_smallest_push_pull_comes_first(seed, labels, name):
    inputs = make_inputs(seed, labels)
    query, _, info = acquire(mpps(MPPS[name], num_classes=C), inputs)
    scores, _ = eq5_of(inputs, MPPS[name].normalize)
    is_free = np.asarray(inputs.pool.labels) == UNLABELED
    scale = np.abs(scores).max()
    assert_smallest_first(scores, picks(query), is_free, atol=1e-6 * scale)
    np.testing.assert_allclose(info.score, scores[query.indices], rtol=1e-5, atol=1e-6 * scale)
    np.testing.assert_array_equal(info.reason, PUSH_PULL)
    assert info.num_fallback == 0


def check_turns(config, inputs, query_size=Q):
    """Each pick is the best left for the class whose turn it is."""
    query, _, info = acquire(mpps(config, num_classes=inputs.logits.shape[1]), inputs, query_size=query_size)
    chosen, is_free = picks(query), np.asarray(inputs.pool.labels) == UNLABELED
    poles = poles_of(inputs, config.normalize)
    _, scores, best = push_pull_by_turns(*poles, is_free, len(chosen), follow=chosen)
    atol = 1e-6 * np.linalg.norm(poles[0], axis=1).max()
    assert np.all(scores <= best + 1e-5 * np.abs(best) + atol)
    np.testing.assert_allclose(info.score[query.is_valid], scores, rtol=1e-5, atol=atol)
    np.testing.assert_array_equal(info.reason, PUSH_PULL)
    assert info.num_fallback == 0
    return chosen


@pytest.mark.parametrize("normalize", ["none", "l2"])
@pytest.mark.parametrize("labels", ["every class labeled", "equal counts", "less left than asked"])
def test_minority_classes_take_turns(labels, normalize):
    config = MPPSConfig(minority="round_robin", normalize=normalize)
    for seed in range(4):
        inputs = make_inputs(seed, labels)
        chosen = check_turns(config, inputs)
        alone = picks(acquire(mpps(MPPSConfig(normalize=normalize), num_classes=C), inputs)[0])
        assert chosen[0] == alone[0]
        if labels == "equal counts":
            np.testing.assert_array_equal(chosen, alone)


@pytest.mark.parametrize(
    ("num_rows", "dim", "num_classes", "query_size"),
    [
        (7, 3, 2, 3),
        pytest.param(60, 4, 10, 9, marks=pytest.mark.slow),
        pytest.param(1500, 6, 5, 40, marks=pytest.mark.slow),
    ],
)
def test_on_unseen_pools_minority_classes_take_turns(num_rows, dim, num_classes, query_size):
    for seed, kind in enumerate(KINDS):
        inputs = content_pool(seed, kind, "every class", num_rows, dim, num_classes, query_size)
        labels = np.asarray(inputs.pool.labels).copy()
        labels[:num_classes] = np.arange(num_classes)  # each class has a label, and class 0 a few more
        labels[labels == 1] = 0
        labels[1] = 1
        check_turns(MPPSConfig(minority="round_robin"), inputs._replace(pool=pool_of(labels)), query_size)


def test_normalizing_is_not_without_effect():
    inputs = make_inputs(0)
    chosen = [acquire(mpps(config, num_classes=C), inputs)[0].indices.tolist() for config in MPPS.values()]
    assert chosen[0] != chosen[1]


@pytest.mark.parametrize("name", MPPS)
@pytest.mark.parametrize("labels", ["a class without labels", "one class labeled", "nothing labeled"])
def test_while_a_class_has_no_label_k_center_looks_for_it(labels, name):
    inputs = make_inputs(1, labels, labels_left=Q - 1)
    query, _, info = acquire(mpps(MPPS[name], num_classes=C), inputs)
    known = np.asarray(inputs.pool.labels)
    embeddings = np.asarray(inputs.embeddings, np.float64)
    if MPPS[name].normalize == "l2":
        embeddings = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    chosen = picks(query)
    drawn = np.arange(N) == chosen[0]  # opens where there is no center
    greedy = reference_k_center(embeddings, known >= 0, known == UNLABELED, drawn, Q - 1, follow=chosen)
    np.testing.assert_allclose(greedy.distance, greedy.best, rtol=1e-5)
    np.testing.assert_allclose(info.score[: Q - 1], greedy.distance, rtol=1e-5)
    np.testing.assert_array_equal(info.reason, [K_CENTER] * (Q - 1) + [0])
    assert info.num_fallback == Q - 1


def test_a_zero_embedding_is_no_nan_on_the_unit_sphere():
    inputs = make_inputs(2, labels_left=1000)
    rows = np.flatnonzero(np.asarray(inputs.pool.labels) == UNLABELED)
    inputs = inputs._replace(embeddings=inputs.embeddings.at[jnp.asarray(rows[:2])].set(0))
    query, _, info = acquire(mpps(MPPS["mpps, l2"], num_classes=C), inputs, query_size=N + 7)
    np.testing.assert_array_equal(np.sort(picks(query)), rows)
    assert np.all(np.isfinite(info.score[query.is_valid]))


def test_a_prototype_goes_before_far_samples_on_its_ray():
    """Behind the minority, seen from the majority, all scores are -‖μ_minor - μ_maj‖; the nearest goes first."""
    labels = np.full(N, UNLABELED)
    labels[[1, 4, 6, 9, 13, 16, 20, 23]] = [0, 1, 1, 1, 2, 2, 3, 3]
    positions = np.select([labels == 0, labels == 1, labels >= 2], [0, 3, 5]).astype(np.float32)
    behind = np.array([7, 3, 12, 1, 9, 15, 14, 5, 2, 10, 4, 8, 6, 11, 16, 13])
    positions[labels == UNLABELED] = -behind
    embeddings = np.zeros((N, D), np.float32)
    embeddings[:, 0] = positions
    inputs = make_inputs()._replace(pool=pool_of(labels), embeddings=jnp.asarray(embeddings))
    query, _, info = acquire(mpps(MPPSConfig(), num_classes=C), inputs)
    np.testing.assert_array_equal(info.score, -3)
    np.testing.assert_array_equal(-positions[query.indices], 1 + np.arange(Q))
