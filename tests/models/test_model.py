"""What every model promises, held by the small CNN: a law, independent rows, plain arrays, moving statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxal.config.models import OrganCNNConfig
from jaxal.models.model import Model, ModelSpec, Variables, normalize_images
from jaxal.models.organ_cnn import organ_cnn

NUM_CLASSES, BATCH = 3, 6


@pytest.fixture(scope="module")
def model() -> Model:
    return organ_cnn(
        OrganCNNConfig(width=4), image_shape=(7, 8, 2), num_classes=NUM_CLASSES, mean=(0.4, 0.6), std=(0.2, 0.3)
    )


@pytest.fixture(scope="module")
def variables(model) -> Variables:
    return model.init(jax.random.key(0))


@pytest.fixture(scope="module")
def images():
    return jnp.asarray(np.random.default_rng(0).integers(0, 256, (BATCH, 7, 8, 2), dtype=np.uint8))


@pytest.fixture(scope="module")
def compiled(model):
    return {name: jax.jit(getattr(model, name)) for name in ("embed", "head", "apply", "apply_train")}


@pytest.fixture(scope="module")
def trained(compiled, variables, images):
    """Logits and batch statistics of one training pass."""
    return compiled["apply_train"](variables, jax.random.key(1), images)


def test_apply_is_head_of_embed(model, compiled, variables, images):
    z = compiled["embed"](variables, images)
    assert z.shape == (BATCH, model.spec.embedding_width)
    logits = compiled["apply"](variables, images)
    assert logits.shape == (BATCH, NUM_CLASSES)
    np.testing.assert_allclose(compiled["head"](variables, z), logits, rtol=1e-5, atol=1e-6)


def test_linear_head_reproduces_the_head(model, compiled, variables):
    z = jax.random.normal(jax.random.key(2), (BATCH, model.spec.embedding_width)) * 10
    weight, bias = model.linear_head(variables)
    assert weight.shape == (model.spec.embedding_width, NUM_CLASSES)
    assert bias.shape == (NUM_CLASSES,)
    expected = np.asarray(z, np.float64) @ np.asarray(weight, np.float64) + np.asarray(bias, np.float64)
    np.testing.assert_allclose(compiled["head"](variables, z), expected, rtol=1e-5, atol=1e-5)


def test_rows_in_evaluation_do_not_hang_on_their_batch(compiled, variables, images):
    logits = compiled["apply"](variables, images)
    others = images.at[1:].set(255 - images[1:])
    assert np.array_equal(compiled["apply"](variables, others)[0], logits[0])
    assert not np.allclose(compiled["apply"](variables, others)[1:], logits[1:])
    assert np.array_equal(compiled["apply"](variables, images[::-1])[::-1], logits)


def test_rows_in_training_hang_on_their_batch(compiled, variables, images, trained):
    others = images.at[1:].set(255 - images[1:])
    logits, _ = compiled["apply_train"](variables, jax.random.key(1), others)
    assert not np.allclose(logits[0], trained[0][0], atol=1e-4)


def test_training_moves_every_statistic_and_does_not_use_them(compiled, variables, images, trained):
    logits, batch_stats = trained
    old, new = jax.tree.leaves(variables.batch_stats), jax.tree.leaves(batch_stats)
    assert jax.tree.structure(batch_stats) == jax.tree.structure(variables.batch_stats)
    assert len(new) == 12  # mean and variance of six layers
    assert not any(np.allclose(one, other, atol=1e-6) for one, other in zip(old, new, strict=True))
    shifted = variables._replace(batch_stats=jax.tree.map(lambda leaf: leaf + 1, variables.batch_stats))
    shifted_logits, shifted_stats = compiled["apply_train"](shifted, jax.random.key(1), images)
    assert np.array_equal(shifted_logits, logits)
    for one, other in zip(jax.tree.leaves(shifted_stats), new, strict=True):
        np.testing.assert_allclose(one - other, np.full(one.shape, 0.9), rtol=1e-4)


def test_evaluation_uses_the_running_statistics(compiled, variables, images):
    shifted = variables._replace(batch_stats=jax.tree.map(lambda leaf: leaf + 1, variables.batch_stats))
    assert not np.allclose(compiled["apply"](shifted, images), compiled["apply"](variables, images))


def test_every_parameter_receives_a_gradient(model, variables, images):
    @jax.jit
    def gradients(params):
        def loss(params):
            logits, _ = model.apply_train(Variables(params, variables.batch_stats), jax.random.key(1), images)
            return -jnp.sum(jax.nn.log_softmax(logits)[:, 0])

        return jax.grad(loss)(params)

    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients(variables.params)):
        assert np.all(np.isfinite(leaf)), path
        assert np.any(leaf != 0), path


def test_variables_are_plain_dicts_of_arrays_that_a_checkpoint_can_hold(variables, trained):
    def check(node):
        assert type(node) is dict or isinstance(node, jax.Array)
        if isinstance(node, jax.Array):
            assert node.size > 0
            assert node.dtype == jnp.float32
            return
        assert node
        for child in node.values():
            check(child)

    for tree in (*variables, trained[1]):
        check(tree)


def test_initial_variables_are_the_key_s(model, variables):
    same, other = model.init(jax.random.key(0)), model.init(jax.random.key(1))
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, variables, same)))
    kernels = [tree.params["classifier"]["kernel"] for tree in (variables, other)]
    assert not np.allclose(*kernels)


def test_images_are_scaled_and_standardized_channel_by_channel():
    spec = ModelSpec((1, 2, 2), 2, 4, mean=(0.5, 0.25), std=(0.5, 0.125))
    images = jnp.asarray([[[[0, 255], [255, 0]]]], jnp.uint8)
    np.testing.assert_allclose(normalize_images(images, spec), [[[[-1, 6], [1, -2]]]], rtol=1e-6)
