"""The small CNN: its size is the study's, its factory is cached, its images must be large enough."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxal.config.models import OrganCNNConfig
from jaxal.errors import ConfigError
from jaxal.models.organ_cnn import organ_cnn, pooled


def make(width: int, image_shape: tuple[int, int, int] = (28, 28, 1), num_classes: int = 11):
    channels = image_shape[2]
    return organ_cnn(
        OrganCNNConfig(width=width),
        image_shape=image_shape,
        num_classes=num_classes,
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
    )


@pytest.mark.parametrize(("width", "num_parameters"), [(8, 37_987), (16, 150_587), (32, 599_659)])
def test_it_has_as_many_parameters_as_the_study_prints(width, num_parameters):
    variables = jax.eval_shape(make(width).init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(variables.params)) == num_parameters
    # Twelve vectors of running statistics: two layers of f, 2f, 4f maps, mean and variance.
    assert sum(leaf.size for leaf in jax.tree.leaves(variables.batch_stats)) == 4 * 7 * width


def test_the_same_settings_give_the_same_model():
    assert make(8) is make(8)
    assert make(8) is not make(16)
    assert make(8) is not make(8, num_classes=10)
    assert make(8).spec.embedding_width == 16
    assert isinstance(hash(make(8)), int)


@pytest.mark.parametrize(("size", "after"), [(28, 9), (9, 3), (8, 3), (5, 2), (4, 1), (2, 1), (1, 0)])
def test_sides_after_a_pool(size, after):
    assert pooled(size) == after


@pytest.mark.parametrize(("height", "width"), [(4, 4), (4, 28), (28, 4), (1, 1)])
def test_images_that_two_pools_would_eat_up_are_refused(height, width):
    with pytest.raises(ConfigError, match=f"images of at least 5×5, got {height}×{width}"):
        make(8, (height, width, 1))


def test_the_smallest_images_and_uneven_ones_are_taken():
    for shape, flat in (((5, 5, 1), 1), ((5, 28, 3), 3)):
        model = make(2, shape, 2)
        variables = jax.eval_shape(model.init, jax.random.key(0))
        assert variables.params["hidden"]["kernel"].shape == (flat * 8, 16)
        images = jax.ShapeDtypeStruct((4, *shape), "uint8")
        assert jax.eval_shape(model.apply, variables, images).shape == (4, 2)


@pytest.mark.parametrize("shape", [(28, 28, 1), (13, 8, 3), (5, 5, 1)])
def test_what_no_pool_looks_at_is_left_out_on_cpu_and_changes_nothing(shape):
    model, rng = make(4, shape, 3), np.random.default_rng(0)
    variables = jax.tree.map(
        # Statistics and scales of either sign: a maximum does not pass through a negative scale.
        lambda leaf: leaf + rng.standard_normal(leaf.shape, dtype=np.float32),
        model.init(jax.random.key(0)),
    )
    variables = variables._replace(batch_stats=jax.tree.map(jnp.abs, variables.batch_stats))
    images = jnp.asarray(rng.integers(0, 256, (6, *shape)), jnp.uint8)
    found = []
    for backend in ("cpu", "gpu"):
        with mock.patch.object(jax, "default_backend", lambda backend=backend: backend):
            text = str(jax.make_jaxpr(lambda *given: model.embed(*given))(variables, images))
            assert ("reduce_window" in text) == (backend == "gpu")
            found.append(np.asarray(model.embed(variables, images)))
    assert np.ptp(found[0]) > 0
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-4 * np.max(found[1]))
