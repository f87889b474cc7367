"""Training in bfloat16: sound losses, parameters and statistics of float32, near what float32 gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_networks import QUIET, images, tiny
from training.small_models import fit_plan

from jaxal.config.augmentation import AugmentationConfig
from jaxal.config.training import TrainingConfig
from jaxal.models.linear import linear
from jaxal.training.augmentation import augmented
from jaxal.training.steps import new_fit, run_epoch

CONFIG = TrainingConfig(batch_size=6, micro_batch_size=3, learning_rate=1e-3)
LABELS = jnp.asarray([0, 1, 2, 0, 1, 2], jnp.int32)
BATCHES = jnp.asarray([[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]], jnp.int32)


def trained(model, pixels):
    begin = model.init(jax.random.key(0))
    state = new_fit(CONFIG, jax.tree.map(jnp.copy, begin))
    state = run_epoch(model, CONFIG, state, jax.random.key(1), pixels, LABELS, BATCHES, 2, fit_plan(2, 3))
    assert int(state.step) == 4
    return begin, state


def moved(begin, end):
    """Return by how much each number has moved, as one long row."""
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(jax.tree.map(jnp.subtract, end, begin))])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet", "b"])
def test_a_network_trains_in_bfloat16(name):
    settings = QUIET if name == "b" else {}
    model = augmented(tiny(name, compute="bfloat16", **settings), AugmentationConfig(flips="both", rotation=10.0))
    begin, state = trained(model, images())
    for leaf in jax.tree.leaves((state.variables, state.optimizer.inner_opt_state, state.optimizer.acc_grads)):
        assert leaf.dtype in (jnp.float32, jnp.int32)
        assert jnp.all(jnp.isfinite(leaf))
    # Two steps of Adam move almost every number by about the learning rate.
    assert 2e-4 < np.median(np.abs(moved(begin.params, state.variables.params))) < 4e-3
    assert np.abs(moved(begin.batch_stats, state.variables.batch_stats)).max() > 0


def test_a_last_layer_behind_a_trunk_in_bfloat16_trains_in_float32():
    network = tiny("resnet", compute="bfloat16")
    embeddings = jax.jit(network.embed)(network.init(jax.random.key(0)), images())
    assert embeddings.dtype == jnp.float32
    begin, state = trained(linear(network, dropout_rate=0.2, is_drawn=True), embeddings)
    assert {leaf.dtype for leaf in jax.tree.leaves(state.variables)} == {jnp.dtype("float32")}
    assert 2e-4 < np.median(np.abs(moved(begin.params, state.variables.params))) < 4e-3


@pytest.mark.slow
def test_gradients_in_bfloat16_point_where_those_of_float32_do():
    def gradient(compute):
        model = tiny("resnet", compute=compute)
        variables = model.init(jax.random.key(0))

        def loss(params):
            logits, _ = model.apply_train(variables._replace(params=params), jax.random.key(0), images())
            return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(6), LABELS])

        return jax.jit(jax.grad(loss))(variables.params)

    one, other = (moved(jax.tree.map(jnp.zeros_like, each), each) for each in map(gradient, ("float32", "bfloat16")))
    assert one @ other > 0.98 * np.linalg.norm(one) * np.linalg.norm(other)
    assert not np.array_equal(one, other)
