import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import push_pull as reference

from jaxal.kernels.push_pull import majority_classes, minority_class, push_pull_scores

from .content import examples, kinds, largest_square, rows, seeds

push_pull_scores_jit = jax.jit(push_pull_scores)


@pytest.mark.parametrize(("num_rows", "dim", "num_classes"), [(1, 3, 2), (5, 2, 9), (40, 6, 3)])
@examples(25)
@given(seed=seeds, kind=kinds, largest_count=st.sampled_from([1, 2, 5, 10_000]))
def test_scores_match_the_reference(num_rows, dim, num_classes, seed, kind, largest_count):
    rng = np.random.default_rng(seed)
    embeddings = rows(rng, kind, num_rows, dim)
    centroids = rows(rng, kind, num_classes, dim)
    counts = rng.integers(1, largest_count + 1, num_classes).astype(np.int32)
    scores, pull = push_pull_scores_jit(jnp.asarray(embeddings), jnp.asarray(centroids), jnp.asarray(counts))
    expected, expected_pull = reference.push_pull_scores(embeddings, centroids, counts)
    # A distance d carries the error of d^2 divided by 2d, and no more than its root where d is tiny.
    square_error = 1e-6 * largest_square(embeddings, centroids)
    push = expected_pull - expected
    error = sum(np.minimum(np.sqrt(square_error), square_error / np.maximum(d, 1e-30)) for d in (expected_pull, push))
    assert np.all(np.abs(np.asarray(pull) - expected_pull) <= 1e-5 * expected_pull + error)
    assert np.all(np.abs(np.asarray(scores) - expected) <= 1e-5 * (expected_pull + push) + error)


@pytest.mark.parametrize(
    ("counts", "minority", "majority"),
    [
        ([5, 5], 0, [1]),  # equal counts: all the others
        ([5, 5, 5], 0, [1, 2]),
        ([9, 2], 1, [0]),
        ([9, 2, 2], 1, [0]),  # the tie goes to the lowest class; class 2 is neither
        ([1, 3, 2], 0, [1]),  # class 2 lies on the mean exactly
        ([16_777_217, 16_777_216, 16_777_217], 1, [0, 2]),  # beyond float32's integers
    ],
)
def test_minority_and_majority_classes(counts, minority, majority):
    assert reference.minority_and_majority(counts) == (minority, majority)
    counts = jnp.array(counts, jnp.int32)
    assert int(minority_class(counts)) == minority
    np.testing.assert_array_equal(np.flatnonzero(majority_classes(counts)), majority)


@given(counts=st.lists(st.integers(1, 6), min_size=4, max_size=4))
@examples(40)
def test_minority_and_majority_classes_of_any_counts(counts):
    minority, majority = reference.minority_and_majority(counts)
    counts = jnp.array(counts, jnp.int32)
    assert int(minority_class(counts)) == minority
    np.testing.assert_array_equal(np.flatnonzero(majority_classes(counts)), majority)


def test_distances_are_not_squared():
    centroids = jnp.array([[0.0], [10.0]], jnp.float32)
    scores, pull = push_pull_scores_jit(jnp.array([[3.0]], jnp.float32), centroids, jnp.array([1, 2], jnp.int32))
    np.testing.assert_allclose(scores, [3.0 - 7.0], rtol=1e-6)
    np.testing.assert_allclose(pull, [3.0], rtol=1e-6)
