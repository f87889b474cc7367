import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import gradient_embeddings as reference

from jaxal.kernels.gradient_embeddings import (
    BLIND,
    DISTANT,
    LARGEST,
    gradient_geometry,
    sample_gradients,
    scaled_residual,
)
from jaxal.kernels.nearest_center import take

from .content import examples, kinds, rows, seeds

# (N, D, C, Q): one row; more classes and picks than rows; an ordinary pool.
SHAPES = [(1, 3, 2, 2), (5, 2, 9, 7), (40, 3, 4, 12)]


@functools.partial(jax.jit, static_argnames="query_size")
def pick(key, logits, embeddings, is_selectable, num_wanted, query_size):
    residual, scale = scaled_residual(logits, is_selectable)
    ids = jnp.arange(logits.shape[0], dtype=jnp.int32)
    picks = sample_gradients(key, residual, embeddings, ids, is_selectable, num_wanted, query_size)
    return *picks, scale


@jax.jit
def geometry(logits, embeddings, is_member):
    residual, scale = scaled_residual(logits, is_member)
    forms, points = gradient_geometry(residual, embeddings)
    against = lambda row: forms.by_differences(points, take(points, row[None]))  # noqa: E731
    return points[-1], jax.vmap(against)(jnp.arange(len(logits))), forms.by_products(points, points), scale


def measure(logits, embeddings, is_member=None):
    """Squared norms [N] and squared distances [N, N] in the true unit, in float64."""
    is_member = np.ones(len(logits), bool) if is_member is None else is_member
    norms, distances, (products, error), scale = geometry(
        jnp.asarray(logits), jnp.asarray(embeddings), jnp.asarray(is_member)
    )
    # Whoever leaves a pair out by its product form relies on this.
    gap = np.abs(np.asarray(products, np.float64) - np.asarray(distances, np.float64))
    assert np.all((gap <= np.asarray(error) + 1e-30)[np.ix_(is_member, is_member)])
    unit = float(scale) ** 2
    return np.asarray(norms, np.float64) * unit, np.asarray(distances, np.float64) * unit


@pytest.mark.parametrize(("num_rows", "dim", "num_classes", "query_size"), SHAPES)
@examples(30)
@given(seed=seeds, kind=kinds, logit_kind=kinds, spread=st.sampled_from([0.1, 1.0, 20.0]))
def test_norms_and_distances_are_those_of_the_gradients(
    num_rows, dim, num_classes, query_size, seed, kind, logit_kind, spread
):
    rng = np.random.default_rng(seed)
    embeddings, logits = (
        rows(rng, kind, num_rows, dim),
        np.float32(spread) * rows(rng, logit_kind, num_rows, num_classes),
    )
    is_member = rng.random(num_rows) < 0.8
    is_member[0] = True
    garbage = np.where(is_member[:, None], logits, np.float32(np.nan)), np.where(is_member[:, None], embeddings, np.inf)
    norms, distances = measure(*garbage, is_member)
    norms, distances = norms[is_member], distances[np.ix_(is_member, is_member)]
    embeddings, logits, num_rows = embeddings[is_member], logits[is_member], int(is_member.sum())
    vectors = reference.gradients(logits, embeddings)
    np.testing.assert_allclose(norms, np.sum(vectors**2, axis=1), rtol=1e-5, atol=1e-30)
    exact = np.array([reference.squared_distances(vectors, vectors[[j]]) for j in range(num_rows)]).reshape(
        num_rows, num_rows
    )
    larger = np.maximum(norms[:, None], norms[None])
    assert np.all(np.abs(distances - exact) <= 1e-5 * exact + 1e-6 * larger + 1e-30)
    is_duplicate = np.all(vectors[:, None] == vectors[None], axis=2)
    both = np.concatenate([embeddings, logits], axis=1)[:, None] == np.concatenate([embeddings, logits], axis=1)[None]
    assert np.all(distances[is_duplicate & np.all(both, axis=2)] == 0)


def test_near_gradients_keep_their_digits():
    # By the textbook form these distances, a 10^-10th of the squared norms, would be rounding alone.
    _, dim, num_classes, _ = SHAPES[2]
    rng = np.random.default_rng(0)
    logits = np.repeat(rng.normal(size=(1, num_classes)), 40, axis=0).astype(np.float32)
    embeddings = (100 + 1e-3 * rng.normal(size=(40, dim))).astype(np.float32)
    norms, distances = measure(logits, embeddings)
    vectors = reference.gradients(logits, embeddings)
    exact = np.array([reference.squared_distances(vectors, vectors[[j]]) for j in range(40)])
    assert np.max(exact) < 1e-8 * np.min(norms)
    np.testing.assert_allclose(distances, exact, rtol=1e-4)


