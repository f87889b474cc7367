"""ResNet-18 and -34, as torchvision has them: v1, basic blocks, even padding."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jaxal.config.models import ResNetConfig
from jaxal.models.depthwise import even_padding
from jaxal.models.layers import BatchNorm, Conv, classifier
from jaxal.models.model import Model, ModelSpec
from jaxal.models.nnx_adapter import adapt
from jaxal.typing import Array, PRNGKey

__all__ = ["DEPTHS", "ResNet", "ResNetShape", "resnet", "resnet_of"]

EPSILON, MOMENTUM = 1e-5, 0.1  # PyTorch's
STEM_KERNEL, KERNEL = 7, 3


class ResNetShape(NamedTuple):
    """Blocks and maps of each stage; every stage but the first halves the image."""

    num_blocks: tuple[int, ...]
    maps: tuple[int, ...] = (64, 128, 256, 512)


DEPTHS = {18: ResNetShape((2, 2, 2, 2)), 34: ResNetShape((3, 4, 6, 3))}


class Stem(nnx.Module):
    """7×7 convolution, norm, ReLU and max-pool: a quarter of the image's side."""

    def __init__(self, in_maps: int, out_maps: int, momentum: float, rngs: nnx.Rngs):
        self.conv = Conv(in_maps, out_maps, STEM_KERNEL, rngs=rngs)
        self.norm = BatchNorm(out_maps, momentum=momentum, epsilon=EPSILON)

    def __call__(self, x: Array, *, is_training: bool) -> Array:
        """Map [B, H, W, ch] to [B, H/4, W/4, maps]."""
        x = jax.nn.relu(self.norm(self.conv(x, 2, even_padding(STEM_KERNEL)), is_training=is_training))
        padding: Any = even_padding(KERNEL)  # Flax takes such too, but its default is a word
        return nnx.max_pool(x, (KERNEL, KERNEL), strides=(2, 2), padding=padding)


class BasicBlock(nnx.Module):
    """Two 3×3 convolutions beside the input, which is projected where the shape changes."""

    def __init__(self, in_maps: int, out_maps: int, stride: int, momentum: float, rngs: nnx.Rngs):
        self.stride = stride
        self.conv1 = Conv(in_maps, out_maps, KERNEL, rngs=rngs)
        self.norm1 = BatchNorm(out_maps, momentum=momentum, epsilon=EPSILON)
        self.conv2 = Conv(out_maps, out_maps, KERNEL, rngs=rngs)
        self.norm2 = BatchNorm(out_maps, momentum=momentum, epsilon=EPSILON)
        self.is_projecting = stride != 1 or in_maps != out_maps
        if self.is_projecting:
            self.shortcut = Conv(in_maps, out_maps, 1, rngs=rngs)
            self.shortcut_norm = BatchNorm(out_maps, momentum=momentum, epsilon=EPSILON)

    def __call__(self, x: Array, *, is_training: bool) -> Array:
        """Map [B, H, W, in] to [B, h, w, out]."""
        padding = even_padding(KERNEL)
        y = jax.nn.relu(self.norm1(self.conv1(x, self.stride, padding), is_training=is_training))
        y = self.norm2(self.conv2(y, 1, padding), is_training=is_training)
        if self.is_projecting:
            x = self.shortcut_norm(self.shortcut(x, self.stride), is_training=is_training)
        return jax.nn.relu(x + y)


class ResNet(nnx.Module):
    """Stem, blocks, the mean over pixels, and the last layer."""

    def __init__(self, spec: ModelSpec, shape: ResNetShape, *, momentum: float, compute: str, rngs: nnx.Rngs):
        self.compute = compute
        self.stem = Stem(spec.image_shape[2], shape.maps[0], momentum, rngs)
        blocks, in_maps = [], shape.maps[0]
        for stage, (num_blocks, maps) in enumerate(zip(shape.num_blocks, shape.maps, strict=True)):
            for position in range(num_blocks):
                stride = 2 if stage > 0 and position == 0 else 1
                blocks.append(BasicBlock(in_maps, maps, stride, momentum, rngs))
                in_maps = maps
        self.blocks = nnx.List(blocks)
        self.classifier = classifier(in_maps, spec.num_classes, rngs=rngs)

    def embed(self, images: Array, *, key: PRNGKey | None = None) -> Array:
        """Map normalized images to embeddings [B, D]; in training with a key, of which it draws nothing."""
        is_training = key is not None
        x = self.stem(images.astype(self.compute), is_training=is_training)
        for block in self.blocks:
            x = block(x, is_training=is_training)
        return jnp.mean(x, axis=(1, 2), dtype=jnp.float32)


def resnet_of(config: ResNetConfig, shape: ResNetShape, spec: ModelSpec) -> Model:
    """Make a network of any shape; spec.embedding_width is found from it."""
    spec = spec._replace(embedding_width=shape.maps[-1])
    momentum = MOMENTUM if config.batch_norm_momentum == "own" else config.batch_norm_momentum
    return adapt(spec, lambda rngs: ResNet(spec, shape, momentum=momentum, compute=config.compute, rngs=rngs))


@functools.cache
def resnet(
    config: ResNetConfig,
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> Model:
    """Make a ResNet for images of any size; D = 512.

    At 1000 classes and three channels it has 11,689,512 (18) or 21,797,672 parameters (34).

    References:
        He et al., Deep Residual Learning for Image Recognition, CVPR 2016.
    """
    return resnet_of(config, DEPTHS[config.depth], ModelSpec(image_shape, num_classes, 0, mean, std))
