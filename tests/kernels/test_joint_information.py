import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import mutual_information as reference
from reference.uncertainty import softmax

from jaxal.kernels.joint_information import add_pick, batch_bald, configurations, log_gains, no_outcomes
from jaxal.kernels.mutual_information import draw_deviations

from .content import examples, seeds
from .test_mutual_information import draws

# (M, N, C, Q, K, rows per block): K holds all outcomes of Q - 1 picks, in the third to the last entry.
EXACT = [(3, 1, 2, 2, 8, 1), (4, 6, 7, 2, 7, 4), (5, 12, 3, 4, 30, 5), (4, 7, 2, 6, 700, 3)]
batch_bald_jit = jax.jit(batch_bald, static_argnames=("query_size", "num_configurations", "block_size"))


def run(mc_logits, is_selectable, num_wanted, query_size, num_configurations, block_size, seed=0):
    result = batch_bald_jit(
        jax.random.key(seed),
        jnp.asarray(mc_logits),
        jnp.asarray(is_selectable),
        jnp.int32(num_wanted),
        query_size=query_size,
        num_configurations=num_configurations,
        block_size=block_size,
    )
    indices, is_valid, gain = (np.asarray(array) for array in result)
    num_picks = min(num_wanted, query_size, int(is_selectable.sum()))
    np.testing.assert_array_equal(is_valid, np.arange(query_size) < num_picks)
    np.testing.assert_array_equal(indices[num_picks:], len(is_selectable))
    np.testing.assert_array_equal(np.isnan(gain), ~is_valid)
    assert np.all(gain[:num_picks] >= 0)
    return indices[:num_picks], gain[:num_picks]


@pytest.mark.parametrize(("num_draws", "num_rows", "num_classes", "query_size", "num_configurations", "block"), EXACT)
@examples(5)
@given(
    seed=seeds,
    kind=st.sampled_from(["normal", "duplicates", "all_equal", "integer"]),
    disagreement=st.sampled_from([0.1, 1.0, 5.0]),
)
def test_each_pick_gains_most_by_enumeration(
    num_draws, num_rows, num_classes, query_size, num_configurations, block, seed, kind, disagreement
):
    mc_logits = draws(seed, kind, (num_draws, num_rows, num_classes), disagreement)
    is_selectable = np.random.default_rng(seed).random(num_rows) < 0.9
    picks, gain = run(mc_logits, is_selectable, query_size, query_size, num_configurations, block)
    greedy = reference.batch_bald(mc_logits, is_selectable, picks)
    # What the picks already tell is subtracted from what the row tells alone: float32 of the latter
    # is the limit; and the reference subtracts two float64 entropies.
    rounding = 1e-6 * reference.bald(mc_logits).max() + 1e-12
    assert np.all(greedy.gain >= greedy.best * (1 - 1e-5) - rounding)
    np.testing.assert_allclose(gain, greedy.gain, rtol=1e-5, atol=rounding)


@pytest.mark.parametrize("scale", [30.0, 1e4])
def test_saturated_draws_are_exact_too(scale):
    mc_logits = draws(8, "normal", (5, 12, 3), scale, scale)
    everything = np.ones(12, bool)
    picks, gain = run(mc_logits, everything, 4, 4, 30, 5)
    greedy = reference.batch_bald(mc_logits, everything, picks)
    np.testing.assert_allclose(greedy.gain, greedy.best, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gain, greedy.gain, rtol=1e-5, atol=1e-6)


def test_a_copy_of_a_pick_is_worth_nothing_where_the_draws_are_sure():
    """Rows 0 and 1 split the draws alike, row 2 across: BALD ties all three, jointly 0 and 2 tell the draw."""
    signs = np.array([[1, 1, 1], [1, 1, -1], [-1, -1, 1], [-1, -1, -1]], np.float32)
    mc_logits = 1e4 * np.stack([signs, -signs], axis=2)
    picks, gain = run(mc_logits, np.ones(3, bool), 3, 3, 64, 2)
    np.testing.assert_array_equal(picks, [0, 2, 1])
    np.testing.assert_allclose(gain, [np.log(2), np.log(2), 0], rtol=1e-5, atol=1e-6)


def test_where_nothing_is_to_be_learned_the_lowest_selectable_rows_go():
    mc_logits = np.broadcast_to(draws(1, "normal", (1, 12, 3), 1.0), (5, 12, 3))
    is_selectable = np.arange(12) % 3 != 0
    picks, gain = run(mc_logits, is_selectable, 4, 4, 30, 5)
    np.testing.assert_array_equal(picks, [1, 2, 4, 5])
    np.testing.assert_array_equal(gain, 0)


def test_rows_out_of_the_choice_may_hold_anything():
    mc_logits = draws(2, "normal", (5, 12, 3), 1.0)
    is_selectable = np.arange(12) % 4 != 0
    picks, gain = run(mc_logits, is_selectable, 4, 4, 30, 5)
    mc_logits[:, ~is_selectable] = np.nan
    garbage_picks, garbage_gain = run(mc_logits, is_selectable, 4, 4, 30, 5)
    np.testing.assert_array_equal(garbage_picks, picks)
    np.testing.assert_array_equal(garbage_gain, gain)