def test_nearly_certain_predictions_keep_their_gradients():
    # |q|^2 is about e^-160, below float32; |q| is not.
    _, dim, num_classes, _ = SHAPES[2]
    rng = np.random.default_rng(1)
    logits, embeddings = rng.normal(size=(40, num_classes)).astype(np.float32), rows(rng, "normal", 40, dim)
    logits[:, 2] = 80
    norms, distances = measure(logits, embeddings)
    vectors = reference.gradients(logits, embeddings)
    assert np.max(np.sum(vectors**2, axis=1)) < 1e-60
    np.testing.assert_allclose(norms, np.sum(vectors**2, axis=1), rtol=1e-4)
    exact = np.array([reference.squared_distances(vectors, vectors[[j]]) for j in range(40)])
    np.testing.assert_allclose(distances, exact, rtol=1e-3, atol=1e-6 * norms.max())


def test_a_gradient_is_zero_by_either_factor():
    num_rows, dim, num_classes, _ = SHAPES[2]
    rng = np.random.default_rng(2)
    logits, embeddings = rows(rng, "normal", num_rows, num_classes), rows(rng, "normal", num_rows, dim)
    embeddings[::2] = 0
    logits[1::2] = 1e4 * np.eye(num_classes)[rng.integers(0, num_classes, num_rows // 2)]
    norms, distances = measure(logits, embeddings)
    assert np.all(norms == 0)
    assert np.all(distances == 0)


def check(seed, logits, embeddings, is_selectable, num_wanted, query_size):
    """Every property of picks that does not depend on the noise; returns (picks, distance, how)."""
    arguments = (jnp.asarray(logits), jnp.asarray(embeddings), jnp.asarray(is_selectable), jnp.int32(num_wanted))
    indices, distance, how, scale = jax.device_get(pick(jax.random.key(seed), *arguments, query_size=query_size))
    num_picks = min(num_wanted, query_size, int(is_selectable.sum()))
    assert indices.shape == distance.shape == how.shape == (query_size,)
    picks, distance, how = indices[:num_picks], distance * scale, how.copy()
    np.testing.assert_array_equal(indices[num_picks:], len(logits))
    assert np.all(np.isnan(distance[num_picks:]))
    np.testing.assert_array_equal(how[num_picks:], 0)
    assert len(set(picks.tolist())) == num_picks
    assert np.all(is_selectable[picks])
    return picks, distance[:num_picks], how[:num_picks]


@pytest.mark.parametrize(("num_rows", "dim", "num_classes", "query_size"), SHAPES)
@examples(30)
@given(seed=seeds, kind=kinds, spread=st.sampled_from([0.1, 1.0, 1e4]), data=st.data())
def test_each_pick_is_largest_or_has_a_distance_or_is_blind(
    num_rows, dim, num_classes, query_size, seed, kind, spread, data
):
    rng = np.random.default_rng(seed)
    embeddings, logits = rows(rng, kind, num_rows, dim), np.float32(spread) * rows(rng, kind, num_rows, num_classes)
    is_selectable = rng.random(num_rows) < 0.8
    num_wanted = data.draw(st.integers(0, query_size + 2))
    picks, distance, how = check(seed, logits, embeddings, is_selectable, num_wanted, query_size)
    vectors = reference.gradients(logits, embeddings)
    norms = np.sum(vectors**2, axis=1)
    # What is below float32 in the logits' softmax may count as zero.
    largest = max(norms[is_selectable], default=0.0)
    for position, row in enumerate(picks):
        nearest = norms if position == 0 else reference.squared_distances(vectors, vectors[picks[:position]])
        if how[position] == BLIND:
            free = np.setdiff1d(np.flatnonzero(is_selectable), picks[:position])
            assert np.max(nearest[free]) <= 1e-6 * largest + 1e-60
            assert np.isnan(distance[position])
            assert np.all(how[position:] == BLIND)
            continue
        assert how[position] == (LARGEST if position == 0 else DISTANT)
        if position == 0:
            assert norms[row] >= largest * (1 - 1e-5)
        assert abs(float(distance[position]) ** 2 - nearest[row]) <= 1e-5 * nearest[row] + 1e-6 * largest
        assert distance[position] > 0


def test_duplicates_of_picks_come_last_by_chance():
    num_rows, dim, num_classes, query_size = SHAPES[2]
    rng = np.random.default_rng(4)
    original = rng.integers(0, 5, num_rows)  # five gradients in all, for twelve picks
    embeddings, logits = rows(rng, "normal", 5, dim)[original], rows(rng, "normal", 5, num_classes)[original]
    tails = set()
    for seed in range(10):
        picks, _, how = check(seed, logits, embeddings, np.ones(num_rows, bool), query_size, query_size)
        assert len(set(original[picks[:5]])) == 5
        assert picks[0] == np.argmax(np.sum(reference.gradients(logits, embeddings) ** 2, axis=1))
        np.testing.assert_array_equal(how, [LARGEST] + 4 * [DISTANT] + 7 * [BLIND])
        tails.add(tuple(picks[5:]))
    assert len(tails) == 10, "the fallback is drawn, not fixed"
