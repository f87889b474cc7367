import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import alfa_mixing as reference

from jaxal.kernels.ray_test import candidate_cap, flipping_cap

from .content import examples, kinds, rows, seeds

flipping_cap_jit = jax.jit(flipping_cap, static_argnames="block_size")
candidate_cap_jit = jax.jit(candidate_cap, static_argnames="cap_step")

# One row; more classes than rows; blocks that do not divide the rows.
SHAPES = [(1, 3, 2, 1), (4, 5, 7, 3), (40, 4, 3, 16)]


def problem(rng, kind, num_rows, dim, num_classes, scale=1.0):
    """Rows, a linear head's logits and weight, and anchors of which about a third do not exist."""
    embeddings, anchors = rows(rng, kind, num_rows, dim).astype(np.float64), rows(rng, kind, num_classes, dim)
    weight = scale * rng.normal(size=(dim, num_classes))
    logits = embeddings @ weight + scale * rng.normal(size=(1, num_classes))
    return embeddings, logits, weight, anchors.astype(np.float64), rng.random(num_classes) < 0.7


def caps_of(arrays, block_size, dtype=np.float64):
    arrays = [jnp.asarray(array if array.dtype == bool else array.astype(dtype)) for array in arrays]
    return np.asarray(flipping_cap_jit(*arrays, block_size=block_size))


def cap_for(caps, is_selectable, num_wanted, cap_step):
    arrays = (jnp.asarray(caps), jnp.asarray(is_selectable), jnp.asarray(num_wanted, jnp.int32))
    return float(candidate_cap_jit(*arrays, cap_step=cap_step))


@pytest.mark.parametrize(("num_rows", "dim", "num_classes", "block_size"), SHAPES)
@pytest.mark.parametrize("scale", [0.3, 1.0, 1e4])
@examples(12)
@given(seed=seeds, kind=kinds, cap_step=st.sampled_from([0.2, 0.1, 0.3, 1.0]), num_wanted=st.integers(0, 12))
def test_the_ray_test_finds_the_candidates_of_every_cap_and_anchor(
    num_rows, dim, num_classes, block_size, scale, seed, kind, cap_step, num_wanted
):
    rng = np.random.default_rng(seed)
    arrays = problem(rng, kind, num_rows, dim, num_classes, scale)
    is_selectable = rng.random(num_rows) < 0.8
    with jax.enable_x64(True):
        caps = caps_of(arrays, block_size)
        cap = cap_for(caps, is_selectable, num_wanted, cap_step)
    grid = np.minimum(np.arange(1, 12) * cap_step, 1)
    on_edge = np.abs(caps[:, None] - grid[None]).min(axis=1) < 1e-9
    on_edge |= caps == 0  # two logits tie: flipped or not is the comparison's to say
    for each in np.unique(grid):
        brute = reference.flips_under(each, *arrays)
        np.testing.assert_array_equal((caps <= each)[~on_edge], brute[~on_edge])
    if not on_edge.any():
        brute, brute_cap = reference.candidates(is_selectable, num_wanted, cap_step, *arrays)
        np.testing.assert_array_equal(is_selectable & (caps <= cap), brute)
        assert cap == pytest.approx(brute_cap, rel=1e-12)


@pytest.mark.parametrize("kind", ["normal", "offset", "clustered"])
def test_the_cap_is_where_a_search_finds_it_in_float32_too(kind):
    arrays = problem(np.random.default_rng(3), kind, 40, 4, 3)
    arrays = [array if array.dtype == bool else array.astype(np.float32) for array in arrays]
    expected = reference.flipping_cap(*arrays)
    assert np.isfinite(expected).sum() > 10
    np.testing.assert_allclose(caps_of(arrays, 16, np.float32), expected, rtol=1e-5)


def test_a_saturated_softmax_keeps_its_direction():
    """With gaps of 10⁴ every p but one is 0 in float32 and float64: W(p - onehot ŷ) alone would be 0/0."""
    arrays = problem(np.random.default_rng(5), "normal", 40, 4, 3)
    embeddings, logits, weight, anchors, _ = arrays
    everywhere = np.ones(3, bool)
    factor = 1e4
    saturated = (embeddings, factor * logits, factor * weight, anchors, everywhere)
    single = [array if array.dtype == bool else array.astype(np.float32) for array in saturated]
    expected = reference.flipping_cap(*single)
    assert np.isfinite(expected).sum() > 20
    np.testing.assert_allclose(caps_of(single, 16, np.float32), expected, rtol=1e-5)