@pytest.mark.parametrize("num_configurations", [16, 4096])
def test_equal_rows_are_taken_in_their_order(num_configurations):
    # So many that products go by several ways, and draws enough that their sums hang on the order of the terms.
    for seed in (0, 1, 10):
        for num_rows, block_size in ((3, 3), (107, 107), (107, 30), (1500, 1500)):
            mc_logits = np.repeat(draws(seed, "normal", (10, 1, 3), 2.0), num_rows, axis=1)
            picks, _ = run(mc_logits, np.ones(num_rows, bool), 3, 3, num_configurations, block_size)
            np.testing.assert_array_equal(picks, np.arange(3))


# Three picks of the pool below, 4 draws, 3 classes: 27 joint outcomes.
POOL = draws(4, "normal", (4, 9, 3), 1.5)
PICKED = (2, 5, 7)


def outcomes_of(key, mc_logits, rows, num_configurations):
    log_p = jax.nn.log_softmax(mc_logits, axis=2)
    outcomes = no_outcomes(num_configurations, mc_logits.shape[0], mc_logits.dtype)
    for num_picked, row in enumerate(rows):
        outcomes = add_pick(key, outcomes, log_p[:, row], jnp.int32(num_picked))
    return configurations(outcomes, jnp.int32(len(rows)), num_classes=mc_logits.shape[2])


@functools.partial(jax.jit, static_argnames="num_configurations")
def outcomes_and_gains(key, mc_logits, num_configurations):
    """(π, w, gain of every row) after the three picks."""
    posterior, weight = outcomes_of(key, mc_logits, PICKED, num_configurations)
    deviation, log_mean = draw_deviations(mc_logits)
    return posterior, weight, jnp.exp(log_gains(jnp.transpose(deviation, (1, 2, 0)), log_mean, posterior, weight))


def exact_gains():
    before = reference.joint_information(POOL, PICKED)
    return np.array([reference.joint_information(POOL, [*PICKED, row]) - before for row in range(9)])


def test_listed_configurations_are_all_outcomes_with_their_probabilities():
    posterior, weight, gain = outcomes_and_gains(jax.random.key(0), jnp.asarray(POOL), 40)
    p = np.array([[softmax(POOL[draw, row]) for row in PICKED] for draw in range(4)])
    expected = []
    for outcome in itertools.product(range(3), repeat=3):
        expected.append(np.prod([p[:, position, label] for position, label in enumerate(outcome)], axis=0) / 4)
    joint = np.asarray(weight[:27])[:, None] * np.asarray(posterior[:27])
    order = np.lexsort(np.round(joint, 6).T)
    expected_order = np.lexsort(np.round(expected, 6).T)
    np.testing.assert_allclose(joint[order], np.array(expected)[expected_order], rtol=1e-5)
    np.testing.assert_array_equal(weight[27:], 0)
    np.testing.assert_allclose(gain, exact_gains(), rtol=1e-5)


@pytest.mark.parametrize("num_configurations", [2, 20])
def test_drawn_configurations_estimate_the_gains_without_bias(num_configurations):
    """20 configurations are too few for 27 outcomes, and 2 not even reach every draw of the model."""
    keys = jax.random.split(jax.random.key(1), 1500)
    estimate = jax.vmap(lambda key: outcomes_and_gains(key, jnp.asarray(POOL), num_configurations)[2])(keys)
    estimate, exact = np.asarray(estimate, np.float64), exact_gains()
    error = estimate.std(axis=0) / np.sqrt(len(keys))
    assert np.all(np.abs(estimate.mean(axis=0) - exact) < 4.5 * error)
    assert np.all(error < 0.02 * exact.max()), "sharp enough to see a bias"
    assert np.all(estimate >= 0)


@pytest.mark.slow
def test_many_drawn_configurations_come_close():
    """3^9 = 19,683 outcomes of nine picks, listed and by 2,000 of them: a relative error of a few percent."""
    mc_logits = jnp.asarray(draws(11, "normal", (6, 10, 3), 0.7))
    deviation, log_mean = draw_deviations(mc_logits)

    @functools.partial(jax.jit, static_argnums=1)
    def gains(key, num_configurations):
        outcomes = outcomes_of(key, mc_logits, range(9), num_configurations)
        return jnp.exp(log_gains(jnp.transpose(deviation, (1, 2, 0)), log_mean, *outcomes))

    exact = np.asarray(gains(jax.random.key(0), 3**9))
    drawn = np.array([gains(key, 2000) for key in jax.random.split(jax.random.key(1), 30)])
    errors = drawn / exact[None] - 1
    assert 1e-4 < np.sqrt(np.mean(errors**2)) < 0.03
    assert np.abs(errors.mean(axis=0)).max() < 0.02


def test_picks_by_drawn_configurations_are_good_ones():
    mc_logits = draws(11, "normal", (6, 8, 4), 1.5)
    picks, gain = run(mc_logits, np.ones(8, bool), 5, 5, 60, 8)
    greedy = reference.batch_bald(mc_logits, np.ones(8, bool), picks)
    np.testing.assert_allclose(gain[:3], greedy.gain[:3], rtol=1e-5)  # 4^2 outcomes are listed
    np.testing.assert_allclose(gain[3:], greedy.gain[3:], rtol=0.3)  # of 4^3 and 4^4, 60 are drawn
    assert not np.allclose(gain[3:], greedy.gain[3:], rtol=1e-4)
    assert np.all(greedy.gain >= 0.8 * greedy.best)
