"""Random flips, rotations, deformations and blur of images, on the device."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.config.augmentation import AugmentationConfig
from jaxal.data.blur import blur
from jaxal.data.loading import Images
from jaxal.data.warp import displacements, interpolated, turned_sources
from jaxal.typing import Array, Bool, Float, Int32, PRNGKey, Shaped

__all__ = ["augment", "augmented_once", "flip"]

# What an image's key is folded with; each kind of change draws from its own stream.
LEFT_RIGHT, UP_DOWN, ANGLE, WIDTH, DISPLACEMENT = 0, 1, 2, 3, 4
# Images are augmented so many at a time where they are read, so that no number of them compiles anew.
CHUNK = 64


@functools.partial(jax.jit, static_argnames="config")
def augment(
    config: AugmentationConfig,
    key: PRNGKey,
    images: Shaped[Array, "B H W ch"],
    ids: Int32[Array, " B"] | None = None,
) -> Shaped[Array, "B H W ch"]:
    """Flip, turn, deform and blur every image by chance, in this order; an image draws by fold_in(key, its id).

    Args:
        config: which changes there are. What is off costs nothing and draws nothing.
        key: of this batch.
        images: uint8, or floating point in any range.
        ids: of the images; their places in the batch where absent.

    Returns:
        Images of the same shape; of the same type where they are only flipped, else floating point (float32 of uint8,
        not rounded to whole gray levels), in the same range.

    Cost: a flip moves B·H·W·ch numbers; turning and deforming gather four times as many together, and flips then cost
    nothing; see `displacements` and `blur` for theirs.
    """
    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(images.shape[0]) if ids is None else ids)

    def draw(stream: int, sample: Callable[[PRNGKey], Array]) -> Array:
        return jax.vmap(lambda image_key: sample(jax.random.fold_in(image_key, stream)))(keys)

    flipped = {}
    if config.flips in ("horizontal", "both"):
        flipped[2] = draw(LEFT_RIGHT, jax.random.bernoulli)
    if config.flips in ("vertical", "both"):
        flipped[1] = draw(UP_DOWN, jax.random.bernoulli)
    if config.rotation or config.elastic:
        images = _warped(config, images, flipped, draw)
    else:
        for axis, is_flipped in flipped.items():
            images = flip(images, is_flipped, axis)
    if config.blur:
        width = functools.partial(jax.random.uniform, maxval=config.blur)
        images = blur(images, draw(WIDTH, width), largest=config.blur)
    return images


def _warped(
    config: AugmentationConfig, images: Array, flipped: dict[int, Array], draw: Callable[..., Array]
) -> Float[Array, "B H W ch"]:
    """Flip, turn and deform images in one gather."""
    num_images, height, width, _ = images.shape
    angle = functools.partial(jax.random.uniform, minval=-config.rotation, maxval=config.rotation)
    degrees = draw(ANGLE, angle) if config.rotation else jnp.zeros(num_images)
    sources = list(turned_sources(height, width, degrees))
    if config.elastic:
        field = functools.partial(displacements, height=height, width=width, smoothness=config.elastic_smoothness)
        moved = config.elastic * draw(DISPLACEMENT, field)
        sources = [source + moved[:, axis] for axis, source in enumerate(sources)]
    # Flipped images are not made and then turned: XLA would flip anew for each pixel that it gathers.
    for axis, is_flipped in flipped.items():
        there = images.shape[axis] - 1 - sources[axis - 1]
        sources[axis - 1] = jnp.where(is_flipped[:, None, None], there, sources[axis - 1])
    rows, columns = sources
    return interpolated(images, rows, columns)


def flip(images: Shaped[Array, "B H W ch"], is_flipped: Bool[Array, " B"], axis: int) -> Shaped[Array, "B H W ch"]:
    """Flip the chosen images over an axis: 1 swaps top and bottom, 2 left and right."""
    return jnp.where(is_flipped[:, None, None, None], jnp.flip(images, axis), images)


def augmented_once(config: AugmentationConfig, key: PRNGKey, images: Images, ids: np.ndarray) -> Images:
    """Let images be read changed by chance, each the same way whenever it is read; with nothing to change, as they are.

    Args:
        config: which changes there are.
        key: of all images.
        images: to read, uint8.
        ids: int32 [n], of the images; with the key they decide what is changed, wherever an image stands.

    Returns:
        Images of the same shape and type, rounded to whole gray levels.
    """
    if config.is_none:
        return images

    def read(rows: np.ndarray) -> np.ndarray:
        whole = images.read(rows)
        changed = np.empty_like(whole)
        for start in range(0, len(rows), CHUNK):
            chosen = np.minimum(np.arange(start, start + CHUNK), len(rows) - 1)
            chunk = _rounded(augment(config, key, whole[chosen], ids[rows[chosen]]))
            changed[start : start + CHUNK] = np.asarray(chunk)[: len(rows) - start]
        return changed

    return images._replace(read=read)


@jax.jit
def _rounded(images: Array) -> Array:
    return jnp.round(images).astype(jnp.uint8)
