"""Both ways to convolve give the same, forward and backward; padding is what TensorFlow and PyTorch do."""

import itertools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxal.models.convolution import (
    FEW_MAPS,
    conv,
    conv_before_pool,
    conv_by_columns,
    conv_of_one_map,
    native_conv,
    pointwise_by_dot,
)
from jaxal.models.depthwise import (
    depthwise_by_shifts,
    depthwise_conv,
    even_padding,
    native_depthwise,
    same_padding,
)

CASES = [
    (stride, size, side, kind)
    for stride, size, (side, kind) in itertools.product(
        (1, 2), (3, 5), (((6, 7), "same"), ((7, 6), "even"), ((1, 2), "same"), ((9, 1), "even"))
    )
]


def padding_of(kind, side, size, stride):
    return same_padding(side, size, stride) if kind == "same" else even_padding(size)


def draw(side, size, batch, maps=3):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, *side, maps), dtype=np.float32)
    return jnp.asarray(x), jnp.asarray(rng.standard_normal((size, size, 1, maps), dtype=np.float32))


def plain_depthwise(x, kernel, stride, padding):
    """Float64 loops."""
    x, kernel = (np.asarray(each, np.float64) for each in (x, kernel))
    x = np.pad(x, ((0, 0), *padding, (0, 0)))
    size = kernel.shape[0]
    height, width = ((side - size) // stride + 1 for side in x.shape[1:3])
    y = np.zeros((x.shape[0], height, width, x.shape[3]))
    for row, column in np.ndindex(height, width):
        window = x[:, row * stride : row * stride + size, column * stride : column * stride + size]
        y[:, row, column] = np.sum(window * kernel[None, :, :, 0], axis=(1, 2))
    return y


@pytest.mark.parametrize(("stride", "size", "side", "kind"), CASES)
def test_shifts_are_the_convolution_forward_and_backward(stride, size, side, kind):
    padding = padding_of(kind, side, size, stride)
    x, kernel = draw(side, size, batch=2 + side[0] % 2)  # odd and even batches
    weights = jnp.asarray(np.random.default_rng(1).standard_normal(plain_depthwise(x, kernel, stride, padding).shape))

    @jax.jit
    def both(x, kernel):
        def value(convolve, x, kernel):
            y = convolve(x, kernel, stride, padding)
            return jnp.sum(y * weights), y

        return [
            jax.grad(value, argnums=(1, 2), has_aux=True)(convolve, x, kernel)
            for convolve in (depthwise_by_shifts, native_depthwise)
        ]

    (gradients, y), (native_gradients, native_y) = both(x, kernel)
    np.testing.assert_allclose(y, plain_depthwise(x, kernel, stride, padding), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(y, native_y, rtol=1e-5, atol=1e-5)
    assert y.shape == (x.shape[0], -(-side[0] // stride), -(-side[1] // stride), 3)
    for own, native in zip(gradients, native_gradients, strict=True):
        assert own.shape == native.shape
        np.testing.assert_allclose(own, native, rtol=1e-5, atol=2e-5)


@pytest.mark.slow
def test_bfloat16_stays_bfloat16():
    x, kernel = (each.astype(jnp.bfloat16) for each in draw((5, 5), 3, batch=2))
    y, pullback = jax.vjp(lambda x, kernel: depthwise_by_shifts(x, kernel, 2, even_padding(3)), x, kernel)
    assert [each.dtype for each in (y, *pullback(y))] == [jnp.bfloat16] * 3
    expected = plain_depthwise(x.astype(jnp.float32), kernel.astype(jnp.float32), 2, even_padding(3))
    np.testing.assert_allclose(y.astype(jnp.float32), expected, rtol=0.05, atol=0.05)


def assert_same_with_derivatives(ways, x, kernel):
    results = []
    for way in ways:
        y, pullback = jax.vjp(way, x, kernel)
        results.append((y, *pullback(jnp.cos(y))))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [4, 5])
def test_a_pointwise_convolution_is_a_product(stride, side):
    rng = np.random.default_rng(2)
    x = jnp.asarray(rng.standard_normal((2, side, side, 3), dtype=np.float32))
    kernel = jnp.asarray(rng.standard_normal((1, 1, 3, 4), dtype=np.float32))
    none = ((0, 0), (0, 0))
    ways = [lambda x, k: pointwise_by_dot(x, k, stride), lambda x, k: native_conv(x, k, stride, none)]
    assert_same_with_derivatives(ways, x, kernel)


@pytest.mark.parametrize(
    ("shape", "size", "stride", "padding"),
    [
        ((2, 2), 3, 1, even_padding(3)),
        ((1, 1), 3, 1, even_padding(3)),
        ((4, 5), 3, 2, even_padding(3)),
        ((5, 4), 5, 2, same_padding((5, 4), 5, 2)),
        ((4, 4), 1, 2, even_padding(1)),
        ((3, 3), 3, 1, ((0, 0), (0, 0))),
    ],
)
@pytest.mark.parametrize(("convolve", "maps"), [(conv_by_columns, 3), (conv_of_one_map, 1)])
def test_a_convolution_by_columns_or_of_one_map_is_a_convolution(convolve, maps, shape, size, stride, padding):
    rng = np.random.default_rng(3)
    x = jnp.asarray(rng.standard_normal((2, *shape, maps), dtype=np.float32))
    kernel = jnp.asarray(rng.standard_normal((size, size, maps, 4), dtype=np.float32))
    ways = [lambda x, k: convolve(x, k, stride, padding), lambda x, k: native_conv(x, k, stride, padding)]
    assert_same_with_derivatives(ways, x, kernel)


@pytest.mark.parametrize(("window", "stride"), [(2, 3), (2, 2), (3, 2), (1, 2)])
@pytest.mark.parametrize("num_maps", [4, FEW_MAPS + 1])
@pytest.mark.parametrize(("shape", "size", "padding"), [((9, 5), 3, even_padding(3)), ((7, 10), 2, ((0, 1), (1, 0)))])
def test_a_convolution_before_a_pool_is_one_of_the_pixels_that_the_pool_sees(
    shape, size, padding, num_maps, window, stride
):
    rng = np.random.default_rng(4)
    x = jnp.asarray(rng.standard_normal((2, *shape, 3), dtype=np.float32))
    kernel = jnp.asarray(rng.standard_normal((size, size, 3, num_maps), dtype=np.float32))
    y = np.asarray(native_conv(x, kernel, 1, padding))
    rows, columns = ((side - window) // stride + 1 for side in y.shape[1:3])
    seen = conv_before_pool(x, kernel, padding, window=window, stride=stride)
    assert [each.shape for each in seen] == [(2, rows, columns, num_maps)] * window**2
    for row, column, place in itertools.product(range(rows), range(columns), range(window**2)):
        pixel = y[:, row * stride + place // window, column * stride + place % window]
        np.testing.assert_allclose(seen[place][:, row, column], pixel, rtol=1e-5, atol=1e-5)


def test_small_outputs_are_convolved_by_columns_on_cpu_and_gray_images_by_shifts():
    def is_native(side, stride, maps=2):
        x, kernel = jnp.ones((1, side, side, maps)), jnp.ones((3, 3, maps, 2))
        text = str(jax.make_jaxpr(lambda x, k: conv(x, k, stride, even_padding(3)))(x, kernel))
        return "conv_general_dilated[" in text

    with mock.patch.object(jax, "default_backend", return_value="cpu"):
        assert [is_native(4, 1), is_native(8, 2), is_native(5, 1)] == [False, False, True]
        assert not is_native(5, 1, maps=1)
    with mock.patch.object(jax, "default_backend", return_value="gpu"):
        assert is_native(4, 1)


def test_the_backend_decides():
    x, kernel = draw((4, 4), 3, batch=2)
    pointwise = jnp.ones((1, 1, 3, 2))

    def text():
        depthwise = jax.make_jaxpr(lambda x, k: depthwise_conv(x, k, 1, even_padding(3)))(x, kernel)
        return str(depthwise) + str(jax.make_jaxpr(lambda x, k: conv(x, k, 1, even_padding(1)))(x, pointwise))

    for backend, count in (("cpu", 0), ("gpu", 2), ("tpu", 2)):
        with mock.patch.object(jax, "default_backend", lambda backend=backend: backend):
            assert text().count("conv_general_dilated[") == count


@pytest.mark.parametrize(
    ("side", "size", "stride", "expected"),
    # tf.nn.conv2d's own rule: total max((⌈side/stride⌉ - 1)·stride + size - side, 0), the odd one behind.
    [
        (224, 3, 2, (0, 1)),
        (225, 3, 2, (1, 1)),
        (7, 5, 1, (2, 2)),
        (8, 5, 2, (1, 2)),
        (1, 3, 2, (1, 1)),
        (2, 1, 2, (0, 0)),
    ],
)
def test_same_padding(side, size, stride, expected):
    assert same_padding((side, 5), size, stride)[0] == expected
    assert same_padding((5, side), size, stride)[1] == expected
