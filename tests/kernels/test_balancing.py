import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import balancing as reference

from jaxal.kernels.balancing import balanced_picks, is_switch_due, relative_squares, renew_squares, representation
from jaxal.kernels.blocks import block_budget

from .content import examples, kinds, largest_square, rows, seeds

UNLABELED, EXCLUDED = -1, -2
# (N, D, C, Q): one row; more classes than picks; a query that nearly uses the pool up.
SHAPES = [(1, 2, 3, 2), (13, 3, 5, 4), (60, 4, 3, 40)]
RTOL = 1e-5

renew_jit = jax.jit(renew_squares)
relative_jit = jax.jit(relative_squares, static_argnames="denominator")
picks_jit = jax.jit(balanced_picks, static_argnums=(8, 9))
count_vectors = st.lists(st.sampled_from([0, 0, 1, 2, 3, 3, 7, 40]), min_size=6, max_size=6)


def int32(values):
    return jnp.asarray(np.asarray(values, np.int32))


@functools.partial(jax.jit)
def decide(counts, labels_left):
    return *representation(counts), is_switch_due(counts, labels_left)


@examples(300)
@given(counts=count_vectors, labels_left=st.integers(0, 120))
def test_sides_and_switch_are_exact(counts, labels_left):
    is_over, is_under, is_due = decide(int32(counts), int32(labels_left))
    over, under = reference.sides(counts)
    assert np.flatnonzero(is_over).tolist() == over
    assert np.flatnonzero(is_under).tolist() == under
    assert bool(is_due) == reference.is_switch_due(counts, labels_left)


def test_the_switch_comes_at_the_very_label_that_evens_out():
    # One class of 9 over two of 1 and 2 (mean 4): 2·(9 - 1.5) = 15 labels make 9, 9, 9; the class of 0 is unknown.
    for labels_left, is_due in ((16, False), (15, True), (1, True)):
        assert bool(is_switch_due(int32([9, 0, 1, 2]), int32(labels_left))) == is_due
    # 1·(4 + 4 + 5)/3 - 1 = 10/3: not a whole number, so at 3 and not at 4.
    for labels_left, is_due in ((4, False), (3, True)):
        assert bool(is_switch_due(int32([4, 4, 5, 1]), int32(labels_left))) == is_due


@pytest.mark.parametrize("counts", [[0, 0, 0], [0, 5, 0], [3, 3, 0], [2, 2, 2]])
def test_where_nothing_stands_out_nothing_is_due(counts):
    is_over, is_under, is_due = decide(int32(counts), int32(0))
    assert not np.any(is_over)
    assert not np.any(is_under)
    assert not is_due


def test_large_counts_do_not_overflow():
    counts = int32([1_200_000, *[1000] * 999])
    is_over, is_under, is_due = decide(counts, int32(10**9))
    assert np.flatnonzero(is_over).tolist() == [0]
    assert np.sum(is_under) == 999
    assert is_due, "999 · 1,199,000 is more than a billion"


def some_labels(rng, num_rows, num_classes):
    """Labels of all kinds, class 1 never."""
    labels = rng.choice([EXCLUDED, UNLABELED, UNLABELED, 0, 0, 0, *range(num_classes)], num_rows)
    return np.where(labels == 1, UNLABELED, labels).astype(np.int32)


def expected_squares(embeddings, labels, num_classes):
    centroids, counts = reference.class_centroids(embeddings, labels, num_classes)
    differences = np.asarray(embeddings, np.float64)[None] - centroids[:, None]
    return np.sum(differences**2, axis=2), counts


@pytest.mark.parametrize(("num_rows", "dim", "num_classes", "_"), SHAPES)
@examples(30)
@given(seed=seeds, kind=kinds)
def test_distances_are_those_to_the_centroids_and_a_label_renews_its_class_alone(
    num_rows, dim, num_classes, _, seed, kind
):
    rng = np.random.default_rng(seed)
    embeddings, labels = rows(rng, kind, num_rows, dim), some_labels(rng, num_rows, num_classes)
    blank = jnp.full((num_classes, num_rows), -7, jnp.float32)
    squares = np.asarray(renew_jit(blank, jnp.asarray(embeddings), int32(labels), jnp.ones(num_classes, bool)))
    expected, counts = expected_squares(embeddings, labels, num_classes)
    distances, expected = np.sqrt(squares[counts > 0]), np.sqrt(expected[counts > 0])
    np.testing.assert_allclose(distances, expected, rtol=RTOL, atol=1e-6 * np.sqrt(largest_square(embeddings)))

    row, label = int(rng.integers(num_rows)), int(rng.integers(num_classes))
    before, labels[row] = labels[row], label
    is_changed = np.isin(np.arange(num_classes), [before, label])
    renewed = np.asarray(renew_jit(jnp.asarray(squares), jnp.asarray(embeddings), int32(labels), is_changed))
    afresh = np.asarray(renew_jit(blank, jnp.asarray(embeddings), int32(labels), jnp.ones(num_classes, bool)))
    np.testing.assert_array_equal(renewed, afresh)
    np.testing.assert_array_equal(renewed[~is_changed], squares[~is_changed])


