import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import push_pull as reference

from jaxal.kernels.blocks import block_budget
from jaxal.kernels.push_pull import (
    majority_classes,
    minority_class,
    minority_turns,
    push_pull_by_turns,
    push_pull_scores,
    push_pull_table,
)

from .content import examples, kinds, largest_square, rows, seeds

push_pull_scores_jit = jax.jit(push_pull_scores)
by_turns_jit = jax.jit(push_pull_by_turns, static_argnames="query_size")


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


@pytest.mark.parametrize(
    ("counts", "turns"),
    [
        ([5, 5, 5], [0]),  # equal counts: the rarest alone
        ([9, 2, 1], [2, 1]),
        ([2, 9, 2], [0, 2]),  # of equally rare ones the lowest first
        ([1, 3, 2], [0]),  # class 2 lies on the mean exactly
        ([16_777_217, 16_777_216, 16_777_217], [1]),  # beyond float32's integers
        ([700_000_000, 700_000_001, 700_000_000], [0, 2]),  # their sum times three is beyond int32
    ],
)
def test_the_order_of_turns(counts, turns):
    assert reference.minority_turns(counts) == turns
    classes, num_minority = minority_turns(jnp.array(counts, jnp.int32))
    assert classes[: int(num_minority)].tolist() == turns


@given(counts=st.lists(st.integers(1, 6), min_size=5, max_size=5))
@examples(60)
def test_turns_of_any_counts_leave_out_the_majority(counts):
    _, majority = reference.minority_and_majority(counts)
    classes, num_minority = minority_turns(jnp.array(counts, jnp.int32))
    turns = classes[: int(num_minority)].tolist()
    assert turns == reference.minority_turns(counts)
    assert not set(turns) & set(majority)
    assert sorted(classes.tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("num_rows", "dim", "num_classes", "query_size"), [(1, 3, 2, 2), (5, 2, 9, 3), (40, 6, 5, 12)])
@examples(25)
@given(seed=seeds, kind=kinds, largest_count=st.sampled_from([1, 5, 10_000]), num_wanted=st.integers(0, 50))
def test_each_pick_by_turns_is_the_best_left(
    num_rows, dim, num_classes, query_size, seed, kind, largest_count, num_wanted
):
    rng = np.random.default_rng(seed)
    embeddings, centroids = rows(rng, kind, num_rows, dim), rows(rng, kind, num_classes, dim)
    counts = rng.integers(1, largest_count + 1, num_classes).astype(np.int32)
    is_selectable = rng.random(num_rows) < 0.8
    arrays = (jnp.asarray(array) for array in (embeddings, centroids, counts, is_selectable))
    indices, is_valid, score = jax.device_get(
        by_turns_jit(*arrays, jnp.asarray(num_wanted, jnp.int32), query_size=query_size)
    )
    num_picks = min(num_wanted, query_size, int(is_selectable.sum()))
    np.testing.assert_array_equal(is_valid, np.arange(query_size) < num_picks)
    np.testing.assert_array_equal(indices[num_picks:], num_rows)
    assert np.all(np.isnan(score[num_picks:]))
    _, replayed, best = reference.push_pull_by_turns(
        embeddings, centroids, counts, is_selectable, num_picks, follow=indices
    )
    # A distance d carries the error of d² divided by 2d, and no more than its root where d is tiny.
    error = 1e-5 * np.abs(best) + 1e-3 * np.sqrt(1e-6 * largest_square(embeddings, centroids))
    assert np.all(replayed <= best + error)
    assert np.all(np.abs(score[:num_picks] - replayed) <= error)


def test_two_classes_take_turns_for_the_same_majority():
    """On a line: classes 1 (rarest) and 2 are minorities at 0 and 10, class 0 the majority at 20."""
    centroids = jnp.array([[20.0], [0.0], [10.0]], jnp.float32)
    counts = jnp.array([9, 1, 2], jnp.int32)
    # Behind a centroid, seen from the majority, the scores are equal, and the nearest goes first.
    embeddings = jnp.array([[9.0], [11.0], [-1.0], [1.0], [8.0], [-2.0], [-2.0]], jnp.float32)
    indices, _, score = by_turns_jit(embeddings, centroids, counts, jnp.ones(7, bool), jnp.int32(7), query_size=7)
    assert indices.tolist() == [2, 0, 5, 4, 6, 3, 1]
    np.testing.assert_array_equal(score, [-20, -10, -20, -10, -20, -10, 2])


def test_rows_left_out_may_hold_anything():
    rng = np.random.default_rng(3)
    embeddings = rows(rng, "normal", 40, 6)
    centroids, counts = jnp.asarray(rows(rng, "normal", 5, 6)), jnp.array([9, 1, 2, 3, 9], jnp.int32)
    is_selectable = np.arange(40) % 4 != 1
    results = []
    for content in (0.0, np.nan, np.inf):
        embeddings = np.where(is_selectable[:, None], embeddings, np.float32(content))
        arrays = (jnp.asarray(embeddings), centroids, counts, jnp.asarray(is_selectable), jnp.int32(12))
        results.append(jax.device_get(by_turns_jit(*arrays, query_size=12)))
    for other in results[1:]:
        jax.tree.map(np.testing.assert_array_equal, other, results[0])


def test_blocks_of_a_few_rows_score_as_the_whole():
    rng = np.random.default_rng(4)
    embeddings, centroids = jnp.asarray(rows(rng, "normal", 41, 6)), jnp.asarray(rows(rng, "normal", 5, 6))
    counts, classes = jnp.array([9, 1, 2, 3, 9], jnp.int32), jnp.array([1, 2, 3, 0, 4], jnp.int32)
    is_wanted = jnp.arange(5) < 3
    whole = jax.device_get(jax.jit(push_pull_table)(embeddings, centroids, counts, classes, is_wanted))
    for turn, minority in enumerate((1, 2, 3)):
        expected, pull = reference.push_pull_towards(minority, embeddings, centroids, counts)
        np.testing.assert_allclose(whole[0][:, turn], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(whole[1][:, turn], pull, rtol=1e-5)
    for num_bytes in (1, 2 * 4 * 6 * 8):  # a row, or eight, at a time
        with block_budget(num_bytes):
            blocked = jax.jit(lambda *arrays: push_pull_table(*arrays))(
                embeddings, centroids, counts, classes, is_wanted
            )
        jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6), blocked, whole)


def test_equal_rows_have_equal_scores_wherever_they_stand():
    rng = np.random.default_rng(8)
    distinct, places = rows(rng, "normal", 5, 67), rng.integers(0, 5, 203)
    centroids, counts = jnp.asarray(rows(rng, "normal", 3, 67)), jnp.array([9, 1, 5], jnp.int32)
    for num_bytes in (None, 2 * 4 * 67 * 64):
        with block_budget(num_bytes):
            scores, pulls = jax.jit(lambda *arrays: push_pull_scores(*arrays))(
                jnp.asarray(distinct[places]), centroids, counts
            )
        for each in range(5):
            assert len(set(np.asarray(scores)[places == each].tolist())) == 1
            assert len(set(np.asarray(pulls)[places == each].tolist())) == 1
