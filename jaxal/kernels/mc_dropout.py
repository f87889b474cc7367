"""Monte-Carlo dropout on a linear head, from cached embeddings (Gal and Ghahramani, ICML 2016)."""

import jax
import jax.numpy as jnp

from jaxal.typing import Array, Float, PRNGKey

__all__ = ["mc_logits"]


def mc_logits(
    key: PRNGKey,
    embeddings: Float[Array, "N D"],
    weight: Float[Array, "D C"],
    bias: Float[Array, " C"],
    *,
    num_draws: int,
    rate: float,
) -> Float[Array, "M N C"]:
    """Draw M heads by dropout on the embedding and apply each of them to every sample.

    l_m = (z ∘ k_m / (1 - rate)) W + b, with k_m ∈ {0, 1}^D Bernoulli(1 - rate). The mask is that of the draw, not of
    the sample: draw m is one and the same model for the whole pool, as joint mutual information (BatchBALD) needs it,
    and neither the order nor the padding of the pool can change a value. The expectation over masks is zW + b.

    Args:
        key: of the masks; the same key gives the same M models.
        embeddings: z, the input of the last affine layer in evaluation mode.
        weight: W.
        bias: b, never dropped.
        num_draws: M, at least 1.
        rate: probability that an embedding coordinate is dropped, in [0, 1); at 0 all draws are the head itself.

    Cost: one N×D by D×(M·C) product, since (z ∘ k)W = z(k ∘ W): O(MNCD) arithmetic, no M×N×D array.
    """
    width, num_classes = weight.shape
    is_kept = jax.random.bernoulli(key, 1 - rate, (num_draws, width))
    weights = jnp.where(is_kept[:, :, None], weight[None] / (1 - rate), 0)
    flat = jnp.swapaxes(weights, 0, 1).reshape(width, num_draws * num_classes)
    logits = jnp.matmul(embeddings, flat, precision="highest").reshape(-1, num_draws, num_classes)
    return jnp.swapaxes(logits, 0, 1) + bias[None, None]
