"""The last layer alone: the network's own, on embeddings."""

import jax
import jax.numpy as jnp
import numpy as np
from tiny_networks import images, tiny

from jaxal.models.linear import linear

KEY = jax.random.key(3)
NETWORK = tiny("lite")
MODEL = linear(NETWORK, dropout_rate=0.5, is_drawn=True)
Z = jnp.asarray(np.random.default_rng(0).normal(size=(6, 1280)).astype(np.float32))


def test_it_starts_from_the_network_s_last_layer_and_scores_as_that_does():
    network, layer = NETWORK.init(KEY), MODEL.init(KEY)
    fixed = NETWORK._replace(init=lambda key: network)
    taken = linear(fixed, dropout_rate=0.5, is_drawn=False).init(jax.random.key(4))
    for name, array in network.params["classifier"].items():
        np.testing.assert_array_equal(layer.params["classifier"][name], array)
        np.testing.assert_array_equal(taken.params["classifier"][name], array)
    z = jax.jit(NETWORK.embed)(network, images())
    np.testing.assert_allclose(MODEL.apply(layer, z), jax.jit(NETWORK.apply)(network, images()), rtol=1e-5, atol=1e-6)


def test_the_law_of_models_holds():
    variables = MODEL.init(KEY)
    weight, bias = MODEL.linear_head(variables)
    np.testing.assert_array_equal(MODEL.embed(variables, Z), Z)
    np.testing.assert_array_equal(MODEL.apply(variables, Z), MODEL.head(variables, MODEL.embed(variables, Z)))
    np.testing.assert_allclose(MODEL.apply(variables, Z), Z @ weight + bias[None], rtol=1e-5, atol=1e-5)
    assert MODEL.spec.image_shape == (MODEL.spec.embedding_width,) == Z.shape[1:]


def test_training_drops_coordinates_by_key():
    variables = MODEL.init(KEY)
    one, again, other = (MODEL.apply_train(variables, jax.random.key(seed), Z)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    undropped = linear(NETWORK, dropout_rate=0.0, is_drawn=True)
    np.testing.assert_array_equal(undropped.apply_train(variables, KEY, Z)[0], MODEL.apply(variables, Z))


def test_the_same_settings_give_the_same_model():
    assert linear(NETWORK, dropout_rate=0.5, is_drawn=True) is MODEL