def test_what_excluded_rows_hold_is_in_no_centroid():
    embeddings = np.array([[np.nan, np.inf], [2.0, 0.0], [4.0, 0.0], [5.0, 4.0]], np.float32)
    squares = renew_jit(jnp.zeros((2, 4)), jnp.asarray(embeddings), int32([EXCLUDED, 0, 0, -1]), jnp.ones(2, bool))
    np.testing.assert_array_equal(squares[0, 1:], [1.0, 1.0, 20.0])


def test_zero_over_zero_is_one_and_any_more_over_zero_comes_last():
    # Class 0 is over-represented and stands at 0, class 1 at the second column.
    counts = int32([5, 1])
    squares = jnp.asarray([[0.0, 0.0, 4.0, 4.0], [0.0, 9.0, 0.0, 1.0]])
    np.testing.assert_array_equal(relative_jit(squares, counts, denominator="max"), [1.0, np.inf, 0.0, 0.25])
    np.testing.assert_array_equal(relative_jit(squares, counts, denominator="none"), [0.0, 9.0, 0.0, 1.0])


def test_the_denominator_is_the_farthest_of_all_over_represented_classes():
    counts = int32([9, 8, 1, 2])  # the mean is 5
    squares = jnp.asarray([[1.0, 4.0], [16.0, 2.0], [4.0, 4.0], [100.0, 100.0]])
    np.testing.assert_array_equal(relative_jit(squares, counts, denominator="max"), [0.25, 1.0])


def run(embeddings, labels, num_classes, base_list, labels_left, query_size, denominator, is_switched=False):
    """The picks, as NumPy, after checking all that does not depend on distances."""
    num_rows = len(embeddings)
    embeddings, labels = jnp.asarray(embeddings), int32(labels)
    squares = renew_jit(jnp.zeros((num_classes, num_rows)), embeddings, labels, jnp.ones(num_classes, bool))
    num_free = int(np.sum(np.asarray(labels) == UNLABELED))
    num_wanted = max(min(query_size, labels_left, num_free), 0)
    counts = np.bincount(np.asarray(labels)[np.asarray(labels) >= 0], minlength=num_classes)
    padded = np.full(num_rows, num_rows)
    padded[: len(base_list)] = base_list
    picks = jax.device_get(
        picks_jit(
            squares,
            int32(counts),
            labels == UNLABELED,
            int32(padded),
            int32(0),
            jnp.asarray(is_switched),
            int32(labels_left),
            int32(num_wanted),
            query_size,
            denominator,
        )
    )
    assert picks.indices.shape == picks.entry.shape == picks.ratio.shape == picks.counted_for.shape == (query_size,)
    np.testing.assert_array_equal(picks.indices[num_wanted:], num_rows)
    np.testing.assert_array_equal(picks.entry[num_wanted:], -1)
    assert np.all(np.isnan(picks.ratio[num_wanted:]))
    assert len(set(picks.indices[:num_wanted].tolist())) == num_wanted
    return picks, num_wanted


def check(game, picks, num_picks, scale):
    """Each pick is the best there was at its turn, and counts for the class that the rule says."""
    steps = []
    for number in range(num_picks):
        step = game.pick(follow=(picks.indices[number], picks.counted_for[number]))
        steps.append(step)
        assert (step.row, step.entry) == (picks.indices[number], picks.entry[number])
        assert step.counted_for == picks.counted_for[number]
        if step.entry >= 0:
            assert np.isnan(picks.ratio[number])
            if step.counted_for >= 0:
                assert step.label_distance <= step.best_label_distance * (1 + RTOL) + 1e-6 * scale
        elif np.isinf(step.best):
            assert np.isinf(picks.ratio[number])
        else:
            assert step.value <= step.best * (1 + RTOL) + 1e-6 * (scale if game.denominator == "none" else 1)
            np.testing.assert_allclose(picks.ratio[number], step.value, rtol=RTOL, atol=1e-6)
    return steps


