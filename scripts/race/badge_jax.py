"""BADGE in jax: jaxal's, and the loops one would write."""

import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.config.strategies import BADGEConfig

from .contestants import Call
from .jaxal_strategy import strategy_call
from .pools import Pool

Array = jax.Array


def ours(pool: Pool, num_picks: int) -> Call:
    """jaxal's strategy, from the logits to the picks."""
    return strategy_call(BADGEConfig(), pool, num_picks)


def _on_device(pool: Pool) -> tuple[Array, Array, Array]:
    return jnp.asarray(pool.logits), pool.on_device, jnp.asarray(pool.labels < 0)


def _residual(logits: Array) -> Array:
    return jax.nn.softmax(logits) - jax.nn.one_hot(jnp.argmax(logits, axis=1), logits.shape[1])


def _sample(key: Array, norms: Array, squared_to: Callable[[Array], Array], num_wanted: Array, num_picks: int) -> Array:
    """The largest norm first, then rows in proportion to D²; -inf in norms for rows that may not be picked."""
    selectable = norms >= 0

    def pick(position: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        nearest, picks = carry
        drawn = jax.random.categorical(jax.random.fold_in(key, position), jnp.log(nearest))
        row = jnp.where(position == 0, jnp.argmax(norms), drawn).astype(jnp.int32)
        nearest = jnp.minimum(nearest, jnp.maximum(squared_to(row), 0)).at[row].set(0)
        return nearest, picks.at[position].set(row)

    start = (jnp.where(selectable, jnp.inf, 0), jnp.zeros(num_picks, jnp.int32))
    return jax.lax.fori_loop(0, jnp.minimum(num_wanted, num_picks), pick, start)[1]


def _loop(pool: Pool, num_picks: int, select: Callable[..., Array]) -> Call:
    arrays, seeds = _on_device(pool), itertools.count()

    def run(num_wanted: int) -> np.ndarray:
        picks = select(jax.random.key(next(seeds)), *arrays, jnp.asarray(num_wanted, jnp.int32))
        return np.asarray(picks)[:num_wanted]

    return Call(lambda: run(num_picks), run, num_picks)


def jitted_materialised(pool: Pool, num_picks: int) -> Call:
    """All gradients [N, C·D] in memory, distances by differences."""

    @jax.jit
    def select(key: Array, logits: Array, embeddings: Array, is_selectable: Array, num_wanted: Array) -> Array:
        gradients = (_residual(logits)[:, :, None] * embeddings[:, None, :]).reshape(len(logits), -1)
        norms = jnp.where(is_selectable, jnp.sum(jnp.square(gradients), axis=1), -jnp.inf)

        def squared_to(row: Array) -> Array:
            return jnp.sum(jnp.square(gradients - gradients[row][None]), axis=1)

        return _sample(key, norms, squared_to, num_wanted, num_picks)

    return _loop(pool, num_picks, select)


def jitted_factorised(pool: Pool, num_picks: int) -> Call:
    """|q|²|z|² + |q'|²|z'|² - 2(q·q')(z·z'): one product of the pool with a vector for each pick."""

    @jax.jit
    def select(key: Array, logits: Array, embeddings: Array, is_selectable: Array, num_wanted: Array) -> Array:
        residual = _residual(logits)
        squares = jnp.sum(jnp.square(residual), axis=1) * jnp.sum(jnp.square(embeddings), axis=1)

        def squared_to(row: Array) -> Array:
            products = jnp.matmul(embeddings, embeddings[row], precision="highest")
            return squares + squares[row] - 2 * jnp.matmul(residual, residual[row], precision="highest") * products

        return _sample(key, jnp.where(is_selectable, squares, -jnp.inf), squared_to, num_wanted, num_picks)

    return _loop(pool, num_picks, select)
