"""Layers of the large networks: convolutions, batch norm, noise by key; parameters and statistics are float32."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from jaxal.models.convolution import conv
from jaxal.models.depthwise import Padding, depthwise_conv
from jaxal.typing import Array, PRNGKey

__all__ = ["BatchNorm", "Conv", "DepthwiseConv", "classifier", "drop_path", "dropout"]


def _fan_out_normal(key: PRNGKey, shape: tuple[int, ...], fan_out: int) -> Array:
    return jax.random.normal(key, shape, jnp.float32) * math.sqrt(2 / fan_out)


class Conv(nnx.Module):
    """Convolution of k×k."""

    def __init__(self, in_maps: int, out_maps: int, kernel_size: int, *, has_bias: bool = False, rngs: nnx.Rngs):
        shape = (kernel_size, kernel_size, in_maps, out_maps)
        self.kernel = nnx.Param(_fan_out_normal(rngs.params(), shape, kernel_size**2 * out_maps))
        self.bias = nnx.Param(jnp.zeros(out_maps, jnp.float32)) if has_bias else None

    def __call__(self, x: Array, stride: int = 1, padding: Padding = ((0, 0), (0, 0))) -> Array:
        """Map [B, H, W, in] to [B, h, w, out], in the type of x."""
        y = conv(x, self.kernel[...].astype(x.dtype), stride, padding)
        return y if self.bias is None else y + self.bias[...].astype(x.dtype)[None, None, None]


class DepthwiseConv(nnx.Module):
    """A k×k convolution of every map by itself."""

    def __init__(self, maps: int, kernel_size: int, *, rngs: nnx.Rngs):
        shape = (kernel_size, kernel_size, 1, maps)
        self.kernel = nnx.Param(_fan_out_normal(rngs.params(), shape, kernel_size**2))

    def __call__(self, x: Array, stride: int, padding: Padding) -> Array:
        """Map [B, H, W, maps] to [B, h, w, maps], in the type of x."""
        return depthwise_conv(x, self.kernel[...].astype(x.dtype), stride, padding)


class BatchNorm(nnx.Module):
    """Batch normalization over samples and pixels, computed in float32.

    A running statistic becomes (1 - momentum)·old + momentum·new, where the new variance is the unbiased one (divided
    by n - 1), as PyTorch and TensorFlow keep it; what normalizes a training batch is its biased one, as everywhere.
    """

    def __init__(self, maps: int, *, momentum: float, epsilon: float):
        self.momentum, self.epsilon = momentum, epsilon
        self.scale, self.bias = nnx.Param(jnp.ones(maps, jnp.float32)), nnx.Param(jnp.zeros(maps, jnp.float32))
        self.mean, self.var = nnx.BatchStat(jnp.zeros(maps, jnp.float32)), nnx.BatchStat(jnp.ones(maps, jnp.float32))

    def __call__(self, x: Array, *, is_training: bool) -> Array:
        """Normalize [B, H, W, maps]; in training by the batch's own statistics, and renew the running ones."""
        mean, var = self._batch_statistics(x) if is_training else (self.mean[...], self.var[...])
        factor = self.scale[...] * lax.rsqrt(var + self.epsilon)
        shift = self.bias[...] - mean * factor
        return (x * factor[None, None, None] + shift[None, None, None]).astype(x.dtype)

    def _batch_statistics(self, x: Array) -> tuple[Array, Array]:
        wide = x.astype(jnp.float32)
        mean = jnp.mean(wide, axis=(0, 1, 2))
        var = jnp.mean(jnp.square(wide - mean[None, None, None]), axis=(0, 1, 2))
        count = math.prod(x.shape[:3])
        unbiased = var * (count / max(count - 1, 1))
        self.mean[...] = _moved(self.mean[...], mean, self.momentum)
        self.var[...] = _moved(self.var[...], unbiased, self.momentum)
        return mean, var


def _moved(old: Array, new: Array, momentum: float) -> Array:
    return (1 - momentum) * old + momentum * lax.stop_gradient(new)


def classifier(in_maps: int, num_classes: int, *, rngs: nnx.Rngs) -> nnx.Linear:
    """Make the last layer, drawn uniformly within ±1/√in; picks depend on it: no reduced precision on any device."""
    bound = 1 / math.sqrt(in_maps)

    def draw(key: Array, shape: tuple[int, ...], dtype: object = jnp.float32, out_sharding: object = None) -> Array:
        return jax.random.uniform(key, shape, jnp.float32, -bound, bound)

    return nnx.Linear(in_maps, num_classes, kernel_init=draw, precision="highest", rngs=rngs)


def dropout(key: PRNGKey, x: Array, rate: float) -> Array:
    """Set each number to zero with probability `rate`, and divide the others by 1 - rate."""
    if rate == 0:
        return x
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


def drop_path(key: PRNGKey, x: Array, rate: float) -> Array:
    """Leave a residual branch [B, H, W, maps] out of whole samples with probability `rate`; others by 1/(1 - rate)."""
    if rate == 0:
        return x
    keep = jax.random.bernoulli(key, 1 - rate, (x.shape[0], 1, 1, 1))
    return x * (keep / (1 - rate)).astype(x.dtype)
