"""Random flips, rotations, deformations and blur: exact where they can be, drawn by key and place."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jaxal.config.augmentation import AugmentationConfig
from jaxal.data.augment import augment, augmented_once, flip
from jaxal.data.blur import blur
from jaxal.data.loading import Images
from jaxal.data.warp import displacements, rotate

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 6, 5, 2), dtype=np.uint8)
SQUARES = RNG.integers(0, 256, (4, 7, 7, 3), dtype=np.uint8)
KEY = jax.random.key(0)

FLIPS = {
    "none": [lambda x: x],
    "horizontal": [lambda x: x, np.fliplr],
    "vertical": [lambda x: x, np.flipud],
    "both": [lambda x: x, np.fliplr, np.flipud, lambda x: x[::-1, ::-1]],
}


@pytest.mark.parametrize("flips", FLIPS)
def test_flips_are_exact_and_each_is_drawn(flips):
    found = np.asarray(augment(AugmentationConfig(flips=flips), KEY, jnp.asarray(IMAGES)))
    assert found.dtype == np.uint8
    which = []
    for image, other in zip(IMAGES, found, strict=True):
        which.append([np.array_equal(other, change(image)) for change in FLIPS[flips]].index(True))
    counts = np.bincount(which, minlength=len(FLIPS[flips]))
    assert counts.min() >= 0.4 * 40 / len(FLIPS[flips])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("turns", [-2, -1, 0, 1, 2, 3])
def test_quarter_turns_of_a_square_are_numpy_s(turns, dtype):
    degrees = jnp.full(4, 90.0 * turns)
    found = rotate(jnp.asarray(SQUARES.astype(dtype)), degrees)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, np.rot90(SQUARES, turns, axes=(1, 2)), atol=0.01)


def test_no_turn_is_the_identity_and_half_a_turn_flips_both_axes():
    images = jnp.asarray(IMAGES)
    np.testing.assert_array_equal(rotate(images, jnp.zeros(40)), IMAGES)
    np.testing.assert_allclose(rotate(images, jnp.full(40, 180.0)), IMAGES[:, ::-1, ::-1], atol=0.01)


@pytest.mark.parametrize("shape", [(6, 5), (1, 4), (9, 3)])
@pytest.mark.parametrize("degrees", [-170.0, -33.0, 10.0, 45.0, 100.0])
def test_any_turn_is_scipy_s_with_reflection_at_the_border(shape, degrees):
    image = RNG.uniform(0, 255, shape)
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    back, center = np.array([[cosine, sine], [-sine, cosine]]), (np.array(shape) - 1) / 2
    expected = ndimage.affine_transform(image, back, center - back @ center, order=1, mode="reflect")
    found = rotate(jnp.asarray(image[None, :, :, None], jnp.float32), jnp.array([degrees]))[0, :, :, 0]
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_angles_are_drawn_within_their_bounds_for_each_image():
    """A bright pixel above the center tells how far an image was turned."""
    images = np.zeros((60, 41, 41, 1), np.float32)
    images[:, 2, 20] = 1.0
    found = np.asarray(augment(AugmentationConfig(rotation=50.0), KEY, jnp.asarray(images)))[..., 0]
    rows, columns = np.meshgrid(np.arange(41) - 20, np.arange(41) - 20, indexing="ij")
    total = found.sum(axis=(1, 2))
    up, left = -(found * rows).sum(axis=(1, 2)) / total, -(found * columns).sum(axis=(1, 2)) / total
    degrees = np.rad2deg(np.arctan2(left, up))
    assert np.abs(degrees).max() <= 51
    assert degrees.min() < -30
    assert degrees.max() > 30
    assert len(set(np.round(degrees, 2))) > 50


def test_a_key_and_a_place_decide_and_nothing_else():
    config = AugmentationConfig(flips="both", rotation=90.0)
    draw = functools.partial(augment, config)
    images = jnp.asarray(np.repeat(IMAGES[:1], 12, axis=0))
    one, again, other = draw(KEY, images), draw(KEY, images), draw(jax.random.key(1), images)
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    assert len({np.asarray(image).tobytes() for image in one}) == 12
    np.testing.assert_array_equal(draw(KEY, images[:5]), one[:5])


@pytest.mark.parametrize("flips", FLIPS)
def test_flips_come_before_the_turn_and_are_drawn_alike(flips):
    alone = augment(AugmentationConfig(flips=flips), KEY, jnp.asarray(IMAGES))
    barely_turned = augment(AugmentationConfig(flips=flips, rotation=1e-6), KEY, jnp.asarray(IMAGES))
    np.testing.assert_allclose(barely_turned, alone, atol=0.01)
    config = AugmentationConfig(flips=flips, rotation=60.0)
    turned = augment(config, KEY, jnp.asarray(IMAGES))
    degrees = found_degrees(config)
    np.testing.assert_allclose(turned, rotate(alone, degrees), atol=0.05)


def found_degrees(config):
    """Draw the angles as they are drawn, without the flips."""
    ramp = jnp.asarray(np.arange(9, dtype=np.float32)[None, :, None, None].repeat(9, 2).repeat(40, 0))
    turned = augment(AugmentationConfig(rotation=config.rotation), KEY, ramp)
    down, right = turned[:, 5, 4, 0] - turned[:, 3, 4, 0], turned[:, 4, 5, 0] - turned[:, 4, 3, 0]
    return jnp.rad2deg(jnp.arctan2(right, down))


def test_nothing_to_change_compiles_to_nothing():
    config = AugmentationConfig()
    assert config.is_none
    images = jnp.asarray(IMAGES)
    np.testing.assert_array_equal(augment(config, KEY, images), IMAGES)
    assert augment.lower(config, KEY, images).as_text().count("stablehlo.") == 0


def test_a_flip_is_where_it_is_asked_for():
    is_flipped = jnp.asarray([True, False, False, True])
    found = flip(jnp.asarray(SQUARES), is_flipped, axis=1)
    np.testing.assert_array_equal(found[1:3], SQUARES[1:3])
    np.testing.assert_array_equal(found[::3], SQUARES[::3, ::-1])


@pytest.mark.parametrize("shape", [(6, 5), (9, 30)])
@pytest.mark.parametrize("widths", [(0.0, 0.5, 1.3)])
def test_blur_is_scipy_s_with_reflection_at_the_border(shape, widths):
    images = RNG.integers(0, 256, (3, *shape, 2), dtype=np.uint8)
    found = np.asarray(blur(jnp.asarray(images), jnp.asarray(widths), largest=2.0))
    np.testing.assert_array_equal(found[0], images[0])
    for width, image, other in zip(widths[1:], images[1:], found[1:], strict=True):
        for channel in range(2):
            expected = ndimage.gaussian_filter(image[..., channel] * 1.0, width, radius=6, mode="reflect")
            np.testing.assert_allclose(other[..., channel], expected, atol=0.01)


def test_a_displacement_has_variance_one_and_is_smooth():
    fields = np.asarray(jax.vmap(lambda key: displacements(key, 12, 9, 2.0))(jax.random.split(KEY, 400)))
    assert fields.shape == (400, 2, 12, 9)
    np.testing.assert_allclose(fields.std(axis=0), 1, atol=0.15)
    neighbors = np.mean(fields[:, :, 1:] * fields[:, :, :-1], axis=(0, 1, 2, 3))
    assert neighbors == pytest.approx(np.exp(-1 / (4 * 2.0**2)), abs=0.02)  # of a Gaussian field, at distance 1
    assert abs(np.mean(fields[:, 0] * fields[:, 1])) < 0.05


def test_a_deformation_by_next_to_nothing_is_the_identity_and_two_keys_differ():
    images = jnp.asarray(IMAGES)
    np.testing.assert_allclose(augment(AugmentationConfig(elastic=1e-6), KEY, images), IMAGES, atol=0.01)
    config = AugmentationConfig(elastic=2.0, blur=1.0)
    one, other = augment(config, KEY, images), augment(config, jax.random.key(1), images)
    assert one.dtype == jnp.float32
    assert np.mean(np.isclose(one, other)) < 0.1
    assert np.min(one) >= 0
    assert np.max(one) <= 255.001


def test_an_image_changed_once_is_so_wherever_it_stands():
    whole = np.repeat(IMAGES, 2, axis=0)
    ids = np.arange(80, dtype=np.int32) + 1000
    config = AugmentationConfig(flips="both", rotation=30.0, blur=1.0)
    read = augmented_once(config, KEY, Images(lambda rows: whole[rows], 80, (6, 5, 2)), ids).read
    at_once = read(np.arange(80))
    assert at_once.dtype == np.uint8
    order = RNG.permutation(80)
    np.testing.assert_array_equal(read(order), at_once[order])
    np.testing.assert_array_equal(read(np.array([70])), at_once[70:71])
    assert not np.array_equal(at_once[::2], at_once[1::2])
    images = Images(lambda rows: whole[rows], 80, (6, 5, 2))
    assert augmented_once(AugmentationConfig(mode="pool_once"), KEY, images, ids) is images
