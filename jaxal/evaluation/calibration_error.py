"""How far a model's confidence is from how often it is right."""

import jax
import jax.numpy as jnp

from jaxal.typing import Array, Bool, Float

__all__ = ["NUM_BINS", "expected_calibration_error"]

NUM_BINS = 15
# A probability on a bin's edge, such as 1/5 of five equal logits, is there up to rounding.
ROUNDING = 1e-5


def expected_calibration_error(
    confidence: Float[Array, " N"], is_hit: Bool[Array, " N"], is_counted: Bool[Array, " N"]
) -> Float[Array, ""]:
    """Averages |accuracy - mean confidence| over 15 equal bins of confidence, weighted by their numbers of rows.

    Bins are (0, 1/15], (1/15, 2/15], …; one without rows weighs nothing.

    Args:
      confidence: The largest of a row's probabilities.
      is_hit: Whether the class that it belongs to is the true one.
      is_counted: False for padding rows.

    Returns:
      The error in [0, 1]; NaN if no row counts.

    References:
      Guo et al., ICML 2017, Eq. 3, with its 15 bins.
    """
    bins = jnp.clip(jnp.ceil(confidence * NUM_BINS - ROUNDING).astype(jnp.int32) - 1, 0, NUM_BINS - 1)
    # Only the difference of the two sums of a bin matters: its number of rows cancels.
    excess = jax.ops.segment_sum(jnp.where(is_counted, is_hit - confidence, 0), bins, NUM_BINS)
    num = jnp.sum(is_counted, dtype=jnp.int32)
    return jnp.where(num > 0, jnp.sum(jnp.abs(excess)) / jnp.maximum(num, 1), jnp.nan)
