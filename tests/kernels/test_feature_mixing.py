import warnings
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from reference import feature_mixing as reference
from reference.centroids import class_centroids
from reference.taylor import log_error
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from jaxal.kernels.feature_mixing import mix_features
from jaxal.kernels.mixing_start import initial_alpha

from .content import examples, kinds, rows, seeds

# (rows, width, classes, block size, steps): one row, more classes than rows, blocks that do not divide the rows, the
# start alone. Every shape is compiled once for each way to start.
SHAPES = [(1, 3, 2, 4, 5), (4, 5, 6, 3, 5), (10, 4, 3, 4, 5), (7, 6, 2, 7, 0)]
SETTINGS = {"step_size": 0.1, "penalty_weight": 1.0}
STATIC = ("alpha_init", "num_steps", "step_size", "penalty_weight", "block_size")
mix_features_jit = jax.jit(mix_features, static_argnames=STATIC)


def problem(rng, kind, num_rows, dim, num_classes, dtype=np.float64):
    """Rows, ids, a linear head's logits and weight, and anchors of which about a third do not exist."""
    embeddings = rows(rng, kind, num_rows, dim).astype(dtype)
    weight = rng.normal(size=(dim, num_classes)).astype(dtype)
    logits = (embeddings @ weight + rng.normal(size=(1, num_classes))).astype(dtype)
    anchors = rows(rng, kind, num_classes, dim).astype(dtype)
    sample_ids = rng.choice(2**31 - 1, num_rows, replace=False).astype(np.int32)
    return embeddings, sample_ids, logits, weight, anchors, rng.random(num_classes) < 0.7


class Found(NamedTuple):
    """The kernel's answer as NumPy arrays, which stay float64 outside `enable_x64`; the change itself in float64."""

    norm: np.ndarray
    loss_change: np.ndarray
    relative_change: np.ndarray


def mix(key, arrays, **settings):
    mixing = mix_features_jit(key, *(jnp.asarray(array) for array in arrays), **(SETTINGS | settings))
    norm, relative_change = (np.asarray(array) for array in mixing)
    predicted = np.argmax(arrays[2], axis=1)
    change = relative_change * np.exp(log_error(arrays[2], predicted)) if arrays[-1].any() else relative_change
    return Found(norm, change, relative_change)


def starting_alpha(key, arrays, alpha_init):
    """[N C D], what the kernel begins with; tests/kernels/test_mixing_start.py says what it is."""
    embeddings, sample_ids, anchors = jnp.asarray(arrays[0]), jnp.asarray(arrays[1]), arrays[4]
    classes = range(len(anchors))
    each = [initial_alpha(key, sample_ids, jnp.asarray(c, jnp.int32), embeddings, alpha_init) for c in classes]
    return np.stack([np.asarray(alpha) for alpha in each], axis=1)


def reference_of(key, arrays, alpha_init, num_steps, penalty_weight=1.0, step_size=0.1):
    embeddings, _, logits, weight, anchors, is_anchor = arrays
    start = starting_alpha(key, arrays, alpha_init)
    return reference.mix_features(
        embeddings, logits, weight, anchors, is_anchor, start, num_steps, step_size, penalty_weight
    )


@pytest.mark.parametrize("alpha_init", ["normal", "half"])
@pytest.mark.parametrize(("num_rows", "dim", "num_classes", "block_size", "num_steps"), SHAPES)
@examples(15)
@given(seed=seeds, kind=kinds)
def test_mixing_matches_the_loops_in_float64(num_rows, dim, num_classes, block_size, num_steps, alpha_init, seed, kind):
    with jax.enable_x64(True):
        key = jax.random.key(seed)
        arrays = problem(np.random.default_rng(seed), kind, num_rows, dim, num_classes)
        mixing = mix(key, arrays, alpha_init=alpha_init, num_steps=num_steps, block_size=block_size)
        expected = reference_of(key, arrays, alpha_init, num_steps)
    # Where a gradient is zero up to rounding, its sign (and with it the next step) is nobody's to say.
    clear = expected.clearance > 1e-9
    assert mixing.norm.shape == mixing.loss_change.shape == (num_rows,)
    np.testing.assert_allclose(mixing.norm[clear], expected.norm[clear], rtol=1e-9, atol=1e-12)
    if arrays[-1].any():
        np.testing.assert_allclose(mixing.loss_change[clear], expected.loss_change[clear], rtol=1e-9, atol=1e-9)
    assert np.all(~np.isnan(mixing.norm))


