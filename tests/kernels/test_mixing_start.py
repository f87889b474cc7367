import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.mixing_start import clipped_normal as reference
from scipy.stats import kstest, norm

from jaxal.kernels.mixing_start import clipped_normal, initial_alpha

initial_alpha_jit = jax.jit(initial_alpha, static_argnames="alpha_init")


def draw(seed, ids, anchor, width, alpha_init="normal"):
    like = jnp.full((len(ids), width), 7, jnp.float32)
    ids = jnp.asarray(np.asarray(ids, np.int32))
    return np.asarray(initial_alpha_jit(jax.random.key(seed), ids, jnp.int32(anchor), like, alpha_init=alpha_init))


@pytest.mark.parametrize(("dtype", "atol"), [(np.float32, 1.5e-7), (np.float64, 3e-9)])
def test_all_quantiles_are_those_of_the_clipped_normal(dtype, atol):
    with jax.enable_x64(True):
        values = np.asarray(clipped_normal(jnp.arange(65536, dtype=jnp.uint32), np.dtype(dtype)))
    assert values.dtype == dtype
    np.testing.assert_allclose(values, reference(np.arange(65536)), rtol=0, atol=atol)
    assert np.all(np.diff(values) >= 0)
    assert np.sum((values > 0) & (values < 1)) > 44_000


def test_the_bits_of_a_row_hang_on_key_id_and_anchor_alone():
    for width in (1, 2, 7):
        alpha = draw(3, [5, 9, 2**31 - 1], 4, width)
        for row, sample_id in enumerate((5, 9, 2**31 - 1)):
            key = jax.random.fold_in(jax.random.fold_in(jax.random.key(3), sample_id), 4)
            bits = np.asarray(jax.random.bits(key, (-(-width // 2),), jnp.uint32))
            halves = np.concatenate([bits % 65536, bits // 65536])[:width]
            np.testing.assert_allclose(alpha[row], reference(halves), rtol=0, atol=1.5e-7)


def test_the_law_is_that_of_the_clipped_normal_and_numbers_do_not_hang_together():
    alpha = draw(0, range(400), 1, 250)
    inside = alpha[(alpha > 0) & (alpha < 1)]
    for bound in (0, 1):
        np.testing.assert_allclose(np.mean(alpha == bound), norm.cdf(-1), atol=4 * np.sqrt(0.16 * 0.84 / alpha.size))
    law = norm(0.5, 0.5)
    assert kstest(inside, lambda a: (law.cdf(a) - law.cdf(0)) / (law.cdf(1) - law.cdf(0))).pvalue > 1e-3
    others = [np.roll(alpha, 1, axis=1), np.roll(alpha, 125, axis=1), np.roll(alpha, 1, axis=0)]
    for other in [*others, draw(0, range(400), 2, 250), draw(1, range(400), 1, 250)]:
        assert abs(np.corrcoef(alpha.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(alpha.size)


def test_half_is_a_half():
    np.testing.assert_array_equal(draw(0, [1, 2], 0, 5, "half"), np.float32(0.5))
