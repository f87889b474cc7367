import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import typicality as reference

from jaxal.config.strategies import TypiClustConfig
from jaxal.kernels.k_means import k_means
from jaxal.pool import EXCLUDED, UNLABELED
from jaxal.strategies.strategy import AcquisitionInputs
from jaxal.strategies.typiclust import typiclust

from .pools import LABELS, C, Q, acquire, make_inputs, picks, pool_of

FEW = TypiClustConfig(max_clusters=4, num_neighbors=3)
clusters_jit = jax.jit(k_means, static_argnums=5)

# Blobs that no seed can mistake: 16, 12, 9, 6 and 3 samples, in an order that is not that of their sizes.
SIZES = (6, 16, 3, 12, 9)
BLOB = np.repeat(np.arange(5), SIZES)


def clusters_of(inputs, config, seed):
    labels = inputs.pool.labels
    num_picks = min(Q, int(inputs.labels_left), int(jnp.sum(labels == UNLABELED)))
    num_clusters = jnp.asarray(num_picks + jnp.sum(labels >= 0), jnp.int32)
    arguments = (inputs.embeddings, inputs.sample_ids, labels != EXCLUDED, num_clusters)
    return np.asarray(clusters_jit(jax.random.key(seed), *arguments, config.max_clusters).assignment)


@pytest.mark.parametrize("config", [TypiClustConfig(max_clusters=40), pytest.param(FEW, marks=pytest.mark.slow)])
@pytest.mark.parametrize("labels", LABELS)
def test_each_pick_is_the_most_typical_of_the_cluster_whose_turn_it_is(config, labels):
    strategy = typiclust(config, num_classes=C)
    for seed in range(4):
        inputs = make_inputs(seed, labels)
        query, _, info = acquire(strategy, inputs, seed=seed)
        given, chosen = np.asarray(inputs.pool.labels), picks(query)
        assignment, free = clusters_of(inputs, config, seed), given == UNLABELED
        turns = reference.cluster_turns(assignment, given >= 0, free, config.max_clusters, Q)
        np.testing.assert_array_equal(assignment[chosen], turns)
        embeddings = np.asarray(inputs.embeddings)
        tried = reference.candidates(embeddings, assignment, free, turns, config.num_neighbors, chosen)
        for position, (row, distances) in enumerate(zip(chosen, tried, strict=True)):
            assert distances[row] <= min(distances.values()) * (1 + 1e-5)
            np.testing.assert_allclose(info.score[position], distances[row], rtol=1e-5)
        assert info.num_fallback == 0


def planted(seed, num_labeled_in, num_picks):
    """The blobs, in each the first few samples labeled, with excluded garbage between them."""
    rng = np.random.default_rng(seed)
    corners = 200 * np.eye(5)[BLOB]
    embeddings = (corners + rng.normal(size=corners.shape)).astype(np.float32)
    labels = np.full(len(BLOB), UNLABELED)
    for blob, number in enumerate(num_labeled_in):
        labels[np.flatnonzero(blob == BLOB)[:number]] = blob % C
    rows = rng.permutation(len(BLOB) + 4)
    embeddings = np.concatenate([embeddings, np.full((4, 5), np.nan, np.float32)])[rows]
    labels, blob = np.concatenate([labels, [EXCLUDED] * 4])[rows], np.concatenate([BLOB, [-1] * 4])[rows]
    inputs = AcquisitionInputs(
        pool=pool_of(labels),
        embeddings=jnp.asarray(embeddings),
        sample_ids=jnp.asarray(rows, jnp.int32),
        labels_left=jnp.asarray(num_picks, jnp.int32),
    )
    return inputs, blob


@pytest.mark.parametrize(
    ("num_labeled_in", "expected"),
    [
        ((0, 0, 0, 0, 0), [1, 3, 4, 0, 2]),  # every blob once, by size
        ((1, 2, 0, 0, 0), [3, 4, 2]),  # the uncovered ones
        ((2, 3, 1, 1, 2), [3, 2, 3, 4, 0]),  # all covered: by labels and picks so far, then by size
        ((0, 9, 1, 4, 5), [0, 0, 2, 0]),  # an uncovered one, until it is as covered as the smallest
    ],
)
def test_planted_clusters_have_their_turns_whatever_the_seed(num_labeled_in, expected):
    config = TypiClustConfig(max_clusters=5, num_neighbors=4)
    strategy = typiclust(config, num_classes=C)
    for seed in range(8):
        inputs, blob = planted(seed, num_labeled_in, len(expected))
        query, _, _ = acquire(strategy, inputs, seed=seed)
        chosen = picks(query)
        assert blob[chosen].tolist() == expected
        free = np.asarray(inputs.pool.labels) == UNLABELED
        embeddings = np.asarray(inputs.embeddings)
        for row, distances in zip(
            chosen, reference.candidates(embeddings, blob, free, expected, 4, chosen), strict=True
        ):
            assert distances[row] <= min(distances.values()) * (1 + 1e-5)


@pytest.mark.slow
def test_there_are_as_many_clusters_as_labels_and_picks():
    # With the default of up to 500 clusters, two labels and three picks make five, which are the blobs.
    strategy = typiclust(TypiClustConfig(), num_classes=C)
    for seed in range(4):
        inputs, blob = planted(seed, (1, 1, 0, 0, 0), 3)
        query, _, _ = acquire(strategy, inputs, seed=seed)
        assert blob[picks(query)].tolist() == [3, 4, 2]