def test_float32_agrees_where_rounding_cannot_turn_a_step_over():
    key = jax.random.key(3)
    arrays = problem(np.random.default_rng(3), "normal", 200, 16, 3, np.float32)
    mixing = mix(key, arrays, alpha_init="normal", num_steps=5, block_size=64)
    expected = reference_of(key, arrays, "normal", 5)
    clear = expected.clearance > 3e-6
    assert clear.sum() > 150
    flips = np.isfinite(expected.norm)
    assert 20 < flips.sum() < 200, "the pool must hold samples that flip and samples that do not"
    np.testing.assert_allclose(mixing.norm[clear], expected.norm[clear], rtol=1e-4)
    scale = np.abs(expected.loss_change).max()
    np.testing.assert_allclose(mixing.loss_change[clear], expected.loss_change[clear], rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("penalty_weight", [0.0, 5.0])
def test_the_penalty_weight_is_obeyed(penalty_weight):
    with jax.enable_x64(True):
        key = jax.random.key(5)
        arrays = problem(np.random.default_rng(5), "normal", 10, 4, 3)
        mixing = mix(key, arrays, alpha_init="normal", num_steps=5, block_size=4, penalty_weight=penalty_weight)
        expected = reference_of(key, arrays, "normal", 5, penalty_weight)
    assert np.all(expected.clearance > 1e-9)
    np.testing.assert_allclose(mixing.norm, expected.norm, rtol=1e-9)
    np.testing.assert_allclose(mixing.loss_change, expected.loss_change, rtol=1e-9)


@examples(60)
@given(seed=seeds, kind=kinds)
def test_the_closed_form_flip_is_where_a_search_finds_it(seed, kind):
    rng = np.random.default_rng(seed)
    embeddings, _, logits, weight, anchors, _ = problem(rng, kind, 1, 4, 3)
    shift = rng.random(4) * (anchors[0] - embeddings[0])
    predicted = int(np.argmax(logits[0]))
    t = reference.first_flip(logits[0], predicted, weight, shift)
    found = reference.first_flip_by_search(logits[0], predicted, weight, shift, 10_000)
    if np.isfinite(found):
        assert found - 1e-4 - 1e-9 <= t <= found + 1e-9
    else:
        assert t >= 1 - 1e-9


@pytest.mark.parametrize("alpha_init", ["normal", "half"])
@examples(25)
@given(seed=seeds, kind=kinds)
def test_no_score_undercuts_the_exact_minimum(alpha_init, seed, kind):
    num_rows, dim, num_classes, block_size, num_steps = SHAPES[2]
    with jax.enable_x64(True):
        arrays = problem(np.random.default_rng(seed), kind, num_rows, dim, num_classes)
        mixing = mix(jax.random.key(seed), arrays, alpha_init=alpha_init, num_steps=num_steps, block_size=block_size)
    embeddings, _, logits, weight, anchors, is_anchor = arrays
    for i in range(num_rows):
        predicted = int(np.argmax(logits[i]))
        exact = min(
            (
                reference.smallest_box_norm(logits[i], predicted, weight, anchor - embeddings[i])
                for anchor in anchors[is_anchor]
            ),
            default=np.inf,
        )
        assert mixing.norm[i] >= exact * (1 - 1e-9) - 1e-12


def test_the_block_size_changes_nothing_beyond_the_last_bit():
    arrays = problem(np.random.default_rng(0), "normal", 10, 4, 3, np.float32)
    results = [
        mix(jax.random.key(0), arrays, alpha_init="normal", num_steps=5, block_size=block_size)
        for block_size in (1, 4, 10, 64)
    ]
    # The compiler sums a block of another size in another order: measured 1.3e-7 here, one unit in the last place.
    for other in results[1:]:
        np.testing.assert_allclose(other.norm, results[0].norm, rtol=1e-6)
        np.testing.assert_allclose(other.loss_change, results[0].loss_change, rtol=1e-6, atol=1e-7)
        np.testing.assert_array_equal(np.argsort(other.norm, stable=True), np.argsort(results[0].norm, stable=True))


@pytest.mark.parametrize("num_classes", [2, 3])
def test_equal_rows_stay_equal_wherever_they_lie(num_classes):
    # So wide that the sums of a product hang on the order of their terms, and rows that fill no whole block.
    num_flipped = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        one, _, logits, weight, anchors, _ = problem(rng, "normal", 1, 64, num_classes, np.float32)
        ids, is_anchor = np.arange(13, dtype=np.int32), np.ones(num_classes, bool)
        arrays = (np.repeat(one, 13, axis=0), ids, np.repeat(logits, 13, axis=0), weight, anchors, is_anchor)
        for block_size in (13, 5):
            found = mix(jax.random.key(0), arrays, alpha_init="half", num_steps=5, block_size=block_size)
            assert len(np.unique(found.norm)) == len(np.unique(found.relative_change)) == 1
            num_flipped += np.isfinite(found.norm[0])
    assert num_flipped > 5, "of 20: where nothing flips there is nothing to compare"


def test_permuting_the_rows_with_their_ids_permutes_the_results():
    rng = np.random.default_rng(1)
    arrays = problem(rng, "normal", 10, 4, 3, np.float32)
    order = rng.permutation(10)
    permuted = (*(array[order] for array in arrays[:3]), *arrays[3:])
    before = mix(jax.random.key(0), arrays, alpha_init="normal", num_steps=5, block_size=4)
    after = mix(jax.random.key(0), permuted, alpha_init="normal", num_steps=5, block_size=4)
    np.testing.assert_array_equal(after.norm, np.asarray(before.norm)[order])
    np.testing.assert_array_equal(after.loss_change, np.asarray(before.loss_change)[order])


def test_other_ids_draw_other_noise():
    arrays = problem(np.random.default_rng(1), "normal", 10, 4, 3, np.float32)
    other_ids = (arrays[0], arrays[1] + np.int32(1), *arrays[2:])
    before = mix(jax.random.key(0), arrays, alpha_init="normal", num_steps=5, block_size=4)
    after = mix(jax.random.key(0), other_ids, alpha_init="normal", num_steps=5, block_size=4)
    assert np.any(np.asarray(before.loss_change) != np.asarray(after.loss_change))


def test_without_any_anchor_nothing_flips():
    *arrays, _ = problem(np.random.default_rng(2), "normal", 10, 4, 3, np.float32)
    mixing = mix(jax.random.key(0), (*arrays, np.zeros(3, bool)), alpha_init="normal", num_steps=5, block_size=4)
    np.testing.assert_array_equal(mixing.norm, np.inf)
    assert not np.any(np.isnan(mixing.loss_change))


def test_what_stands_in_a_missing_anchor_does_not_matter():
    embeddings, ids, logits, weight, anchors, _ = problem(np.random.default_rng(4), "normal", 10, 4, 3, np.float32)
    is_anchor = np.array([True, False, True])
    results = []
    for content in (0.0, 1e6):
        anchors = anchors.copy()
        anchors[1] = content
        arrays = (embeddings, ids, logits, weight, anchors, is_anchor)
        results.append(mix(jax.random.key(0), arrays, alpha_init="normal", num_steps=5, block_size=4))
    np.testing.assert_array_equal(results[0].norm, results[1].norm)
    np.testing.assert_array_equal(results[0].loss_change, results[1].loss_change)


def test_saturated_logits_give_no_nan():
    # Logits of 1e4 and more, the softmax 0 or 1 exactly; the anchors lie on the other side, so that samples still flip.
    arrays = problem(np.random.default_rng(6), "normal", 10, 4, 3, np.float32)
    embeddings, sample_ids, _, weight, anchors, _ = arrays
    weight = weight * np.float32(1e4)
    arrays = (embeddings, sample_ids, embeddings @ weight, weight, anchors, np.ones(3, bool))
    mixing = mix(jax.random.key(0), arrays, alpha_init="half", num_steps=5, block_size=4)
    expected = reference_of(jax.random.key(0), arrays, "half", 5)
    assert np.abs(arrays[2]).max() > 1e4
    assert np.isfinite(expected.norm).sum() > 3
    assert np.all(np.isfinite(mixing.loss_change))
    clear = expected.clearance > 3e-6
    assert clear.sum() > 5
    np.testing.assert_allclose(mixing.norm[clear], expected.norm[clear], rtol=1e-5)


@pytest.mark.parametrize("penalty_weight", [0.0, 1e-3, 1.0])
def test_the_step_goes_the_right_way_where_the_softmax_underflows(penalty_weight):
    """At logit gaps of hundreds 1 - p is 0 in float32, and with it the slope; float64 still holds it."""
    arrays = problem(np.random.default_rng(8), "normal", 120, 8, 4, np.float32)
    embeddings, sample_ids, _, weight, anchors, _ = arrays
    weight = weight * np.float32(60)
    arrays = (embeddings, sample_ids, embeddings @ weight, weight, anchors, np.ones(4, bool))
    settings = {"num_steps": 9, "step_size": 0.25, "penalty_weight": penalty_weight}
    mixing = mix(jax.random.key(0), arrays, alpha_init="half", block_size=16, **settings)
    expected = reference_of(jax.random.key(0), arrays, "half", 9, penalty_weight, 0.25)
    ascending = np.sort(arrays[2], axis=1)
    is_saturated = ascending[:, -1] - ascending[:, -2] > 110
    clear = expected.clearance > 1e-3  # logits of hundreds are off by 1e-4 in float32, and so is their softmax
    assert np.sum(clear & is_saturated & np.isfinite(expected.norm)) > 20
    np.testing.assert_allclose(mixing.norm[clear], expected.norm[clear], rtol=1e-4)


def test_five_steps_down_from_a_half_end_at_nothing_and_five_up_at_all():
    arrays = problem(np.random.default_rng(9), "normal", 10, 4, 3, np.float32)
    arrays = (*arrays[:-1], np.ones(3, bool))
    down = mix(jax.random.key(0), arrays, alpha_init="half", num_steps=5, block_size=4, penalty_weight=1e6)
    np.testing.assert_array_equal(down.relative_change, 0)
    # Up, the coordinates that raise the loss, to the anchor itself.
    embeddings, sample_ids, _, weight, anchors, is_anchor = arrays
    positive = (np.abs(embeddings), sample_ids, np.abs(embeddings) @ weight, weight, -np.abs(anchors), is_anchor)
    up = mix(jax.random.key(0), positive, alpha_init="half", num_steps=5, block_size=4, penalty_weight=0.0)
    more = mix(jax.random.key(0), positive, alpha_init="half", num_steps=9, block_size=4, penalty_weight=0.0)
    expected = reference_of(jax.random.key(0), positive, "half", 5, 0.0)
    np.testing.assert_allclose(up.loss_change, expected.loss_change, rtol=1e-5)
    assert np.any(up.relative_change == more.relative_change), "some α are at their bounds after five steps, exactly"


def test_a_coordinate_that_differs_from_the_anchor_by_rounding_does_not_move():
    """Else its α would go to 0 or 1 by the sign of the rounding, and the mean of α with it."""
    arrays = problem(np.random.default_rng(10), "normal", 10, 4, 3, np.float32)
    embeddings, sample_ids, logits, weight, anchors, _ = arrays
    embeddings[:, 1:3] = 0.7
    anchors = anchors.copy()
    anchors[:, 1:3] = 0.7
    beside = anchors.copy()
    beside[:, 1:3] = np.nextafter(beside[:, 1:3], np.float32([[1, 0]]))
    assert np.all(beside[:, 1:3] != anchors[:, 1:3])
    results = [
        mix(jax.random.key(0), (embeddings, sample_ids, logits, weight, each, np.ones(3, bool)), **settings)
        for each in (anchors, beside)
        for settings in [{"alpha_init": "half", "num_steps": 5, "block_size": 4, "penalty_weight": 0.0}]
    ]
    assert np.isfinite(results[0].norm).any()
    np.testing.assert_array_equal(results[1].norm, results[0].norm)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_embeddings_of_width_one_match_the_loops(dtype):
    # With one coordinate t * a is the same for every iterate: the score is the exact crossing, easy to see by hand.
    with jax.enable_x64(dtype is np.float64):
        key = jax.random.key(0)
        arrays = problem(np.random.default_rng(0), "normal", 40, 1, 2, dtype)
        arrays = (*arrays[:-1], np.ones(2, bool))
        mixing = mix(key, arrays, alpha_init="half", num_steps=5, block_size=16)
        expected = reference_of(key, arrays, "half", 5)
    assert 5 < np.isfinite(expected.norm).sum() < 40
    clear = expected.clearance > 3e-6
    assert clear.sum() > 35
    np.testing.assert_allclose(mixing.norm[clear], expected.norm[clear], rtol=1e-4)


@pytest.fixture(scope="session")
def digits():
    """A trained classifier's hidden layer and head on digits, one class against the rest (10 % of the images)."""
    images, labels = load_digits(return_X_y=True)
    images, labels = images / 16.0, (labels == 3).astype(np.int32)
    classifier = MLPClassifier((64,), max_iter=60, random_state=0)
    labeled = np.random.default_rng(0).permutation(len(images))[:600]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # sixty epochs separate the classes well enough
        classifier.fit(images[labeled], labels[labeled])
    embeddings = np.maximum(images @ classifier.coefs_[0] + classifier.intercepts_[0], 0.0)
    # scikit-learn's one logit is the difference of two columns.
    weight = np.concatenate([np.zeros_like(classifier.coefs_[1]), classifier.coefs_[1]], axis=1)
    logits = embeddings @ weight + np.array([[0.0, classifier.intercepts_[1][0]]])
    assert np.mean(np.argmax(logits, axis=1) == labels) > 0.95
    anchors, _ = class_centroids(embeddings[labeled], labels[labeled], 2)
    pool = np.setdiff1d(np.arange(len(images)), labeled)
    return (
        embeddings[pool].astype(np.float32), pool.astype(np.int32), logits[pool].astype(np.float32),
        weight.astype(np.float32), anchors.astype(np.float32), np.array([True, True]),
    )  # fmt: skip


def test_two_seeds_rank_a_trained_classifiers_pool_alike(digits):
    first, second = (
        mix(jax.random.key(seed), digits, alpha_init="normal", num_steps=5, block_size=256).norm for seed in (0, 1)
    )
    both = np.isfinite(first) & np.isfinite(second)
    assert both.sum() > 400
    assert np.any(first[both] != second[both])
    assert spearmanr(first[both], second[both]).statistic > 0.9
