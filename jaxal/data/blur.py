"""Gaussian blur, each image by its own width."""

import jax.numpy as jnp
import numpy as np

from jaxal.typing import Array, Float, Shaped

__all__ = ["blur"]

# A Gaussian is cut off at so many standard deviations.
REACH = 3
# Below it a Gaussian has no weight but at its center: the image stays what it is, to the bit.
NARROW = 1e-2


def blur(images: Shaped[Array, "B H W ch"], widths: Float[Array, " B"], *, largest: float) -> Float[Array, "B H W ch"]:
    """Blur each image by a Gaussian; what lies outside of the image is its reflection (… b a | a b c …).

    By sums of shifted images: XLA's convolutions are slow on CPU where each image has its own kernel.

    Args:
        images: uint8, or floating point.
        widths: standard deviation by image, in pixels, 0 … largest; 0 leaves an image as it is.
        largest: static; Gaussians are cut off at three times it.

    Returns:
        float32 where images are whole numbers, else their own type.

    Cost: 2·(6·largest + 1) multiplications a number.
    """
    wide = images if jnp.issubdtype(images.dtype, jnp.floating) else images.astype(jnp.float32)
    radius = int(np.ceil(REACH * largest))
    offsets = jnp.arange(-radius, radius + 1, dtype=jnp.float32)
    weights = jnp.exp(-0.5 * jnp.square(offsets[None] / jnp.maximum(widths, NARROW)[:, None]))
    weights = (weights / jnp.sum(weights, axis=1, keepdims=True)).astype(wide.dtype)
    for axis in (1, 2):
        size = wide.shape[axis]
        padding = [(radius, radius) if each == axis else (0, 0) for each in range(4)]
        padded = jnp.pad(wide, padding, mode="symmetric")
        shifted = (
            (padded[:, place : place + size] if axis == 1 else padded[:, :, place : place + size])
            for place in range(2 * radius + 1)
        )
        wide = sum(
            (each * weights[:, place, None, None, None] for place, each in enumerate(shifted)), jnp.zeros_like(wide)
        )
    return wide