def test_an_offset_that_all_classes_share_costs_no_digits():
    embeddings, logits, weight, anchors, _ = problem(np.random.default_rng(4), "normal", 40, 4, 3)
    arrays = [array.astype(np.float32) for array in (embeddings, logits, weight + 300 * embeddings[:1].T, anchors)]
    arrays.append(np.ones(3, bool))
    np.testing.assert_allclose(caps_of(arrays, 16, np.float32), reference.flipping_cap(*arrays), rtol=1e-5)


def test_no_anchor_no_gradient_and_no_way_to_go_flip_nothing():
    embeddings, logits, weight, anchors, _ = problem(np.random.default_rng(2), "normal", 40, 4, 3)
    logits[3] = 0.0
    none, everywhere = np.zeros(3, bool), np.ones(3, bool)
    equal_weight = np.broadcast_to(weight[:, :1], weight.shape)
    for case in (
        (embeddings, logits, weight, anchors, none),
        (embeddings, logits, equal_weight, anchors, everywhere),
        (
            np.broadcast_to(embeddings[:1], embeddings.shape),
            logits[:1] + 0 * logits,
            weight,
            embeddings[[0] * 3],
            everywhere,
        ),
    ):
        np.testing.assert_array_equal(caps_of(case, 16, np.float32), np.inf)
    assert caps_of((embeddings, logits, weight, anchors, everywhere), 16, np.float32)[3] == 0, "a tie flips at once"


@pytest.mark.parametrize(
    ("caps", "num_wanted", "cap_step", "expected"),
    [
        ([0.1, 0.15, 0.5, 0.7], 1, 0.2, 0.2),  # two flip at the first cap: more than one is wanted
        ([0.1, 0.15, 0.5, 0.7], 2, 0.2, 0.6),  # as many as wanted are not enough
        ([0.1, 0.15, 0.5, 0.7], 3, 0.2, 0.8),
        ([0.1, 0.15, 0.5, 0.7], 4, 0.2, 1.0),  # never more than four: the largest cap
        ([0.1, 0.15, 0.5, 1.5], 3, 0.2, 1.0),  # a cap beyond 1 is none
        ([0.1, 0.15, 0.5, 0.95], 3, 0.3, 1.0),  # 0.3, 0.6, 0.9, and 1 as the last one
        ([0.25, 0.25, 0.5, 0.5], 1, 0.25, 0.25),  # on the cap is within it
        ([0.0, 0.0, 0.0, 0.0], 0, 0.2, 0.2),
        ([0.1, 0.15, 0.5, 0.7], 9, 0.2, 1.0),  # more wanted than there are rows
        ([np.inf] * 4, 0, 0.2, 1.0),
    ],
)
def test_the_cap_grows_until_more_than_wanted_flip(caps, num_wanted, cap_step, expected):
    assert cap_for(np.array(caps, np.float32), np.ones(4, bool), num_wanted, cap_step) == pytest.approx(expected)


@pytest.mark.parametrize("cap_step", [0.01, 0.05, 0.07, 0.1, 0.2, 0.3])
def test_a_cap_that_rounds_to_a_step_is_the_first_one_that_lets_it_in(cap_step):
    steps = np.arange(1, round(0.9 / cap_step), dtype=np.float32)
    on_step = steps * np.float32(cap_step)
    caps = np.concatenate([on_step, np.nextafter(on_step, np.float32(0)), np.nextafter(on_step, np.float32(1))])
    everywhere, none = jnp.ones(1, bool), jnp.asarray(0, jnp.int32)
    found = jax.vmap(lambda cap: candidate_cap(cap[None], everywhere, none, cap_step))(jnp.asarray(caps))
    grid = np.append(steps, steps[-1] + 1) * np.float32(cap_step)
    np.testing.assert_array_equal(found, grid[np.searchsorted(grid, caps)])


def test_only_selectable_rows_count_and_nan_is_no_cap():
    caps = np.array([0.1, np.nan, 0.5, 0.7], np.float32)
    assert cap_for(caps, np.array([False, False, True, True]), 0, 0.2) == pytest.approx(0.6)
