"""Where the search for a mixing α begins: noise drawn for each sample and anchor, or the same for all."""

import jax
import jax.numpy as jnp

from jaxal.typing import Array, Float, Int32, PRNGKey

__all__ = ["clipped_normal", "initial_alpha"]

# Φ⁻¹((1 + u) / 2) / (2u) as a polynomial in u², lowest power first, for |u| ≤ 0.69: beyond one standard deviation,
# where |u| > 0.683, all is clipped. Fitted at Chebyshev's points; it meets α itself to 3e-9.
QUANTILE = (
    0.62665707102,
    0.164057656538,
    0.0902380085494,
    0.0603320871496,
    0.0547966352761,
    -0.0131465745022,
    0.188587601955,
    -0.248562964666,
    0.237116283087,
)


def clipped_normal(halves: Array, dtype: jnp.dtype) -> Array:
    """Map 16 random bits to a quantile of clip(N(0.5, 0.5), 0, 1).

    Args:
        halves: whole numbers k in [0, 65536), uint32; they stand for the quantiles (k + 1/2) / 65536.
        dtype: of the result.
    """
    # By way of int32: a conversion of uint32 costs several times as much on a CPU.
    u = (halves.astype(jnp.int32).astype(dtype) - 32767.5) * 2**-15
    square = u * u
    ratio = jnp.full_like(u, QUANTILE[-1])
    for coefficient in QUANTILE[-2::-1]:
        ratio = ratio * square + coefficient
    return jnp.clip(0.5 + ratio * u, 0, 1)


def initial_alpha(
    key: PRNGKey, sample_ids: Int32[Array, " N"], anchor: Int32[Array, ""], like: Float[Array, "N D"], alpha_init: str
) -> Float[Array, "N D"]:
    """Draw α₀ = clip(N(0.5, 0.5), 0, 1) for each row and one anchor, or 0.5 throughout.

    The noise of a row hangs on its stable id and on the anchor alone, so neither the order of the pool nor its padding
    nor the block size can change it. The normal is that of 65,536 equally likely quantiles: each call of the generator
    gives two numbers, and with the tails clipped its inverse is a short polynomial, which together takes a third of the
    time of jax.random.normal.

    Args:
        key: the query's key.
        sample_ids: stable ids.
        anchor: the anchor's class.
        like: an array of the wanted shape and dtype.
        alpha_init: "normal" (the paper's Gaussian-like matrix) or "half" (deterministic).
    """
    if alpha_init == "half":
        return jnp.full_like(like, 0.5)
    width = like.shape[1]

    def row(sample_id: Array) -> Array:
        row_key = jax.random.fold_in(jax.random.fold_in(key, sample_id), anchor)
        return jax.random.bits(row_key, (-(-width // 2),), jnp.uint32)

    bits = jax.vmap(row)(sample_ids)
    halves = jnp.concatenate([bits & 0xFFFF, bits >> 16], axis=1)[:, :width]
    return clipped_normal(halves, like.dtype)
