"""Networks of the same functions as the large ones, small enough to compile in seconds."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.config.models import EfficientNetConfig, ResNetConfig
from jaxal.models.efficientnet import efficientnet_of
from jaxal.models.efficientnet_table import VARIANTS, Stage, Variant, net_shape
from jaxal.models.model import Model, ModelSpec
from jaxal.models.resnet import ResNetShape, resnet_of

# A block without expansion, one with stride, one with a skip; few taps, which are what takes long to compile.
STAGES = (Stage(1, 5, 1, 1, 32), Stage(2, 3, 2, 2, 32))
TINY_B = Variant(0.25, 1.0, 16, 0.2, stages=STAGES)
TINY_LITE = VARIANTS["lite0"]._replace(width=0.25, stages=STAGES)
TINY_RESNET = ResNetShape((1, 1), (4, 6))
SPEC = ModelSpec((9, 10, 2), 3, 0, (0.4, 0.6), (0.2, 0.3))
BATCH = 6
QUIET = {"dropout": 0.0, "drop_path": 0.0}


@functools.cache
def tiny(name: str, **settings: object) -> Model:
    """Make "b", "tf", "lite" or "resnet"."""
    if name == "resnet":
        return resnet_of(ResNetConfig(depth=18, **settings), TINY_RESNET, SPEC)
    convention = "tf_efficientnet" if name == "tf" else "efficientnet"
    config = EfficientNetConfig(variant="lite0" if name == "lite" else "b0", convention=convention, **settings)
    return efficientnet_of(config, TINY_LITE if name == "lite" else TINY_B, SPEC)


def block_shapes(name: str) -> list[tuple[int, int]]:
    """Kernel size and stride of every block."""
    blocks = net_shape(TINY_LITE if name == "lite" else TINY_B).blocks
    return [(block.kernel_size, block.stride) for block in blocks]


def lively(model: Model):
    """Initial variables with statistics, biases and scales that are not the neutral ones."""
    leaves, structure = jax.tree.flatten(model.init(jax.random.key(0)))
    rng = np.random.default_rng(0)
    moved = [leaf + jnp.asarray(rng.uniform(0.05, 0.3, leaf.shape), jnp.float32) for leaf in leaves]
    keep_kernels = [leaf if leaf.ndim > 1 else other for leaf, other in zip(leaves, moved, strict=True)]
    return jax.tree.unflatten(structure, keep_kernels)


def images(batch: int = BATCH):
    """Random pixels."""
    return jnp.asarray(np.random.default_rng(3).integers(0, 256, (batch, *SPEC.image_shape), dtype=np.uint8))
