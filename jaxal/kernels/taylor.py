"""First-order change of the loss under a shift of the embedding: CB-DAL Eq. 2-3 (Lin et al., MICCAI 2024)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxal.typing import Array, Float, Int32

__all__ = [
    "Residual",
    "cross_entropy",
    "log_error",
    "logit_residual",
    "relative_loss_gradient",
    "relative_residual",
    "taylor_loss_change",
]


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


class Residual(NamedTuple):
    """softmax(l) - onehot ŷ in two factors, so that a saturated softmax loses neither."""

    direction: Array  # [N, C], (softmax(l) - onehot ŷ) / (1 - p_ŷ): the softmax among the other classes, and -1 at ŷ
    inverse_error: Array  # [N], 1 / (1 - p_ŷ), 1 or more; +inf where float32 cannot hold it


def relative_residual(logits: Float[Array, "N C"], predicted: Int32[Array, " N"]) -> Residual:
    """Factor the gradient of ℓ by the logits into 1 - p_ŷ and a direction that is there however small 1 - p_ŷ is."""
    is_predicted = jnp.arange(logits.shape[1], dtype=jnp.int32)[None] == predicted[:, None]
    own = jnp.sum(jnp.where(is_predicted, logits, 0), axis=1)
    others = jnp.where(is_predicted, -jnp.inf, logits)
    largest = jnp.max(others, axis=1)
    others = jnp.exp(others - largest[:, None])
    total = jnp.sum(others, axis=1)
    return Residual(
        direction=jnp.where(is_predicted, -1, others / total[:, None]),
        inverse_error=1 + jnp.exp(own - largest) / total,
    )


def log_error(logits: Float[Array, "N C"], predicted: Int32[Array, " N"]) -> Float[Array, " N"]:
    """Compute log(1 - p_ŷ), which is finite where 1 - p_ŷ rounds to zero."""
    is_predicted = jnp.arange(logits.shape[1], dtype=jnp.int32)[None] == predicted[:, None]
    own = jnp.sum(jnp.where(is_predicted, logits, 0), axis=1, keepdims=True)
    log_odds = jax.nn.logsumexp(jnp.where(is_predicted, -jnp.inf, logits - own), axis=1)
    return -jnp.logaddexp(-log_odds, 0)


def relative_loss_gradient(
    logits: Float[Array, "N C"], predicted: Int32[Array, " N"], weight: Float[Array, "D C"]
) -> Float[Array, "N D"]:
    """Compute ∇ℓ(z) / (1 - p_ŷ) for the linear head l = zW + b, where ∇ℓ(z) = W(softmax(l) - onehot ŷ).

    Args:
        logits: l, those of the head at z.
        predicted: the pseudo-label ŷ.
        weight: W.

    Cost: O(NCD).
    """
    # Only differences between classes count, here to class 0; an offset that all of them share would cost digits.
    offsets = weight[:, 1:] - weight[:, :1]
    direction = relative_residual(logits, predicted).direction
    return jnp.matmul(direction[:, 1:], offsets.T, precision="highest")


def taylor_loss_change(shift: Float[Array, "N D"], gradient: Float[Array, "N D"]) -> Float[Array, " N"]:
    """Estimate ℓ(z + shift) - ℓ(z) ≈ shift·∇ℓ(z) (Eq. 2-3 with shift = α∘(μ_c - z)); the error is O(‖shift‖²).

    Of the gradient over 1 - p_ŷ it is the change over 1 - p_ŷ.
    """
    return jnp.sum(shift * gradient, axis=1)
