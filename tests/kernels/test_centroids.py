import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from reference import centroids as reference

from jaxal.kernels.blocks import block_budget
from jaxal.kernels.centroids import class_centroids

from .content import examples, kinds, rows, seeds

class_centroids_jit = jax.jit(class_centroids, static_argnames="num_classes")


@pytest.mark.parametrize(("num_rows", "dim", "num_classes"), [(1, 3, 2), (5, 2, 8), (50, 6, 3)])
@examples(20)
@given(seed=seeds, kind=kinds)
def test_class_centroids_are_the_means_of_the_labeled_rows(num_rows, dim, num_classes, seed, kind):
    rng = np.random.default_rng(seed)
    embeddings = rows(rng, kind, num_rows, dim)
    labels = rng.integers(-2, num_classes, num_rows).astype(np.int32)
    labels[labels == 1] = -1  # class 1 is known but has no label yet
    centroids, counts = class_centroids_jit(jnp.asarray(embeddings), jnp.asarray(labels), num_classes=num_classes)
    expected, expected_counts = reference.class_centroids(embeddings, labels, num_classes)
    np.testing.assert_array_equal(counts, expected_counts)
    assert counts.dtype == jnp.int32
    np.testing.assert_allclose(centroids, expected, rtol=1e-5, atol=1e-5 * np.abs(embeddings).max(initial=0.0))
    np.testing.assert_array_equal(np.asarray(centroids)[expected_counts == 0], 0.0)


def test_rows_without_a_label_do_not_matter():
    labels = jnp.array([0, -1, 1, -2, 1], jnp.int32)
    embeddings = np.arange(10, dtype=np.float32).reshape(5, 2)
    changed = embeddings.copy()
    changed[[1, 3]] = 1e6
    before, _ = class_centroids_jit(jnp.asarray(embeddings), labels, num_classes=2)
    after, _ = class_centroids_jit(jnp.asarray(changed), labels, num_classes=2)
    np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(before, [[0.0, 1.0], [6.0, 7.0]])


@pytest.mark.parametrize("kind", ["offset", "clustered"])
def test_blocks_of_a_few_labeled_rows_add_up(kind):
    rng = np.random.default_rng(5)
    embeddings, labels = rows(rng, kind, 50, 6), rng.integers(-2, 3, 50).astype(np.int32)
    embeddings[labels < 0] = np.nan  # never read
    expected, expected_counts = reference.class_centroids(embeddings, labels, 3)
    for num_bytes in (1, 4 * 4 * 6 * 4):  # a row, or four, at a time
        with block_budget(num_bytes):
            by_blocks = jax.jit(lambda *arrays: class_centroids(*arrays, num_classes=3))
            centroids, counts = by_blocks(jnp.asarray(embeddings), jnp.asarray(labels))
        np.testing.assert_array_equal(counts, expected_counts)
        np.testing.assert_allclose(centroids, expected, rtol=1e-6, atol=1e-6)


def test_equal_samples_have_their_own_value_as_mean():
    rng = np.random.default_rng(6)
    embeddings = rng.normal(size=(3, 6)).astype(np.float32)[np.arange(51) % 3]
    labels = jnp.asarray(np.arange(51, dtype=np.int32) % 3)
    centroids, _ = class_centroids_jit(jnp.asarray(embeddings), labels, num_classes=3)
    np.testing.assert_array_equal(centroids, embeddings[:3])
