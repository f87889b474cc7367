import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import class_deficit as reference

from jaxal.kernels.class_deficit import class_deficit

from .content import examples, seeds

SHAPES = [(1, 2, 1), (7, 9, 3), (60, 4, 12)]
LARGE = (1500, 10, 700)
class_deficit_jit = jax.jit(class_deficit, static_argnames=("query_size", "weight"))


def content(seed, num_rows, num_classes, sharpness=3.0):
    """Scores, probabilities in float32, counts of labels with an empty class now and then, and selectable rows."""
    rng = np.random.default_rng(seed)
    probabilities = np.asarray(jax.nn.softmax(sharpness * rng.normal(size=(num_rows, num_classes)), axis=1))
    counts = rng.integers(0, rng.choice([2, 10, 20_000]), num_classes).astype(np.int32)
    scores = rng.normal(size=num_rows).astype(np.float32)
    return scores, probabilities.astype(np.float32), counts, rng.random(num_rows) < 0.9


def run(scores, probabilities, counts, is_selectable, num_wanted, query_size, weight):
    arrays = (jnp.asarray(array) for array in (scores, probabilities, counts, is_selectable))
    result = class_deficit_jit(*arrays, jnp.int32(num_wanted), query_size=query_size, weight=weight)
    indices, is_valid, objective = (np.asarray(array) for array in result)
    num_picks = min(num_wanted, query_size, int(is_selectable.sum()))
    np.testing.assert_array_equal(is_valid, np.arange(query_size) < num_picks)
    np.testing.assert_array_equal(indices[num_picks:], len(scores))
    np.testing.assert_array_equal(np.isnan(objective), ~is_valid)
    return indices[:num_picks], objective[:num_picks]


def check(scores, probabilities, counts, is_selectable, num_wanted, query_size, weight):
    picks, objective = run(scores, probabilities, counts, is_selectable, num_wanted, query_size, weight)
    greedy = reference.class_deficit(scores, probabilities, counts, is_selectable, weight, len(picks), picks)
    scale = np.maximum(np.abs(greedy.best), 1e-2)
    assert np.all(greedy.objective <= greedy.best + 1e-5 * scale)
    np.testing.assert_allclose(objective, greedy.objective, rtol=1e-5, atol=1e-6 * max(weight, 1.0))
    return picks


@pytest.mark.parametrize(("num_rows", "num_classes", "query_size"), SHAPES)
@pytest.mark.parametrize("weight", [0.0, 1.0, 40.0])
@examples(12)
@given(seed=seeds, data=st.data())
def test_each_pick_has_the_smallest_objective_left(num_rows, num_classes, query_size, weight, seed, data):
    num_wanted = data.draw(st.integers(0, query_size + 2))
    check(*content(seed, num_rows, num_classes), num_wanted, query_size, weight)


def test_many_picks_keep_their_digits():
    num_rows, num_classes, query_size = LARGE
    scores, probabilities, counts, is_selectable = content(3, num_rows, num_classes)
    counts[:] = np.arange(num_classes) + 20_000  # every class ends up nearly served: the deficits go down to 0
    check(0.01 * scores, probabilities, counts, is_selectable, query_size, query_size, 1.0)


def test_without_weight_the_score_alone_decides():
    scores, probabilities, counts, is_selectable = content(5, 60, 4)
    picks, objective = run(scores, probabilities, counts, is_selectable, 12, 12, 0.0)
    rows = np.flatnonzero(is_selectable)
    np.testing.assert_array_equal(picks, rows[np.argsort(scores[rows], kind="stable")][:12])
    np.testing.assert_array_equal(objective, scores[picks])


def test_a_class_without_labels_is_asked_for_until_it_has_its_share():
    """Shares after 4 more labels are 4 each; class 2 has none, class 0 more than its share."""
    probabilities = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2, 2]]
    counts, everything = np.array([5, 3, 0], np.int32), np.ones(7, bool)
    picks, objective = run(np.zeros(7, np.float32), probabilities, counts, everything, 4, 4, 3.0)
    # ‖(0, 1, 4) - p‖₁: rows of class 1 and 2 both bring it down by one, and the lowest row goes first.
    np.testing.assert_array_equal(picks, [1, 2, 5, 6])
    np.testing.assert_allclose(objective, [4.0, 3.0, 2.0, 1.0], rtol=1e-6)


def test_what_rows_out_of_the_choice_hold_is_not_used():
    scores, probabilities, counts, is_selectable = content(6, 60, 4)
    picks, _ = run(scores, probabilities, counts, is_selectable, 12, 12, 1.0)
    scores[~is_selectable], probabilities[~is_selectable] = np.nan, np.inf
    np.testing.assert_array_equal(run(scores, probabilities, counts, is_selectable, 12, 12, 1.0)[0], picks)
