"""Random flips and rotations of training images, on the device."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxal.config.augmentation import AugmentationConfig
from jaxal.typing import Array, Bool, Float, PRNGKey, Shaped

__all__ = ["augment", "flip", "rotate"]

# What an image's key is folded with; each kind of change draws from its own stream.
LEFT_RIGHT, UP_DOWN, ANGLE = 0, 1, 2


@functools.partial(jax.jit, static_argnames="config")
def augment(config: AugmentationConfig, key: PRNGKey, images: Shaped[Array, "B H W ch"]) -> Shaped[Array, "B H W ch"]:
    """Flip and turn every image by chance; the image at a place of the batch draws by fold_in(key, place).

    Args:
        config: which changes there are. What is off costs nothing and draws nothing.
        key: of this batch.
        images: uint8, or floating point in any range.

    Returns:
        Images of the same shape; of the same type where they are not rotated, else floating point (float32 of uint8,
        not rounded to whole gray levels), in the same range.

    Cost: a flip moves B·H·W·ch numbers; a rotation gathers four times as many, and flips then cost nothing.
    """
    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(images.shape[0]))

    def draw(stream: int, sample: Callable[[PRNGKey], Array]) -> Array:
        return jax.vmap(lambda image_key: sample(jax.random.fold_in(image_key, stream)))(keys)

    flipped = {}
    if config.flips in ("horizontal", "both"):
        flipped[2] = draw(LEFT_RIGHT, jax.random.bernoulli)
    if config.flips in ("vertical", "both"):
        flipped[1] = draw(UP_DOWN, jax.random.bernoulli)
    if config.rotation == 0:
        for axis, is_flipped in flipped.items():
            images = flip(images, is_flipped, axis)
        return images
    angle = functools.partial(jax.random.uniform, minval=-config.rotation, maxval=config.rotation)
    _, height, width, _ = images.shape
    sources = list(_sources(height, width, draw(ANGLE, angle)))
    # Flipped images are not made and then turned: XLA would flip anew for each pixel that it gathers.
    for axis, is_flipped in flipped.items():
        there = images.shape[axis] - 1 - sources[axis - 1]
        sources[axis - 1] = jnp.where(is_flipped[:, None, None], there, sources[axis - 1])
    rows, columns = sources
    return _interpolated(images, rows, columns)


def flip(images: Shaped[Array, "B H W ch"], is_flipped: Bool[Array, " B"], axis: int) -> Shaped[Array, "B H W ch"]:
    """Flip the chosen images over an axis: 1 swaps top and bottom, 2 left and right."""
    return jnp.where(is_flipped[:, None, None, None], jnp.flip(images, axis), images)


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
    rows, columns = _sources(height, width, degrees)
    return _interpolated(images, rows, columns)


def _interpolated(
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


def _sources(height: int, width: int, degrees: Float[Array, " B"]) -> tuple[Array, Array]:
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