@pytest.mark.parametrize(("num_rows", "dim", "num_classes", "query_size"), SHAPES)
@pytest.mark.parametrize("denominator", ["max", "none"])
@examples(40)
@given(seed=seeds, kind=kinds, is_switched=st.booleans(), data=st.data())
def test_each_pick_is_the_loops(num_rows, dim, num_classes, query_size, denominator, seed, kind, is_switched, data):
    rng = np.random.default_rng(seed)
    labels_left = data.draw(st.integers(0, query_size + 2))
    embeddings, labels = rows(rng, kind, num_rows, dim), some_labels(rng, num_rows, num_classes)
    base_list = rng.permutation(np.flatnonzero(labels == UNLABELED))
    picks, num_picks = run(
        embeddings, labels, num_classes, base_list, labels_left, query_size, denominator, is_switched
    )
    game = reference.Game(embeddings, labels, num_classes, base_list, labels_left, denominator)
    game.is_switched = is_switched
    check(game, picks, num_picks, np.sqrt(largest_square(embeddings)))
    if num_picks:
        assert picks.is_switched == game.is_switched
        assert picks.position == game.position


# Six rows on a line; class 0 at 0 (three labels), class 1 at 10 (one label).
LINE = np.array([[0.0], [0.0], [0.0], [10.0], [9.0], [1.0], [8.0], [2.0], [3.0], [7.0]], np.float32)
LINE_LABELS = [0, 0, 0, 1, *[UNLABELED] * 6]


def play(labels_left, base_list=(5, 7, 8, 9, 6, 4), denominator="max"):
    picks, num_picks = run(LINE, LINE_LABELS, 2, list(base_list), labels_left, 6, denominator)
    return picks.indices[:num_picks].tolist(), picks.entry[:num_picks].tolist(), picks.counted_for[:num_picks].tolist()


def test_a_switch_by_hand():
    # 6 left > 1·(3 - 1): the list, whose rows 1 and 2 lie at class 0: counts 5, 1. Then 4 left ≤ 4: row 9 (Eq. 9: 1/9),
    # 8 (2/8), 7 (3/7), 3 (7/3) for class 1, which then has 5: even; only the latch is left by then.
    assert play(6) == ([5, 7, 4, 6, 9, 8], [0, 1, -1, -1, -1, -1], [0, 0, 1, 1, 1, 1])


def test_with_even_counts_the_list_goes_on_without_what_was_taken():
    # 2 left ≤ 2 at once; a latch that is set stays set when the two picks for class 1 make it 3 and 3.
    assert play(2) == ([4, 6], [-1, -1], [1, 1])
    picks, _ = run(LINE, LINE_LABELS, 2, [4, 5, 6, 7, 8, 9], 6, 6, "max", is_switched=True)
    # 9 and 8 for class 1: 3 and 3, even. The list: 9 is taken, row 1 it is: 4 and 3, uneven: 7 for class 1, even again.
    # The list: 8 is taken, row 2; then Eq. 9 has 3 left.
    assert picks.indices.tolist() == [4, 6, 5, 9, 7, 8]
    assert picks.entry.tolist() == [-1, -1, 1, -1, 3, -1]
    assert picks.counted_for.tolist() == [1, 1, 0, 1, 0, 1]


def test_without_denominator_only_the_rarest_class_counts():
    embeddings = np.array([[0.0, 0.0], [0.0, 0.0], [10.0, 0.0], [6.0, 0.0], [10.0, 5.0]], np.float32)
    labels = [0, 0, 1, UNLABELED, UNLABELED]
    near, _ = run(embeddings, labels, 2, [3, 4], 1, 6, "none")
    far, _ = run(embeddings, labels, 2, [3, 4], 1, 6, "max")
    assert near.indices[0] == 3, "4 away from class 1, and 6 from class 0"
    assert far.indices[0] == 4, "5 away from class 1, but 11.2 from class 0"
    np.testing.assert_allclose([near.ratio[0], far.ratio[0]], [4.0, 5 / np.sqrt(125)], rtol=1e-6)


def test_a_selectable_row_at_infinity_comes_before_rows_that_may_not_be_asked():
    embeddings = np.array([[10.0], [0.0], [0.0], [0.0]], np.float32)
    picks, _ = run(embeddings, [1, 0, 0, UNLABELED], 2, [3], 1, 6, "max")
    assert picks.indices[0] == 3
    assert picks.ratio[0] == np.inf


def test_blocks_of_a_few_rows_are_measured_as_the_whole():
    rng = np.random.default_rng(9)
    embeddings, labels = rows(rng, "offset", 41, 6), some_labels(rng, 41, 4)
    expected, counts = expected_squares(embeddings, labels, 4)
    old = jnp.full((4, 41), -7, jnp.float32)
    is_changed = np.array([True, False, True, True])
    for num_bytes in (1, 2 * 4 * 6 * 8):  # a row, or eight, at a time
        with block_budget(num_bytes):
            by_blocks = jax.jit(lambda *arrays: renew_squares(*arrays))
            squares = np.asarray(by_blocks(old, jnp.asarray(embeddings), int32(labels), is_changed))
        is_known = is_changed & (counts > 0)
        np.testing.assert_allclose(squares[is_known], expected[is_known], rtol=RTOL, atol=1e-6)
        np.testing.assert_array_equal(squares[~is_changed], -7)
