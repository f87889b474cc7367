"""Depthwise convolution: native where the device has one, on CPU by shifts with a backward pass of its own."""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from jaxal.typing import Array, Float

__all__ = ["Padding", "depthwise_by_shifts", "depthwise_conv", "even_padding", "native_depthwise", "same_padding"]

MOST_GROUPS = 8
# (before, after) in height, then in width.
Padding = tuple[tuple[int, int], tuple[int, int]]


def same_padding(size: Sequence[int], kernel_size: int, stride: int) -> Padding:
    """Pad [height, width] as TensorFlow's "SAME": just enough for ⌈size/stride⌉ outputs, the odd one behind.

    >>> same_padding((4, 5), 3, 2)
    ((0, 1), (1, 1))
    """
    (top, bottom), (left, right) = (_same(side, kernel_size, stride) for side in size)
    return (top, bottom), (left, right)


def _same(side: int, kernel_size: int, stride: int) -> tuple[int, int]:
    total = max((-(-side // stride) - 1) * stride + kernel_size - side, 0)
    return total // 2, total - total // 2


def even_padding(kernel_size: int) -> Padding:
    """Pad by half the kernel on every side, as PyTorch's networks do."""
    half = kernel_size // 2
    return (half, half), (half, half)


def depthwise_conv(
    x: Float[Array, "B H W maps"], kernel: Float[Array, "k k 1 maps"], stride: int, padding: Padding
) -> Float[Array, "B h w maps"]:
    """Convolve every map with its own kernel, the way that suits the backend; both ways give the same."""
    convolve = depthwise_by_shifts if jax.default_backend() == "cpu" else native_depthwise
    return convolve(x, kernel, stride, padding)


def native_depthwise(
    x: Float[Array, "B H W maps"], kernel: Float[Array, "k k 1 maps"], stride: int, padding: Padding
) -> Float[Array, "B h w maps"]:
    """Convolve by XLA's grouped convolution."""
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[3],
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def depthwise_by_shifts(
    x: Float[Array, "B H W maps"], kernel: Float[Array, "k k 1 maps"], stride: int, padding: Padding
) -> Float[Array, "B h w maps"]:
    """Convolve by summing shifted images: on CPU XLA's grouped convolution runs at a fifteenth of that.

    Derivatives of first order only.
    """
    return _sum_of_shifts(_padded(x, padding), kernel, stride)


def _forward(x: Array, kernel: Array, stride: int, padding: Padding) -> tuple[Array, tuple[Array, Array]]:
    return depthwise_by_shifts(x, kernel, stride, padding), (x, kernel)


def _backward(stride: int, padding: Padding, saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    return _input_gradient(x.shape, kernel, stride, padding, dy), _kernel_gradient(x, kernel, stride, padding, dy)


depthwise_by_shifts.defvjp(_forward, _backward)


def _padded(x: Array, padding: Padding) -> Array:
    """Pad (crop, where negative), once and for all: fused into the sum of shifts, it would be computed k² times."""
    if not any(amount for pair in padding for amount in pair):
        return x
    amounts = [(0, 0, 0), *((low, high, 0) for low, high in padding), (0, 0, 0)]
    return lax.optimization_barrier(lax.pad(x, jnp.zeros((), x.dtype), amounts))


def _shifted(x: Array, row: int, column: int, height: int, width: int, stride: int) -> Array:
    """Take every stride-th pixel from (row, column) on, height × width of them."""
    stop = (x.shape[0], row + (height - 1) * stride + 1, column + (width - 1) * stride + 1, x.shape[3])
    return lax.slice(x, (0, row, column, 0), stop, (1, stride, stride, 1))


def _sum_of_shifts(x: Array, kernel: Array, stride: int) -> Array:
    size = kernel.shape[0]
    height, width = ((side - size) // stride + 1 for side in x.shape[1:3])
    taps = [
        _shifted(x, i, j, height, width, stride) * kernel[i, j, 0][None, None, None]
        for i in range(size)
        for j in range(kernel.shape[1])
    ]
    return functools.reduce(jnp.add, taps)


def _input_gradient(shape: tuple[int, ...], kernel: Array, stride: int, padding: Padding, dy: Array) -> Array:
    """Convolve the gradient with the mirrored kernel; where stride is 2, each parity of rows and columns by itself."""
    parts = [
        [_phase_gradient(shape, kernel, stride, padding, dy, (row, column)) for column in range(stride)]
        for row in range(stride)
    ]
    if stride == 1:
        return parts[0][0]
    rows = [_interleaved(row, axis=2) for row in parts]
    whole = _interleaved(rows, axis=1)
    return whole[:, : shape[1], : shape[2]]


def _interleaved(parts: list[Array], axis: int) -> Array:
    shape = list(parts[0].shape)
    shape[axis] *= len(parts)
    return jnp.stack(parts, axis + 1).reshape(shape)


def _phase_gradient(
    shape: tuple[int, ...], kernel: Array, stride: int, padding: Padding, dy: Array, phase: tuple[int, int]
) -> Array:
    """Gradient of x[:, phase[0]::stride, phase[1]::stride], all phases of one size (⌈side/stride⌉)."""
    axes = []
    for axis in (0, 1):
        low, side, size = padding[axis][0], shape[1 + axis], kernel.shape[axis]
        # Pixel p = phase + stride·m meets output o through tap t where t = p + low - stride·o.
        first = (phase[axis] + low) % stride
        offset = (phase[axis] + low - first) // stride
        taps = range(first, size, stride)
        count = -(-side // stride)
        # Outputs needed: from offset - (len(taps) - 1) to offset + count - 1.
        lowest, highest = offset - (len(taps) - 1), offset + count - 1
        axes.append((list(taps), count, (-lowest, highest - (dy.shape[1 + axis] - 1))))
    (row_taps, height, row_pad), (column_taps, width, column_pad) = axes
    if not row_taps or not column_taps:
        return jnp.zeros((dy.shape[0], height, width, dy.shape[3]), dy.dtype)
    source = _padded(dy, (row_pad, column_pad))
    terms = [
        _shifted(source, len(row_taps) - 1 - a, len(column_taps) - 1 - b, height, width, 1)
        * kernel[i, j, 0][None, None, None]
        for a, i in enumerate(row_taps)
        for b, j in enumerate(column_taps)
    ]
    return functools.reduce(jnp.add, terms)


def _kernel_gradient(x: Array, kernel: Array, stride: int, padding: Padding, dy: Array) -> Array:
    """Sum every shifted image times the gradient, all taps in one reduction: each by itself is ten times slower."""
    source = _padded(x, padding)
    batch, height, width, maps = dy.shape
    # One group of samples a thread, and more for balance; an odd batch goes sample by sample.
    groups = math.gcd(batch, MOST_GROUPS) if batch % 2 == 0 else batch
    taps = tuple(
        (_shifted(source, i, j, height, width, stride) * dy)
        .astype(jnp.float32)
        .reshape(groups, batch // groups, height, width, maps)
        for i in range(kernel.shape[0])
        for j in range(kernel.shape[1])
    )
    zeros = (jnp.zeros((), jnp.float32),) * len(taps)
    sums = lax.reduce(taps, zeros, lambda one, other: tuple(map(jnp.add, one, other)), (1, 2, 3))
    return jnp.stack([each.sum(0) for each in sums]).reshape(kernel.shape).astype(kernel.dtype)
