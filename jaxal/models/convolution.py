"""Convolution of all maps: native, and on CPU as a matrix product where the kernel is 1×1."""

import jax
from jax import lax

from jaxal.models.depthwise import Padding
from jaxal.typing import Array, Float

__all__ = ["conv", "native_conv", "pointwise_by_dot"]


def conv(
    x: Float[Array, "B H W maps"], kernel: Float[Array, "k k maps out"], stride: int, padding: Padding
) -> Float[Array, "B h w out"]:
    """Convolve the way that suits the kernel and the backend; both ways give the same."""
    if kernel.shape[:2] == (1, 1) and jax.default_backend() == "cpu" and not any(map(any, padding)):
        return pointwise_by_dot(x, kernel, stride)
    return native_conv(x, kernel, stride, padding)


def pointwise_by_dot(
    x: Float[Array, "B H W maps"], kernel: Float[Array, "1 1 maps out"], stride: int
) -> Float[Array, "B h w out"]:
    """Multiply the maps of every pixel by a matrix: a 1×1 convolution, with the derivatives of a product."""
    return lax.dot_general(x[:, ::stride, ::stride], kernel[0, 0], (((3,), (0,)), ((), ())))


def native_conv(
    x: Float[Array, "B H W maps"], kernel: Float[Array, "k k maps out"], stride: int, padding: Padding
) -> Float[Array, "B h w out"]:
    """Convolve by XLA's convolution."""
    return lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
