"""Where pixels of turned and deformed images come from, and what lies there."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.typing import Array, Float, PRNGKey, Shaped

__all__ = ["displacements", "interpolated", "rotate", "turned_sources"]

# A Gaussian is cut off at so many standard deviations.
REACH = 3


def rotate(images: Shaped[Array, "B H W ch"], degrees: Float[Array, " B"]) -> Float[Array, "B H W ch"]:
    """Turn each image about its center, counterclockwise, by linear interpolation between four pixels.

    What comes from outside of the image is its reflection at the border (… b a | a b c …), so no pixel is made up.

    Args:
        images: uint8, or floating point.
        degrees: by image.

    Returns:
        float32 where images are whole numbers, else their own type.
    """
    _, height, width, _ = images.shape
    rows, columns = turned_sources(height, width, degrees)
    return interpolated(images, rows, columns)


def displacements(key: PRNGKey, height: int, width: int, smoothness: float) -> Float[Array, "2 H W"]:
    """Draw how far each pixel is moved, down and to the right: a smooth random field of variance 1 everywhere.

    Normal noise, drawn beyond the border as well, is smoothed by a Gaussian and scaled back to its variance.

    Args:
        key: of one image.
        height, width: of it.
        smoothness: standard deviation of the Gaussian, in pixels, static.

    Cost: 2·(H + 6·smoothness)·(W + 6·smoothness) normal draws, and two matrix products.

    References:
        Simard, Steinkraus, Platt, ICDAR 2003, Section 2, there of uniform noise and not scaled.
    """
    radius = int(np.ceil(REACH * smoothness))
    noise = jax.random.normal(key, (2, height + 2 * radius, width + 2 * radius))
    down, right = (jnp.asarray(_smoothing(size, smoothness, radius)) for size in (height, width))
    return jnp.einsum("hi,nij,wj->nhw", down, noise, right, precision="highest")


@functools.cache
def _smoothing(size: int, smoothness: float, radius: int) -> np.ndarray:
    """Return the matrix [size, size + 2·radius] of a Gaussian's weights, whose squares sum to 1 in each row."""
    offsets = np.arange(size + 2 * radius)[None] - np.arange(size)[:, None] - radius
    weights = np.where(np.abs(offsets) <= radius, np.exp(-0.5 * (offsets / smoothness) ** 2), 0.0)
    return (weights / np.sqrt(np.sum(weights**2, axis=1, keepdims=True))).astype(np.float32)


def interpolated(
    images: Shaped[Array, "B H W ch"], rows: Float[Array, "B H W"], columns: Float[Array, "B H W"]
) -> Float[Array, "B H W ch"]:
    """Take from each image what lies at fractional places, reflected into it."""
    num_images, height, width, channels = images.shape
    wide = images if jnp.issubdtype(images.dtype, jnp.floating) else images.astype(jnp.float32)
    top, below, row_share = _neighbors(rows, height)
    left, right, column_share = _neighbors(columns, width)
    flat = wide.reshape(-1, channels)
    first = jnp.arange(num_images, dtype=jnp.int32)[:, None, None] * (height * width)

    def at(row: Array, column: Array) -> Array:
        return flat[first + row * width + column]

    def between(one: Array, other: Array, share: Array) -> Array:
        return one + (other - one) * share[..., None].astype(one.dtype)

    upper = between(at(top, left), at(top, right), column_share)
    return between(upper, between(at(below, left), at(below, right), column_share), row_share)


def turned_sources(height: int, width: int, degrees: Float[Array, " B"]) -> tuple[Array, Array]:
    """Return where each pixel of the turned images comes from: rows and columns, float32 [B, H, W]."""
    radians = jnp.deg2rad(degrees)[:, None, None]
    cosine, sine = jnp.cos(radians), jnp.sin(radians)
    y = (jnp.arange(height, dtype=jnp.float32) - (height - 1) / 2)[None, :, None]
    x = (jnp.arange(width, dtype=jnp.float32) - (width - 1) / 2)[None, None, :]
    # Rows grow downwards, so this is clockwise back to where a counterclockwise turn took the pixel from.
    return cosine * y + sine * x + (height - 1) / 2, cosine * x - sine * y + (width - 1) / 2


def _neighbors(position: Float[Array, "B H W"], size: int) -> tuple[Array, Array, Array]:
    """Return the pixels before and after a position, reflected into [0, size), and the share of the latter."""
    around = jnp.mod(position + 0.5, 2 * size)
    inside = jnp.clip(jnp.minimum(around, 2 * size - around) - 0.5, 0, size - 1)
    before = jnp.floor(inside).astype(jnp.int32)
    return before, jnp.minimum(before + 1, size - 1), inside - before
