"""Images resized inside a network: as if they had been resized before it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from tiny_networks import SPEC, images, tiny

from jaxal.config.models import OrganCNNConfig, ResNetConfig
from jaxal.models.registry import make_model, seen_shape
from jaxal.models.resizing import resized

NETWORK = tiny("resnet")
HEIGHT, WIDTH, CHANNELS = SPEC.image_shape


@pytest.mark.parametrize("shape", [(4, 5, CHANNELS), (20, 31, CHANNELS)])
def test_a_network_sees_what_pillow_would_make_of_an_image(shape):
    pixels = np.random.default_rng(0).integers(0, 256, (3, *shape), dtype=np.uint8)
    made = [
        [
            np.asarray(Image.fromarray(each[..., c].astype(np.float32), "F").resize((WIDTH, HEIGHT), Image.BILINEAR))
            for c in range(CHANNELS)
        ]
        for each in pixels
    ]
    before = jnp.asarray(np.moveaxis(np.array(made), 1, -1))
    model, variables = resized(NETWORK, shape), NETWORK.init(jax.random.key(0))
    assert model.spec == SPEC._replace(image_shape=shape, embedding_width=model.spec.embedding_width)
    for one, other in ((model.embed, NETWORK.embed), (model.apply, NETWORK.apply)):
        np.testing.assert_allclose(
            jax.jit(one)(variables, jnp.asarray(pixels)), jax.jit(other)(variables, before), rtol=1e-3, atol=1e-3
        )
    key = jax.random.key(1)
    given, _ = jax.jit(model.apply_train)(variables, key, jnp.asarray(pixels))
    wanted, _ = jax.jit(NETWORK.apply_train)(variables, key, before)
    np.testing.assert_allclose(given, wanted, rtol=1e-2, atol=1e-2)


def test_the_registry_resizes_where_the_config_says_so():
    shape = {"num_classes": 2, "mean": (0.5,), "std": (0.25,)}
    plain = make_model(ResNetConfig(depth=18), image_shape=(28, 28, 1), **shape)
    same = make_model(ResNetConfig(depth=18, image_size=28), image_shape=(28, 28, 1), **shape)
    large = make_model(ResNetConfig(depth=18, image_size=64), image_shape=(28, 28, 1), **shape)
    assert plain.spec == same.spec == large.spec
    assert "resized" in large.embed.__qualname__
    assert "resized" not in same.embed.__qualname__
    variables = jax.eval_shape(large.init, jax.random.key(0))
    z = jax.eval_shape(large.embed, variables, jax.ShapeDtypeStruct((2, 28, 28, 1), jnp.uint8))
    assert z.shape == (2, 512)


def test_what_a_network_sees():
    assert seen_shape(ResNetConfig(depth=18), (28, 20, 1)) == (28, 20, 1)
    assert seen_shape(ResNetConfig(depth=18, image_size=64), (28, 20, 3)) == (64, 64, 3)
    assert seen_shape(OrganCNNConfig(), (28, 20, 3)) == (28, 20, 3)


def test_images_of_the_network_s_own_size_are_as_they_were():
    model, variables = resized(NETWORK, SPEC.image_shape), NETWORK.init(jax.random.key(0))
    one, other = (jax.jit(each.embed)(variables, images()) for each in (model, NETWORK))
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
