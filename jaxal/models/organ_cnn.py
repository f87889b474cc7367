"""The small convolutional network of the OrganSMNIST study, scaled by one width."""

import functools
from typing import Any, cast

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from jaxal.config.models import OrganCNNConfig
from jaxal.errors import ConfigError
from jaxal.models.convolution import conv, conv_before_pool
from jaxal.models.model import Model, ModelSpec
from jaxal.models.nnx_adapter import adapt
from jaxal.typing import Array, PRNGKey

__all__ = ["organ_cnn"]

POOL_WINDOW, POOL_STRIDE = 2, 3
PADDING = ((1, 1), (1, 1))


def pooled(size: int) -> int:
    """Return the side of a map after one max-pool (28 → 9 → 3)."""
    return (size - POOL_WINDOW) // POOL_STRIDE + 1


def _of_gray(x: Array, kernel: Array, strides: Any, padding: Any, **_: Any) -> Array:
    (top, bottom), (left, right) = padding
    return conv(x, kernel, strides[0], ((top, bottom), (left, right)))


class ConvLayer(nnx.Module):
    """3×3 convolution, ReLU, batch norm."""

    def __init__(self, in_maps: int, out_maps: int, rngs: nnx.Rngs):
        convolve = _of_gray if in_maps == 1 else lax.conv_general_dilated
        self.conv = nnx.Conv(in_maps, out_maps, (3, 3), padding=PADDING, conv_general_dilated=convolve, rngs=rngs)
        self.norm = nnx.BatchNorm(out_maps, momentum=0.9, epsilon=1e-5, rngs=rngs)

    def __call__(self, x: Array, *, is_training: bool) -> Array:
        """Map [B, H, W, in] to [B, H, W, out]."""
        return self.norm(nnx.relu(self.conv(x)), use_running_average=not is_training)

    def max_pooled(self, x: Array, *, is_training: bool) -> Array:
        """Map [B, H, W, in] to [B, h, w, out], max-pooled.

        In evaluation on CPU only what the pool looks at is computed, 4 of 9 pixels; batch norm in training wants all.
        """
        if is_training or jax.default_backend() != "cpu":
            y = self(x, is_training=is_training)
            return nnx.max_pool(y, (POOL_WINDOW, POOL_WINDOW), strides=(POOL_STRIDE, POOL_STRIDE))
        kernel, bias = self.conv.kernel[...], cast(nnx.Param, self.conv.bias)[...]
        places = conv_before_pool(x, kernel, PADDING, window=POOL_WINDOW, stride=POOL_STRIDE)
        outputs = (self.norm(nnx.relu(y + bias[None, None, None]), use_running_average=True) for y in places)
        return functools.reduce(jnp.maximum, outputs)


class OrganCNN(nnx.Module):
    """Three blocks of two layers (f, 2f, 4f maps), max-pools between them, dense 8f, 2f, C; z is the 2f-wide layer."""

    def __init__(self, spec: ModelSpec, width: int, rngs: nnx.Rngs):
        height, breadth, channels = spec.image_shape
        blocks = []
        in_maps = channels
        for out_maps in (width, 2 * width, 4 * width):
            blocks.append(nnx.List([ConvLayer(in_maps, out_maps, rngs), ConvLayer(out_maps, out_maps, rngs)]))
            in_maps = out_maps
        self.blocks = nnx.List(blocks)
        flat = pooled(pooled(height)) * pooled(pooled(breadth)) * in_maps
        self.hidden = nnx.Linear(flat, 8 * width, rngs=rngs)
        self.bottleneck = nnx.Linear(8 * width, 2 * width, rngs=rngs)
        # Picks depend on the logits: no reduced precision there, on any device.
        self.classifier = nnx.Linear(2 * width, spec.num_classes, precision="highest", rngs=rngs)

    def embed(self, images: Array, *, key: PRNGKey | None = None) -> Array:
        """Map normalized images to embeddings [B, 2f]; in training with a key, of which it draws nothing."""
        x, is_training, last = images, key is not None, len(self.blocks) - 1
        for number, (first, second) in enumerate(self.blocks):
            x = first(x, is_training=is_training)
            x = (second if number == last else second.max_pooled)(x, is_training=is_training)
        x = nnx.relu(self.hidden(x.reshape(x.shape[0], -1)))
        return nnx.relu(self.bottleneck(x))


@functools.cache
def organ_cnn(
    config: OrganCNNConfig,
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> Model:
    """Make the small CNN for images of any size from 5×5 on; D = 2·width.

    At 28×28×1 and 11 classes it has 37,987, 150,587 and 599,659 parameters (batch-norm scale and shift included) for
    widths 8, 16 and 32, as the study prints.

    Raises:
        ConfigError: the images are too small for two pools.
    """
    if min(pooled(pooled(side)) for side in image_shape[:2]) < 1:
        raise ConfigError(f"model: organ_cnn needs images of at least 5×5, got {image_shape[0]}×{image_shape[1]}")
    spec = ModelSpec(image_shape, num_classes, 2 * config.width, mean, std)
    return adapt(spec, lambda rngs: OrganCNN(spec, config.width, rngs))
