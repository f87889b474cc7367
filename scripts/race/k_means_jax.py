"""k-means in jax: jaxal's, and the textbook."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.kernels.blocks import rows_per_block
from jaxal.kernels.distances import embedding_points, mean_embedding
from jaxal.kernels.k_means import k_means
from jaxal.kernels.lloyd import lloyd

from .contestants import Call
from .pools import Pool

Array = jax.Array


def ours(pool: Pool, start: np.ndarray, num_steps: int) -> Call:
    """jaxal's steps, laid out as `k_means` does behind its seeds."""
    centers = jnp.asarray(start)
    num_rows, width = pool.on_device.shape
    is_member, exists = jnp.ones(num_rows, bool), jnp.ones(len(centers), bool)
    block_size = rows_per_block(4 * (3 * width + 4 * len(centers)), num_rows)

    @jax.jit
    def run(embeddings: Array, centers: Array) -> Array:
        middle = mean_embedding(embeddings, is_member)
        points = embedding_points(embeddings, middle)
        return lloyd(points, middle, is_member, centers, exists, exists, num_steps, block_size).centers

    return Call(lambda: np.asarray(run(pool.on_device, centers)))


def ours_seeded(pool: Pool, num_clusters: int, num_steps: int) -> Call:
    """jaxal's kernel whole."""
    embeddings = pool.on_device
    num_rows = len(embeddings)
    ids, is_member = jnp.arange(num_rows, dtype=jnp.int32), jnp.ones(num_rows, bool)

    @jax.jit
    def run(key: Array, embeddings: Array) -> Array:
        wanted = jnp.asarray(num_clusters, jnp.int32)
        return k_means(key, embeddings, ids, is_member, wanted, num_clusters, num_steps).centers

    return Call(lambda: np.asarray(run(jax.random.key(0), embeddings)))


def jitted_textbook(pool: Pool, start: np.ndarray, num_steps: int) -> Call:
    """argmin of ‖c‖² - 2 z·c over all rows at once, and sums by segments."""
    embeddings, centers = pool.on_device, jnp.asarray(start)

    @jax.jit
    def run(embeddings: Array, centers: Array) -> Array:
        def step(_: Array, centers: Array) -> Array:
            products = jnp.matmul(embeddings, centers.T, precision="highest")
            nearest = jnp.argmin(jnp.sum(jnp.square(centers), axis=1)[None] - 2 * products, axis=1)
            sums = jax.ops.segment_sum(embeddings, nearest, len(centers))
            counts = jnp.zeros(len(centers), embeddings.dtype).at[nearest].add(1)
            return jnp.where((counts > 0)[:, None], sums / jnp.maximum(counts, 1)[:, None], centers)

        return jax.lax.fori_loop(0, num_steps, step, centers)

    return Call(lambda: np.asarray(run(embeddings, centers)))
