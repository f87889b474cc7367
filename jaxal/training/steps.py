"""Optimization steps: one jitted, donated step; an epoch runs it from Python on CPU and under scan elsewhere.

Where images are not on the device, it runs from Python everywhere, on batches that are streamed there. Where a batch is
too large for the device, all of this goes by its parts, and the optimizer takes its step with the last of them.
"""

import functools
from collections.abc import Callable
from contextlib import closing
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec

from jaxal.config.training import TrainingConfig
from jaxal.data.loading import Images
from jaxal.models.model import Model, Variables
from jaxal.processes import spread_everywhere
from jaxal.training.losses import LabeledSet, make_loss
from jaxal.training.optimizers import accumulated_direction, cosine_learning_rate
from jaxal.training.parallel import as_readable, fit_sharding
from jaxal.training.placement import stream_batches
from jaxal.typing import Array, Float, Int32, PRNGKey

__all__ = ["FitPlan", "FitState", "new_fit", "run_epoch", "scan_epoch", "step_epoch", "stream_epoch"]


class FitState(NamedTuple):
    """What the next step needs."""

    variables: Variables
    optimizer: Any
    step: Int32[Array, ""]  # batches done, or parts of batches


class FitPlan(NamedTuple):
    """What stays the same during a fit, but not from round to round."""

    total_steps: Float[Array, ""]  # of the whole fit, batches and not their parts: where the cosine ends
    class_counts: Int32[Array, " C"]  # labels of each class that train


def new_fit(config: TrainingConfig, variables: Variables) -> FitState:
    """Start a fit; where it is one of several devices, on all of them."""
    state = FitState(variables, _begin_optimizer(config, variables.params), jnp.asarray(0, jnp.int32))
    sharding = fit_sharding(config)
    return state if sharding is None else spread_everywhere(state, sharding)


@functools.partial(jax.jit, static_argnames="config")
def _begin_optimizer(config: TrainingConfig, params: Any) -> Any:
    return accumulated_direction(config.optimizer, config.num_parts).init(params)


def _update(
    model: Model,
    config: TrainingConfig,
    state: FitState,
    key: PRNGKey,
    images: Array,
    labels: Array,
    plan: FitPlan,
) -> FitState:
    """Take one step on the images and labels of a batch; of a part of one, only the last part moves the parameters."""

    progress = state.step // config.num_parts / plan.total_steps

    def loss_fn(params: Any) -> tuple[Array, Any]:
        variables = Variables(params, state.variables.batch_stats)
        logits, batch_stats = model.apply_train(variables, jax.random.fold_in(key, state.step), images)
        return make_loss(config.loss)(logits, labels, LabeledSet(plan.class_counts, progress)), batch_stats

    gradients, batch_stats = jax.grad(loss_fn, has_aux=True)(state.variables.params)
    optimizer_of = accumulated_direction(config.optimizer, config.num_parts)
    direction, optimizer = optimizer_of.update(gradients, state.optimizer, state.variables.params)
    rate = cosine_learning_rate(progress, config.learning_rate, config.final_learning_rate)
    params = optax.apply_updates(state.variables.params, jax.tree.map(lambda update: -rate * update, direction))
    return FitState(Variables(params, batch_stats), optimizer, state.step + 1)


_jit = functools.partial(jax.jit, static_argnames=("model", "config", "is_batch"), donate_argnames="state")


def _take_step(
    model: Model,
    config: TrainingConfig,
    state: FitState,
    key: PRNGKey,
    images: Array,
    labels: Array,
    batches: Array,
    number: int | Array,
    plan: FitPlan,
    *,
    is_batch: bool = False,
) -> FitState:
    """Learn from one batch, taken out of all images unless they are that batch."""
    rows = batches[number]
    return _update(model, config, state, key, images if is_batch else images[rows], labels[rows], plan)


_step = _jit(_take_step)


@functools.cache
def _spread_step(sharding: NamedSharding) -> Callable[..., FitState]:
    """Make the step on batches that are spread over devices; the state stays whole on each."""
    return _jit(_take_step, out_shardings=NamedSharding(sharding.mesh, PartitionSpec()))


def step_epoch(
    model: Model,
    config: TrainingConfig,
    state: FitState,
    key: PRNGKey,
    images: Array,
    labels: Array,
    batches: Array,
    num_steps: int,
    plan: FitPlan,
) -> FitState:
    """Run the first num_steps batches from Python: on CPU, convolution gradients inside scan are ten times slower."""
    for number in range(num_steps):
        state = _step(model, config, state, key, images, labels, batches, number, plan)
    return state


@functools.partial(jax.jit, static_argnames=("model", "config"), donate_argnames="state")
def scan_epoch(
    model: Model,
    config: TrainingConfig,
    state: FitState,
    key: PRNGKey,
    images: Array,
    labels: Array,
    batches: Array,
    num_steps: Array,
    plan: FitPlan,
) -> FitState:
    """Run the first num_steps batches in one launch: on GPU and TPU a dispatch per step would dominate."""

    def body(carry: FitState, number: Array) -> tuple[FitState, None]:
        def advance(now: FitState) -> FitState:
            return _step(model, config, now, key, images, labels, batches, number, plan)

        return jax.lax.cond(number < num_steps, advance, lambda now: now, carry), None

    return jax.lax.scan(body, state, jnp.arange(batches.shape[0], dtype=jnp.int32))[0]


def stream_epoch(
    model: Model,
    config: TrainingConfig,
    state: FitState,
    key: PRNGKey,
    images: Images,
    labels: Array,
    batches: Array,
    num_steps: int,
    plan: FitPlan,
    sharding: NamedSharding | None = None,
) -> FitState:
    """Run the first num_steps batches from Python, each streamed to the device: bit for bit `step_epoch` on CPU.

    With a sharding each batch is spread over several devices, and the state is on all of them.
    """
    step = _step if sharding is None else _spread_step(sharding)
    with closing(stream_batches(images, np.asarray(batches)[:num_steps], sharding)) as loaded:
        for number, batch in enumerate(loaded):
            state = step(model, config, state, key, batch, labels, batches, number, plan, is_batch=True)
            jax.block_until_ready(state.step)  # or launches would run ahead, each with its batch
    return state


def run_epoch(
    model: Model,
    config: TrainingConfig,
    state: FitState,
    key: PRNGKey,
    images: Array | Images,
    labels: Array,
    batches: Array,
    num_steps: int,
    plan: FitPlan,
) -> FitState:
    """Run the first num_steps batches, part by part, the way that suits the images and the backend.

    Args:
        model: the network.
        config: of training.
        state: of the fit, donated.
        key: of the fit's noise.
        images: of the pool.
        labels: of the pool.
        batches: rows of the pool [steps, B].
        num_steps: of these batches, from the first on; whole ones, not their parts.
        plan: of the fit.
    """
    batches, num_steps = batches.reshape(-1, batches.shape[1] // config.num_parts), num_steps * config.num_parts
    sharding = fit_sharding(config)
    if sharding is not None:
        readable = as_readable(images)
        return stream_epoch(model, config, state, key, readable, labels, batches, num_steps, plan, sharding)
    if isinstance(images, Images):
        return stream_epoch(model, config, state, key, images, labels, batches, num_steps, plan)
    epoch = step_epoch if jax.default_backend() == "cpu" else scan_epoch
    return epoch(model, config, state, key, images, labels, batches, num_steps, plan)
