"""The small CNN: its size is the study's, its factory is cached, its images must be large enough."""

import jax
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
