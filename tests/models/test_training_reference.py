"""One training step of the large networks' functions, against float64 NumPy: logits, statistics, every gradient."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_networks import QUIET, SPEC, block_shapes, images, lively, tiny

from jaxal.models.model import Variables

sys.path.insert(0, str(Path(__file__).parents[1]))
from reference import networks as reference

LABELS = np.arange(6) % 3
CONVENTIONS = {"b": (False, 1e-5, 0.1), "tf": (True, 1e-3, 0.01), "lite": (True, 1e-3, 0.01)}


def model_of(name):
    return tiny(name) if name == "resnet" else tiny(name, **QUIET)


def plain(name, params, stats, pixels, *, is_training):
    """The reference's logits and new statistics."""
    x = (np.asarray(pixels, np.float64) / 255 - np.asarray(SPEC.mean)) / np.asarray(SPEC.std)
    if name == "resnet":
        return reference.resnet(params, stats, x, [1, 2], is_training=is_training)
    is_same, epsilon, momentum = CONVENTIONS[name]
    return reference.efficientnet(
        params,
        stats,
        x,
        block_shapes(name),
        is_same=is_same,
        epsilon=epsilon,
        momentum=momentum,
        is_lite=name == "lite",
        is_training=is_training,
    )


def plain_loss(logits):
    wide = logits - logits.max(1, keepdims=True)
    log_probabilities = wide - np.log(np.exp(wide).sum(1, keepdims=True))
    return -np.mean(log_probabilities[np.arange(len(LABELS)), LABELS])


# "tf" has all that the others of EfficientNet have, but Lite's activation and PyTorch's padding.
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("b", "lite")]


@pytest.fixture(scope="module", params=["tf", *SLOW, "resnet"])
def stepped(request):
    """Name, variables, logits, new statistics and gradients of one step."""
    model = model_of(request.param)
    variables = lively(model)

    @jax.jit
    def step(params):
        def loss(params):
            logits, batch_stats = model.apply_train(
                Variables(params, variables.batch_stats), jax.random.key(1), images()
            )
            return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(6), LABELS]), (logits, batch_stats)

        return jax.grad(loss, has_aux=True)(params)

    gradients, (logits, batch_stats) = step(variables.params)
    return request.param, variables, logits, batch_stats, gradients


def wide(tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


def test_logits_and_statistics_of_a_training_batch(stepped):
    name, variables, logits, batch_stats, _ = stepped
    expected, new = plain(name, *map(wide, variables), images(), is_training=True)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    assert jax.tree.structure(new) == jax.tree.structure(batch_stats)
    for one, other in zip(jax.tree.leaves(batch_stats), jax.tree.leaves(new), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_logits_of_evaluation(stepped):
    name, variables, *_ = stepped
    expected, _ = plain(name, *map(wide, variables), images(), is_training=False)
    logits = jax.jit(model_of(name).apply)(variables, images())
    assert np.max(np.abs(logits - expected)) <= 1e-5 * np.max(np.abs(expected))


def test_every_gradient_along_a_random_direction(stepped):
    name, variables, _, _, gradients = stepped
    params, stats = map(wide, variables)
    leaves, structure = jax.tree.flatten(params)
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    rng = np.random.default_rng(4)
    largest = max(np.linalg.norm(leaf) for leaf in jax.tree.leaves(gradients))
    for number, gradient in enumerate(jax.tree.leaves(gradients)):
        gradient = np.asarray(gradient, np.float64)
        direction = rng.standard_normal(gradient.shape)
        # Along the gradient too, or a direction could miss an error in a few numbers.
        direction = direction / np.linalg.norm(direction) + gradient / np.linalg.norm(gradient)
        losses = []
        for step in (1e-5, -1e-5):
            moved = [*leaves]
            moved[number] = leaves[number] + step * direction
            logits, _ = plain(name, jax.tree.unflatten(structure, moved), stats, images(), is_training=True)
            losses.append(plain_loss(logits))
        slope = (losses[0] - losses[1]) / 2e-5
        own = np.sum(gradient * direction)
        np.testing.assert_allclose(own, slope, rtol=2e-3, atol=2e-5 * largest, err_msg=str(paths[number]))
