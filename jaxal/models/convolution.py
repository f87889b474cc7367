"""Convolution of all maps: native, and on CPU as a matrix product or by shifts where XLA's is slow."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from jaxal.models.depthwise import Padding
from jaxal.typing import Array, Float

__all__ = ["conv", "conv_before_pool", "conv_by_columns", "conv_of_one_map", "native_conv", "pointwise_by_dot"]

# Pixels of an output up to which columns are taken on CPU: there XLA's convolution takes up to a hundred times as long
# (2×2 pixels, 512 maps), and at 16 pixels as long. Of larger outputs the columns are more than the product is worth.
MOST_PIXELS = 16
# Output maps up to which XLA's convolution on CPU gains from making four times as many at once.
FEW_MAPS = 8


def conv(
    x: Float[Array, "B H W maps"], kernel: Float[Array, "k k maps out"], stride: int, padding: Padding
) -> Float[Array, "B h w out"]:
    """Convolve the way that suits the shapes and the backend; all ways give the same."""
    if jax.default_backend() != "cpu":
        return native_conv(x, kernel, stride, padding)
    if kernel.shape[:2] == (1, 1) and not any(map(any, padding)):
        return pointwise_by_dot(x, kernel, stride)
    if x.shape[3] == 1:
        return conv_of_one_map(x, kernel, stride, padding)
    height, width = _output_size(x, kernel, stride, padding)
    by_columns = 0 < height * width <= MOST_PIXELS
    return (conv_by_columns if by_columns else native_conv)(x, kernel, stride, padding)


def pointwise_by_dot(
    x: Float[Array, "B H W maps"], kernel: Float[Array, "1 1 maps out"], stride: int
) -> Float[Array, "B h w out"]:
    """Multiply the maps of every pixel by a matrix: a 1×1 convolution, with the derivatives of a product."""
    return lax.dot_general(x[:, ::stride, ::stride], kernel[0, 0], (((3,), (0,)), ((), ())))


def conv_by_columns(
    x: Float[Array, "B H W maps"], kernel: Float[Array, "k k maps out"], stride: int, padding: Padding
) -> Float[Array, "B h w out"]:
    """Lay the k·k·maps numbers that each output sees side by side, and multiply them by a matrix.

    Cost: one product, and k² copies of the image.
    """
    columns = jnp.concatenate(_shifted(x, kernel, stride, padding), axis=3)
    return lax.dot_general(columns, kernel.reshape(-1, kernel.shape[3]), (((3,), (0,)), ((), ())))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv_of_one_map(
    x: Float[Array, "B H W 1"], kernel: Float[Array, "k k 1 out"], stride: int, padding: Padding
) -> Float[Array, "B h w out"]:
    """Convolve gray images by summing them shifted, k² multiplications fused into one pass over the output.

    Cost: on CPU a ninth of XLA's convolution. The derivatives, of first order only, are those of that one: of the sum
    they would take several times as long.
    """
    terms = zip(_shifted(x, kernel, stride, padding), kernel.reshape(-1, kernel.shape[3]), strict=True)
    return functools.reduce(jnp.add, (shifted * weights[None, None, None] for shifted, weights in terms))


def _forward(x: Array, kernel: Array, stride: int, padding: Padding) -> tuple[Array, tuple[Array, Array]]:
    return conv_of_one_map(x, kernel, stride, padding), (x, kernel)


def _backward(stride: int, padding: Padding, saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    return jax.vjp(lambda x, kernel: native_conv(x, kernel, stride, padding), *saved)[1](dy)


conv_of_one_map.defvjp(_forward, _backward)


def conv_before_pool(
    x: Float[Array, "B H W maps"], kernel: Float[Array, "k k maps out"], padding: Padding, *, window: int, stride: int
) -> list[Float[Array, "B h w out"]]:
    """Convolve only where a pool looks: at the window² places of h × w windows, `stride` apart.

    One array for each place, row by row of a window: to be compared number by number, which XLA does many times faster
    on CPU than it finds the largest along an axis. What lies between the windows, where stride exceeds window, is not
    computed at all. Padding must be less than k, and the convolution's result no smaller than a window.

    Cost: (h/H)·(w/W)·window² times the arithmetic of the convolution; for few maps 16/9 times that (k = 3, window = 2),
    in a product wide enough to be twice as fast on CPU all the same.
    """
    places = [(row, column) for row in range(window) for column in range(window)]
    sizes = _output_size(x, kernel, 1, padding)
    # Where the last window begins.
    last = [(size - window) // stride * stride for size in sizes]

    def seen(kernel: Array, place: tuple[int, int]) -> Array:
        cuts, pads = [], []
        for axis in (0, 1):
            # What is met from the first to the last window, counted from the first pixel. Cut out first, since XLA's
            # convolution on CPU is wrong for some paddings of less than 0.
            begin = place[axis] - padding[axis][0]
            end = begin + last[axis] + kernel.shape[axis]
            side = x.shape[1 + axis]
            cuts.append(slice(max(begin, 0), min(end, side)))
            pads.append((max(-begin, 0), max(end - side, 0)))
        return native_conv(x[:, cuts[0], cuts[1]], kernel, stride, (pads[0], pads[1]))

    if kernel.shape[3] > FEW_MAPS:
        return [seen(kernel, place) for place in places]
    # A larger kernel holds a copy of the given one for each place, and 0 beside it.
    spare = window - 1
    moved = [jnp.pad(kernel, ((r, spare - r), (c, spare - c), (0, 0), (0, 0))) for r, c in places]
    return jnp.split(seen(jnp.concatenate(moved, axis=3), (0, 0)), len(places), axis=3)


def _shifted(x: Array, kernel: Array, stride: int, padding: Padding) -> list[Array]:
    """Cut out what each number of the kernel meets, row by row of the kernel."""
    height, width = _output_size(x, kernel, stride, padding)
    padded = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *((low, high, 0) for low, high in padding), (0, 0, 0)))
    last_row, last_column = (height - 1) * stride + 1, (width - 1) * stride + 1
    return [
        padded[:, row : row + last_row : stride, column : column + last_column : stride]
        for row in range(kernel.shape[0])
        for column in range(kernel.shape[1])
    ]


def native_conv(
    x: Float[Array, "B H W maps"], kernel: Float[Array, "k k maps out"], stride: int, padding: Padding
) -> Float[Array, "B h w out"]:
    """Convolve by XLA's convolution."""
    return lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _output_size(x: Array, kernel: Array, stride: int, padding: Padding) -> tuple[int, int]:
    height, width = (
        (side + sum(pads) - size) // stride + 1
        for side, pads, size in zip(x.shape[1:3], padding, kernel.shape[:2], strict=True)
    )
    return height, width
