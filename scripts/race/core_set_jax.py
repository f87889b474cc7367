"""Greedy k-center in jax: jaxal's, and the loops one would write."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.config.strategies import CoreSetConfig

from .checks import Cover
from .contestants import Call, NotPossible
from .jaxal_strategy import strategy_call
from .pools import Pool

Array = jax.Array
BLOCK = 128  # centers a product


def ours(pool: Pool, num_picks: int) -> Call:
    """jaxal's strategy."""
    call = strategy_call(CoreSetConfig(), pool, num_picks)

    def sample(num_wanted: int) -> Cover:
        assert call.sample is not None
        return Cover(pool.labeled, call.sample(num_wanted))

    return Call(lambda: Cover(pool.labeled, call.run()), sample, num_picks)


def _norms(embeddings: Array) -> Array:
    return jnp.sum(jnp.square(embeddings), axis=1)


def _squared_by_product(embeddings: Array, norms: Array, row: Array) -> Array:
    return norms + norms[row] - 2 * jnp.matmul(embeddings, embeddings[row], precision="highest")


@functools.partial(jax.jit, static_argnames="by_product")
def _loop(embeddings: Array, nearest: Array, num_picks: Array, picks: Array, by_product: bool) -> Array:
    """Pick the farthest row, fold it in, and so on; rows that may not be picked have nearest -inf and keep it."""
    norms = _norms(embeddings)

    def pick(position: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        nearest, picks = carry
        row = jnp.argmax(nearest).astype(jnp.int32)
        if by_product:
            distance = _squared_by_product(embeddings, norms, row)
        else:
            distance = jnp.sum(jnp.square(embeddings - embeddings[row][None]), axis=1)
        return jnp.minimum(nearest, distance).at[row].set(-jnp.inf), picks.at[position].set(row)

    return jax.lax.fori_loop(0, num_picks, pick, (nearest, picks))[1]


@jax.jit
def _fold_in(embeddings: Array, centers: Array) -> Array:
    """Find every row's squared distance to its nearest center, by products with blocks of centers."""
    norms = _norms(embeddings)

    def fold(nearest: Array, block: Array) -> tuple[Array, None]:
        products = jnp.matmul(embeddings, embeddings[block].T, precision="highest")
        return jnp.minimum(nearest, jnp.min(norms[block][None] - 2 * products, axis=1)), None

    padding = -len(centers) % BLOCK
    blocks = jnp.concatenate([centers, jnp.broadcast_to(centers[:1], (padding,))]).reshape(-1, BLOCK)
    nearest, _ = jax.lax.scan(fold, jnp.full_like(norms, jnp.inf), blocks)
    return (nearest + norms).at[centers].set(-jnp.inf)


def jitted_products(pool: Pool, num_picks: int) -> Call:
    """One product of the pool with a vector for each pick, norms cached; labeled centers by products of matrices."""
    embeddings, centers = pool.on_device, jnp.asarray(pool.labeled, jnp.int32)
    room = jnp.zeros(num_picks, jnp.int32)

    def run(num_wanted: int) -> Cover:
        nearest = _fold_in(embeddings, centers)
        picks = _loop(embeddings, nearest, jnp.asarray(num_wanted, jnp.int32), room, by_product=True)
        return Cover(pool.labeled, np.asarray(picks)[:num_wanted])

    return Call(lambda: run(num_picks), run, num_picks)


@jax.jit
def _fold_in_one_by_one(embeddings: Array, centers: Array, num_centers: Array) -> Array:
    def fold(position: Array, nearest: Array) -> Array:
        row = centers[position]
        return (
            jnp.minimum(nearest, jnp.sum(jnp.square(embeddings - embeddings[row][None]), axis=1)).at[row].set(-jnp.inf)
        )

    unreached = jnp.full(embeddings.shape[0], jnp.inf, embeddings.dtype)
    return jax.lax.fori_loop(0, num_centers, fold, unreached)


def jitted_differences(pool: Pool, num_picks: int) -> Call:
    """The textbook: sum((z - z_c)²) over the pool for each center, labeled or picked."""
    embeddings, centers = pool.on_device, jnp.asarray(pool.labeled, jnp.int32)
    room = jnp.zeros(num_picks, jnp.int32)

    def run(num_centers: int, num_wanted: int) -> Cover:
        nearest = _fold_in_one_by_one(embeddings, centers, jnp.asarray(num_centers, jnp.int32))
        picks = _loop(embeddings, nearest, jnp.asarray(num_wanted, jnp.int32), room, by_product=False)
        return Cover(pool.labeled[:num_centers], np.asarray(picks)[:num_wanted])

    def sample(num_passes: int) -> Cover:  # the first is that of one center
        return run(1, num_passes - 1)

    return Call(lambda: run(len(centers), num_picks), sample, len(centers) + num_picks)


@jax.jit
def _products(embeddings: Array, blocks: Array) -> Array:
    def multiply(total: Array, block: Array) -> tuple[Array, None]:
        return total + jnp.matmul(embeddings, embeddings[block].T, precision="highest"), None

    start = jnp.zeros((embeddings.shape[0], BLOCK), embeddings.dtype)
    return jax.lax.scan(multiply, start, blocks)[0]


def products_alone(pool: Pool, num_picks: int) -> Call:
    """The pool times as many rows as there are centers and picks, 128 at a time."""
    num_blocks = -(-(len(pool.labeled) + num_picks) // BLOCK)
    if len(pool.labels) < BLOCK:
        raise NotPossible(f"fewer than {BLOCK} rows")
    embeddings = pool.on_device
    blocks = jnp.arange(num_blocks * BLOCK, dtype=jnp.int32).reshape(-1, BLOCK) % len(pool.labels)
    return Call(lambda: jax.block_until_ready(_products(embeddings, blocks)))
