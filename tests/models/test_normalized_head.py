"""A last layer of cosines on any model."""

import jax
import jax.numpy as jnp
import numpy as np
from training.small_models import linear_model

from jaxal.models.normalized_head import normalized_head

MODEL = normalized_head(linear_model(num_classes=3), 30.0)
IMAGES = jnp.asarray(np.random.default_rng(0).integers(1, 256, (5, 4, 1, 1)), jnp.uint8)


def variables():
    kernel = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    return MODEL.init(jax.random.key(0))._replace(
        params={"classifier": {"kernel": jnp.asarray(kernel), "bias": jnp.ones(3)}}
    )


def test_logits_are_scaled_cosines_in_evaluation_and_in_training():
    given = variables()
    z = np.asarray(IMAGES, np.float64).reshape(5, 4)
    w = np.asarray(given.params["classifier"]["kernel"], np.float64)
    cosines = (z / np.linalg.norm(z, axis=1, keepdims=True)) @ (w / np.linalg.norm(w, axis=0))
    np.testing.assert_allclose(MODEL.apply(given, IMAGES), 30 * cosines, atol=1e-4)
    # The small model's noise scales embeddings, which their direction does not show.
    np.testing.assert_allclose(MODEL.apply_train(given, jax.random.key(0), IMAGES)[0], 30 * cosines, atol=1e-4)


def test_the_head_that_strategies_see_is_the_one_that_makes_the_logits():
    given = variables()
    embeddings, head = MODEL.embed(given, IMAGES), MODEL.linear_head(given)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(head.bias, np.zeros(3))
    np.testing.assert_allclose(embeddings @ head.weight, MODEL.apply(given, IMAGES), atol=1e-4)


def test_an_image_without_any_features_has_logits_and_gradients_of_zero():
    given, black = variables(), jnp.zeros((2, 4, 1, 1), jnp.uint8)
    np.testing.assert_array_equal(MODEL.apply(given, black), np.zeros((2, 3)))
    gradient = jax.grad(lambda params: jnp.sum(MODEL.apply(given._replace(params=params), black)))(given.params)
    assert all(np.all(np.asarray(leaf) == 0) for leaf in jax.tree.leaves(gradient))
