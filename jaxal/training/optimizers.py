"""Optimizers as directions of descent; the step size comes from the schedule, at every step."""

import functools

import jax.numpy as jnp
import optax

from jaxal.config.training import AdamWConfig, OptimizerConfig, SGDConfig
from jaxal.typing import Array, Float

__all__ = ["accumulated_direction", "cosine_learning_rate", "descent_direction"]


@functools.cache
def descent_direction(config: OptimizerConfig) -> optax.GradientTransformation:
    """Make the optimizer without its learning rate, which depends on how many steps a round's labels make.

    An optax schedule would fix that number when the step is compiled; kept apart, one compilation serves all rounds.
    """
    if isinstance(config, SGDConfig):
        # Decay goes into the momentum, and the step size does not: as PyTorch has it.
        return optax.chain(optax.add_decayed_weights(config.weight_decay), optax.trace(decay=config.momentum))
    adam = optax.scale_by_adam(b1=config.beta1, b2=config.beta2)
    if isinstance(config, AdamWConfig):
        return optax.chain(adam, optax.add_decayed_weights(config.weight_decay))
    return adam


@functools.cache
def accumulated_direction(config: OptimizerConfig, num_parts: int) -> optax.GradientTransformation:
    """Make the optimizer that averages so many gradients before each step; its direction is zero in between."""
    direction = descent_direction(config)
    return direction if num_parts == 1 else optax.MultiSteps(direction, num_parts).gradient_transformation()


def cosine_learning_rate(progress: Float[Array, ""], start: float, end: float) -> Float[Array, ""]:
    """Anneal from start (progress 0) to end (progress 1) along half a cosine."""
    return end + (start - end) * 0.5 * (1 + jnp.cos(jnp.pi * progress))
