"""EfficientNet and its Lite form, in the conventions of PyTorch-trained and of Google's weights."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jaxal.config.models import EfficientNetConfig
from jaxal.models.depthwise import Padding, even_padding, same_padding
from jaxal.models.efficientnet_table import VARIANTS, BlockShape, NetShape, Variant, net_shape
from jaxal.models.layers import BatchNorm, Conv, DepthwiseConv, classifier, drop_path, dropout
from jaxal.models.model import Model, ModelSpec
from jaxal.models.nnx_adapter import adapt
from jaxal.typing import Array, PRNGKey

__all__ = ["Convention", "EfficientNet", "convention_of", "efficientnet", "efficientnet_of"]

STEM_KERNEL = 3


class Convention(NamedTuple):
    """What sources of weights do differently."""

    is_same_padded: bool  # TensorFlow's "SAME", else evenly
    epsilon: float
    momentum: float  # share of the batch in the running statistics


CONVENTIONS = {
    "efficientnet": Convention(is_same_padded=False, epsilon=1e-5, momentum=0.1),
    "tf_efficientnet": Convention(is_same_padded=True, epsilon=1e-3, momentum=0.01),
}


class _Rules(NamedTuple):
    """What all blocks of a network share."""

    convention: Convention
    activate: Callable[[Array], Array]

    def padding(self, x: Array, kernel_size: int, stride: int) -> Padding:
        """Return the padding of a convolution of x."""
        if self.convention.is_same_padded:
            return same_padding(x.shape[1:3], kernel_size, stride)
        return even_padding(kernel_size)

    def norm(self, maps: int) -> BatchNorm:
        """Make a batch norm."""
        return BatchNorm(maps, momentum=self.convention.momentum, epsilon=self.convention.epsilon)


class Stem(nnx.Module):
    """The first convolution, its norm and activation."""

    def __init__(self, in_maps: int, out_maps: int, rules: _Rules, rngs: nnx.Rngs):
        self.rules = rules
        self.conv = Conv(in_maps, out_maps, STEM_KERNEL, rngs=rngs)
        self.norm = rules.norm(out_maps)

    def __call__(self, x: Array, *, is_training: bool) -> Array:
        """Halve the image."""
        x = self.conv(x, 2, self.rules.padding(x, STEM_KERNEL, 2))
        return self.rules.activate(self.norm(x, is_training=is_training))


class Block(nnx.Module):
    """Inverted residual: expand, convolve by depth, squeeze and excite, project, add the input where it fits."""

    def __init__(self, shape: BlockShape, drop_rate: float, rules: _Rules, rngs: nnx.Rngs):
        self.shape, self.drop_rate, self.rules = shape, drop_rate, rules
        self.is_expanding = shape.expanded != shape.in_maps
        if self.is_expanding:
            self.expand = Conv(shape.in_maps, shape.expanded, 1, rngs=rngs)
            self.norm_expand = rules.norm(shape.expanded)
        self.depthwise = DepthwiseConv(shape.expanded, shape.kernel_size, rngs=rngs)
        self.norm_depthwise = rules.norm(shape.expanded)
        if shape.squeezed:
            self.reduce = Conv(shape.expanded, shape.squeezed, 1, has_bias=True, rngs=rngs)
            self.excite = Conv(shape.squeezed, shape.expanded, 1, has_bias=True, rngs=rngs)
        self.project = Conv(shape.expanded, shape.out_maps, 1, rngs=rngs)
        self.norm_project = rules.norm(shape.out_maps)

    def __call__(self, x: Array, key: PRNGKey | None) -> Array:
        """Map [B, H, W, in] to [B, h, w, out]."""
        shape, is_training = self.shape, key is not None
        y = x
        if self.is_expanding:
            y = self.rules.activate(self.norm_expand(self.expand(y), is_training=is_training))
        y = self.depthwise(y, shape.stride, self.rules.padding(y, shape.kernel_size, shape.stride))
        y = self.rules.activate(self.norm_depthwise(y, is_training=is_training))
        if shape.squeezed:
            y = self._excited(y)
        y = self.norm_project(self.project(y), is_training=is_training)
        if not shape.has_skip:
            return y
        return x + (y if key is None else drop_path(key, y, self.drop_rate))

    def _excited(self, y: Array) -> Array:
        means = jnp.mean(y, axis=(1, 2), keepdims=True, dtype=jnp.float32).astype(y.dtype)
        return y * jax.nn.sigmoid(self.excite(self.rules.activate(self.reduce(means))))


class EfficientNet(nnx.Module):
    """Stem, blocks, a 1×1 convolution, the mean over pixels, and the last layer."""

    def __init__(
        self,
        spec: ModelSpec,
        net: NetShape,
        rules: _Rules,
        *,
        dropout_rate: float,
        drop_path_rate: float,
        compute: str,
        rngs: nnx.Rngs,
    ):
        self.rules, self.dropout_rate, self.compute = rules, dropout_rate, compute
        self.stem = Stem(spec.image_shape[2], net.stem_maps, rules, rngs)
        num_blocks = len(net.blocks)
        self.blocks = nnx.List(
            Block(shape, drop_path_rate * number / num_blocks, rules, rngs) for number, shape in enumerate(net.blocks)
        )
        self.head_conv = Conv(net.blocks[-1].out_maps, net.head_maps, 1, rngs=rngs)
        self.head_norm = rules.norm(net.head_maps)
        self.classifier = classifier(net.head_maps, spec.num_classes, rngs=rngs)

    def embed(self, images: Array, *, key: PRNGKey | None = None) -> Array:
        """Map normalized images to embeddings [B, D]; in training, with a key, after dropout."""
        is_training = key is not None
        x = self.stem(images.astype(self.compute), is_training=is_training)
        for number, block in enumerate(self.blocks):
            x = block(x, None if key is None else jax.random.fold_in(key, number))
        x = self.rules.activate(self.head_norm(self.head_conv(x), is_training=is_training))
        z = jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
        return z if key is None else dropout(jax.random.fold_in(key, len(self.blocks)), z, self.dropout_rate)


def convention_of(config: EfficientNetConfig, variant: Variant) -> Convention:
    """Return the config's convention, with its own momentum where it sets one."""
    convention = CONVENTIONS["tf_efficientnet" if variant.is_lite else config.convention]
    momentum = config.batch_norm_momentum
    return convention if momentum == "own" else convention._replace(momentum=momentum)


