import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxal.kernels.mc_dropout import mc_logits

N, D, C, M = 13, 6, 3, 40
mc_logits_jit = jax.jit(mc_logits, static_argnames=("num_draws", "rate"))


def head(seed=0):
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=shape).astype(np.float32) for shape in ((N, D), (D, C), (C,)))


def draw(embeddings, weight, bias, *, seed=0, num_draws=M, rate=0.25):
    arrays = (jnp.asarray(array) for array in (embeddings, weight, bias))
    return np.asarray(mc_logits_jit(jax.random.key(seed), *arrays, num_draws=num_draws, rate=rate))


@functools.cache
def masks(rate, seed=0, num_draws=M):
    """The masks themselves, read off at unit embeddings with weights of 1: entry [m, d] is k_md / (1 - rate)."""
    ones, zero = np.ones((D, 1), np.float32), np.zeros(1, np.float32)
    return draw(np.eye(D, dtype=np.float32), ones, zero, seed=seed, num_draws=num_draws, rate=rate)[:, :, 0]


@pytest.mark.parametrize("rate", [0.25, 0.5, 0.9])
def test_a_mask_keeps_or_drops_a_coordinate_and_scales_what_it_keeps(rate):
    kept = masks(rate) > 0
    np.testing.assert_allclose(masks(rate), kept / (1 - rate), rtol=1e-6)
    share, error = kept.mean(), np.sqrt(rate * (1 - rate) / kept.size)
    assert abs(share - (1 - rate)) < 4 * error
    assert len(np.unique(kept, axis=0)) > 5


@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_every_draw_is_one_model_for_all_samples(rate):
    embeddings, weight, bias = head()
    logits = draw(embeddings, weight, bias, rate=rate)
    assert logits.shape == (M, N, C)
    for index, mask in enumerate(masks(rate).astype(np.float64)):
        expected = (embeddings * mask[None]) @ weight.astype(np.float64) + bias
        np.testing.assert_allclose(logits[index], expected, rtol=1e-5, atol=1e-5)


def test_without_dropout_every_draw_is_the_head():
    embeddings, weight, bias = head(1)
    logits = draw(embeddings, weight, bias, rate=0.0)
    expected = embeddings.astype(np.float64) @ weight + bias
    np.testing.assert_allclose(logits, np.broadcast_to(expected, logits.shape), rtol=1e-5, atol=1e-6)


def test_the_mean_over_many_draws_is_the_head():
    embeddings, weight, bias = head(2)
    logits = draw(embeddings, weight, bias, num_draws=4000, rate=0.5)
    error = logits.std(axis=0) / np.sqrt(len(logits))
    gap = np.abs(logits.mean(axis=0) - (embeddings @ weight + bias))
    assert error.max() < 0.1
    assert np.all(gap < 4.5 * error)


def test_the_order_of_the_pool_changes_nothing_and_the_key_everything():
    embeddings, weight, bias = head(3)
    order = np.random.default_rng(0).permutation(N)
    logits = draw(embeddings, weight, bias)
    np.testing.assert_allclose(draw(embeddings[order], weight, bias), logits[:, order], rtol=1e-6, atol=1e-6)
    assert not np.allclose(draw(embeddings, weight, bias, seed=1), logits)


def test_garbage_in_one_row_stays_there():
    embeddings, weight, bias = head(4)
    garbage = embeddings.copy()
    garbage[5] = np.nan
    others = np.arange(N) != 5
    logits = draw(garbage, weight, bias)
    np.testing.assert_allclose(logits[:, others], draw(embeddings, weight, bias)[:, others], rtol=1e-6, atol=1e-6)
    assert np.isnan(logits[:, 5]).all()
