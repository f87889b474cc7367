"""Reading images in batches of one shape gives what one large batch gives, row for row."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_models import linear_model

from jaxal.config.models import OrganCNNConfig
from jaxal.data.loading import Images
from jaxal.models.organ_cnn import organ_cnn
from jaxal.training.inference import apply_images, embed_images, head_logits

B = 8
IMAGES = jnp.asarray(np.random.default_rng(0).integers(0, 256, (20, 5, 5, 1), dtype=np.uint8))


@pytest.mark.parametrize("num_images", [1, 3, B, B + 1, 15, 2 * B, 20])
def test_batches_are_one_batch_and_have_one_shape(num_images):
    shapes = []
    model = linear_model(num_pixels=25, num_classes=3, seen_shapes=shapes)
    variables = model.init(jax.random.key(0))
    images = IMAGES[:num_images]
    flat = np.asarray(images, np.float64).reshape(num_images, 25) / 255
    embeddings = embed_images(model, variables, images, B)
    assert embeddings.shape == (num_images, 25)
    np.testing.assert_allclose(embeddings, flat, rtol=1e-6)
    assert set(shapes) == {(min(B, num_images), 5, 5, 1)}
    logits = flat @ np.asarray(variables.params["classifier"]["kernel"], np.float64)
    np.testing.assert_allclose(apply_images(model, variables, images, B), logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(head_logits(model, variables, embeddings), logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("rows", [range(20), range(7), range(7, 14), range(13, 20), range(17, 20), range(20, 20)])
def test_some_rows_come_out_as_among_all(rows, is_streamed):
    model = linear_model(num_pixels=25, num_classes=3)
    variables = model.init(jax.random.key(0))
    images = Images(lambda wanted: np.asarray(IMAGES)[wanted], 20, (5, 5, 1)) if is_streamed else IMAGES
    done = []
    part = embed_images(model, variables, images, B, lambda *numbers: done.append(numbers), rows)
    np.testing.assert_array_equal(part, embed_images(model, variables, images, B)[rows.start : rows.stop])
    assert not len(rows) or done[-1] == (len(rows), len(rows))


@pytest.mark.parametrize("batch_size", [7, 20, 64])
def test_the_network_reads_the_same_in_any_batch_size(batch_size):
    model = organ_cnn(OrganCNNConfig(width=2), image_shape=(5, 5, 1), num_classes=2, mean=(0.5,), std=(0.25,))
    variables = model.init(jax.random.key(0))
    expected = jax.jit(model.apply)(variables, IMAGES)
    np.testing.assert_allclose(apply_images(model, variables, IMAGES, batch_size), expected, rtol=1e-4, atol=1e-5)