def _relu6(x: Array) -> Array:
    return jnp.clip(x, 0, 6)


def efficientnet_of(config: EfficientNetConfig, variant: Variant, spec: ModelSpec) -> Model:
    """Make a network from a row of the table, its own or another; spec.embedding_width is found from it."""
    net = net_shape(variant)
    spec = spec._replace(embedding_width=net.head_maps)
    rules = _Rules(convention_of(config, variant), _relu6 if variant.is_lite else jax.nn.silu)

    def build(rngs: nnx.Rngs) -> EfficientNet:
        return EfficientNet(
            spec,
            net,
            rules,
            dropout_rate=variant.dropout if config.dropout == "own" else config.dropout,
            drop_path_rate=config.drop_path,
            compute=config.compute,
            rngs=rngs,
        )

    return adapt(spec, build)


@functools.cache
def efficientnet(
    config: EfficientNetConfig,
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> Model:
    """Make an EfficientNet for images of any size; D is 1280 at B0 and Lite, 2304 at B6.

    At 1000 classes and three channels it has the published number of parameters: 5,288,548 (B0) to 66,347,960 (B7),
    4,652,008 (Lite 0).

    References:
        Tan and Le, EfficientNet, ICML 2019; stochastic depth: Huang et al., ECCV 2016.
    """
    return efficientnet_of(config, VARIANTS[config.variant], ModelSpec(image_shape, num_classes, 0, mean, std))
