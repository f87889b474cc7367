import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import gradient_embeddings as reference
from scipy.stats import chisquare

from jaxal.config.strategies import BADGEConfig
from jaxal.pool import UNLABELED
from jaxal.strategies.badge import REASONS, badge
from jaxal.strategies.strategy import AcquisitionInputs

from .pools import C, D, N, Q, acquire, make_inputs, picks, pool_of

STRATEGY = badge(BADGEConfig(), num_classes=C)


@pytest.mark.parametrize("labels", ["every class labeled", "nothing labeled", "less left than asked"])
@pytest.mark.parametrize("seed", range(4))
def test_the_largest_gradient_opens_and_scores_are_distances(seed, labels):
    inputs = make_inputs(seed, labels)
    query, _, info = acquire(STRATEGY, inputs, seed=seed)
    vectors = reference.gradients(inputs.logits, inputs.embeddings)
    norms = np.where(np.asarray(inputs.pool.labels) == UNLABELED, np.sum(vectors**2, axis=1), -1)
    chosen = picks(query)
    assert norms[chosen[0]] >= norms.max() * (1 - 1e-5)
    np.testing.assert_allclose(info.score[0] ** 2, norms[chosen[0]], rtol=1e-5)
    for position in range(1, len(chosen)):
        nearest = reference.squared_distances(vectors, vectors[chosen[:position]])[chosen[position]]
        np.testing.assert_allclose(info.score[position] ** 2, nearest, rtol=1e-5)
    assert [REASONS[reason] for reason in info.reason[: len(chosen)]] == (
        ["largest_gradient"] + ["gradient_distance"] * (len(chosen) - 1)
    )
    assert info.num_fallback == 0


def test_picks_follow_the_exact_law_of_k_means_plus_plus():
    """Six samples, three picks, 5,000 seeds: chi-square against the enumeration of all twenty outcomes."""
    rng = np.random.default_rng(3)
    embeddings, logits = rng.normal(size=(6, 3)).astype(np.float32), rng.normal(size=(6, 4)).astype(np.float32)
    inputs = AcquisitionInputs(
        pool=pool_of([UNLABELED] * 6),
        embeddings=jnp.asarray(embeddings),
        sample_ids=jnp.arange(6, dtype=jnp.int32),
        labels_left=jnp.asarray(3, jnp.int32),
        logits=jnp.asarray(logits),
    )
    keys = jax.vmap(jax.random.key)(jnp.arange(5000))
    chosen = np.asarray(jax.jit(jax.vmap(lambda key: STRATEGY.acquire(key, (), inputs, 3)[0].indices))(keys))
    law = reference.law(reference.gradients(logits, embeddings), 3)
    assert len(law) == 20
    assert min(law.values()) * 5000 > 5, "each outcome is expected often enough for a chi-square"
    drawn = dict.fromkeys(law, 0)
    for outcome in map(tuple, chosen.tolist()):
        drawn[outcome] += 1
    assert chisquare(list(drawn.values()), [5000 * law[outcome] for outcome in drawn]).pvalue > 1e-3


@pytest.mark.parametrize("zero", ["embeddings", "residuals"])
def test_without_any_gradient_the_choice_is_uniform_and_counted(zero):
    inputs = make_inputs(1)
    if zero == "embeddings":
        inputs = inputs._replace(embeddings=jnp.zeros((N, D)))
    else:
        certain = np.eye(C, dtype=np.float32)[np.random.default_rng(1).integers(0, C, N)]
        inputs = inputs._replace(logits=jnp.asarray(1e4 * certain, jnp.float32))
    counts = np.zeros(N)
    for seed in range(300):
        query, _, info = acquire(STRATEGY, inputs, seed=seed)
        assert info.num_fallback == len(set(picks(query).tolist())) == Q
        assert [REASONS[reason] for reason in info.reason] == ["random"] * Q
        assert np.all(np.isnan(info.score))
        counts[picks(query)] += 1
    free = np.asarray(inputs.pool.labels) == UNLABELED
    assert np.all(counts[~free] == 0)
    assert chisquare(counts[free]).pvalue > 1e-3


def test_labeled_samples_are_no_centers():
    # The labeled twin of a row does not keep it from being picked.
    inputs = make_inputs(2)
    vectors = reference.gradients(inputs.logits, inputs.embeddings)
    free = np.flatnonzero(np.asarray(inputs.pool.labels) == UNLABELED)
    largest = free[np.argmax(np.sum(vectors[free] ** 2, axis=1))]
    labeled = int(np.flatnonzero(np.asarray(inputs.pool.labels) >= 0)[0])
    twins = inputs._replace(
        embeddings=inputs.embeddings.at[labeled].set(inputs.embeddings[largest]),
        logits=inputs.logits.at[labeled].set(inputs.logits[largest]),
    )
    query, _, info = acquire(STRATEGY, twins)
    assert query.indices[0] == largest
    same, _, same_info = acquire(STRATEGY, inputs)
    np.testing.assert_array_equal(query.indices, same.indices)
    np.testing.assert_array_equal(info.score, same_info.score)


def test_of_equal_samples_the_lowest_row_opens_and_the_rest_is_drawn():
    inputs = make_inputs(3)
    equal = inputs._replace(
        embeddings=jnp.broadcast_to(inputs.embeddings[:1], (N, D)), logits=jnp.broadcast_to(inputs.logits[:1], (N, C))
    )
    tails = set()
    for seed in range(5):
        query, _, info = acquire(STRATEGY, equal, seed=seed)
        assert query.indices[0] == np.flatnonzero(np.asarray(inputs.pool.labels) == UNLABELED)[0]
        assert info.num_fallback == Q - 1
        tails.add(tuple(query.indices[1:].tolist()))
    assert len(tails) == 5
