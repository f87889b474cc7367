"""First-order change of the loss under a shift of the embedding: CB-DAL Eq. 2-3 (Lin et al., MICCAI 2024)."""

import jax
import jax.numpy as jnp

from jaxal.typing import Array, Float, Int32

__all__ = ["cross_entropy", "logit_residual", "loss_gradient", "taylor_loss_change"]


def cross_entropy(logits: Float[Array, "N C"], predicted: Int32[Array, " N"]) -> Float[Array, " N"]:
    """Compute ℓ = -log softmax(logits)[predicted], the loss against the pseudo-label ŷ, in nats."""
    chosen = jnp.take_along_axis(logits, predicted[:, None], axis=1)
    return jax.nn.logsumexp(logits - chosen, axis=1)


def logit_residual(logits: Float[Array, "N C"], predicted: Int32[Array, " N"]) -> Float[Array, "N C"]:
    """Compute softmax(logits) - onehot(ŷ), the gradient of ℓ by the logits.

    The predicted entry is minus the sum of the others rather than p - 1, so that it does not round to zero when
    softmax saturates.
    """
    is_predicted = jnp.arange(logits.shape[1], dtype=jnp.int32)[None] == predicted[:, None]
    others = jnp.where(is_predicted, 0, jax.nn.softmax(logits, axis=1))
    return jnp.where(is_predicted, -jnp.sum(others, axis=1, keepdims=True), others)


def loss_gradient(
    logits: Float[Array, "N C"], predicted: Int32[Array, " N"], weight: Float[Array, "D C"]
) -> Float[Array, "N D"]:
    """Compute ∇ℓ(z) = W(softmax(l) - onehot ŷ) for the linear head l = zW + b.

    Args:
        logits: l, those of the head at z.
        predicted: the pseudo-label ŷ.
        weight: W.

    Cost: O(NCD).
    """
    return jnp.matmul(logit_residual(logits, predicted), weight.T, precision="highest")


def taylor_loss_change(shift: Float[Array, "N D"], gradient: Float[Array, "N D"]) -> Float[Array, " N"]:
    """Estimate ℓ(z + shift) - ℓ(z) ≈ shift·∇ℓ(z) (Eq. 2-3 with shift = α∘(μ_c - z)); the error is O(‖shift‖²)."""
    return jnp.sum(shift * gradient, axis=1)
