"""Training sees augmented images, evaluation and embedding the images as they are."""

import jax
import jax.numpy as jnp
import numpy as np
from small_models import fit_plan, linear_model

from jaxal.config.augmentation import AugmentationConfig
from jaxal.config.training import TrainingConfig
from jaxal.training.augmentation import augmented
from jaxal.training.steps import new_fit, run_epoch

SIDE = 4
IMAGES = jnp.asarray(np.random.default_rng(0).integers(0, 256, (8, SIDE, SIDE, 1), dtype=np.uint8))
LABELS = jnp.asarray([0, 1] * 4, jnp.int32)
MODEL = linear_model(num_pixels=SIDE * SIDE)
BOTH = AugmentationConfig(flips="both", rotation=30.0)


def test_nothing_to_change_is_the_model_itself():
    assert augmented(MODEL, AugmentationConfig()) is MODEL
    assert augmented(MODEL, BOTH) is augmented(MODEL, BOTH) is not MODEL


def test_training_alone_is_augmented():
    model, variables = augmented(MODEL, BOTH), MODEL.init(jax.random.key(0))
    assert model._replace(embed_train=MODEL.embed_train, apply_train=MODEL.apply_train) == MODEL
    for train in (model.embed_train, model.apply_train):
        outputs = [train(variables, jax.random.key(seed), IMAGES)[0] for seed in (0, 0, 1)]
        np.testing.assert_array_equal(outputs[0], outputs[1])
        assert not np.allclose(outputs[0], outputs[2])


def test_the_network_s_own_noise_is_that_without_augmentation():
    variables, key = MODEL.init(jax.random.key(0)), jax.random.key(3)
    noises = [each.apply_train(variables, key, IMAGES)[1]["noise"] for each in (MODEL, augmented(MODEL, BOTH))]
    assert noises[0] == noises[1]


def test_each_step_and_each_part_of_a_batch_draws_anew():
    seen = []

    def apply_train(variables, key, images):
        jax.debug.callback(lambda pixels: seen.append(pixels.tobytes()), images, ordered=True)
        return MODEL.apply_train(variables, key, images)

    model = augmented(MODEL._replace(apply_train=apply_train), AugmentationConfig(rotation=90.0))
    config = TrainingConfig(batch_size=4, micro_batch_size=2)
    batches = jnp.asarray([[0, 1, 0, 1], [0, 1, 0, 1]], jnp.int32)
    state = new_fit(config, MODEL.init(jax.random.key(0)))
    run_epoch(model, config, state, jax.random.key(0), IMAGES, LABELS, batches, 2, fit_plan(2))
    jax.effects_barrier()
    assert len(seen) == len(set(seen)) == 4
