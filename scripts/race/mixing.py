"""The task of scalar mixing, and who solves it: ten α and every class's anchor, for every row."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.kernels.scalar_mixing import anchor_logits, scalar_mixing

from .checks import check_flips
from .contestants import Call, Contestant, Task
from .pools import Pool, Size

ALPHAS = np.linspace(0.1, 1.0, 10, dtype=np.float32)
FROM_LOGITS, FROM_EMBEDDINGS = "from the logits that every query has", "from the embeddings"

Array = jax.Array


def mixing_task(pool: Pool, size: Size) -> Task:
    """For each row the smallest α of ten at which a mix with some class's anchor changes the prediction."""
    anchors = _anchors(pool)
    at_anchors = anchors.astype(np.float64) @ pool.weight + pool.bias

    def contestant(
        name: str, problem: str, make: Callable[[Pool, np.ndarray], Call], is_ours: bool = False
    ) -> Contestant:
        return Contestant(name, problem, lambda pool: make(pool, anchors), is_ours)

    def check(contestant: Contestant, smallest: np.ndarray) -> str | None:
        return check_flips(pool.logits, at_anchors, ALPHAS, smallest)

    num_rows, num_classes = pool.logits.shape
    return Task(
        name="scalar_mixing",
        title=f"the smallest of {len(ALPHAS)} α that flips each row, over {num_classes} anchors",
        contestants=(
            contestant("jaxal", FROM_LOGITS, _ours, is_ours=True),
            contestant("jaxal, with the head's product", FROM_EMBEDDINGS, _ours_with_head),
            contestant("jitted N×D mixes", FROM_EMBEDDINGS, _jitted_mixes),
            contestant("NumPy N×D mixes", FROM_EMBEDDINGS, _numpy_mixes),
        ),
        check=check,
        num_picks=1,
        flops=2.0 * num_rows * num_classes,
        num_bytes=4.0 * num_rows * (num_classes + 1),
    )


def _anchors(pool: Pool) -> np.ndarray:
    """Average the rows of each predicted class [C, D]; the pool's mean where there is none."""
    predicted = pool.logits.argmax(axis=1)
    means = [
        pool.embeddings[predicted == each].mean(axis=0) if (predicted == each).any() else pool.embeddings.mean(axis=0)
        for each in range(pool.logits.shape[1])
    ]
    return np.array(means, np.float32)


def _ours(pool: Pool, anchors: np.ndarray) -> Call:
    exists, alphas = jnp.ones(len(anchors), bool), jnp.asarray(ALPHAS)
    arrays = tuple(map(jnp.asarray, (pool.logits, anchors, pool.weight, pool.bias)))

    @jax.jit
    def smallest(logits: Array, anchors: Array, weight: Array, bias: Array) -> Array:
        return scalar_mixing(logits, anchor_logits(anchors, weight, bias), exists, alphas).norm

    return Call(lambda: np.asarray(smallest(*arrays)))


def _ours_with_head(pool: Pool, anchors: np.ndarray) -> Call:
    exists, alphas = jnp.ones(len(anchors), bool), jnp.asarray(ALPHAS)
    arrays = tuple(map(jnp.asarray, (pool.on_device, anchors, pool.weight, pool.bias)))

    @jax.jit
    def smallest(embeddings: Array, anchors: Array, weight: Array, bias: Array) -> Array:
        logits = jnp.matmul(embeddings, weight, precision="highest") + bias[None]
        return scalar_mixing(logits, anchor_logits(anchors, weight, bias), exists, alphas).norm

    return Call(lambda: np.asarray(smallest(*arrays)))


def _jitted_mixes(pool: Pool, anchors: np.ndarray) -> Call:
    """Mix every row with every anchor by every α, and ask the head."""
    arrays = tuple(map(jnp.asarray, (pool.on_device, anchors, pool.weight, pool.bias)))

    @jax.jit
    def smallest(embeddings: Array, anchors: Array, weight: Array, bias: Array) -> Array:
        def predict(rows: Array) -> Array:
            return jnp.argmax(jnp.matmul(rows, weight, precision="highest") + bias[None], axis=1)

        predicted = predict(embeddings)
        pairs = (jnp.repeat(jnp.asarray(ALPHAS), len(anchors)), jnp.tile(anchors, (len(ALPHAS), 1)))

        def mix(least: Array, pair: tuple[Array, Array]) -> tuple[Array, None]:
            alpha, anchor = pair
            is_flipped = predict(alpha * anchor[None] + (1 - alpha) * embeddings) != predicted
            return jnp.where(is_flipped, jnp.minimum(least, alpha), least), None

        return jax.lax.scan(mix, jnp.full(embeddings.shape[0], jnp.inf, embeddings.dtype), pairs)[0]

    return Call(lambda: np.asarray(smallest(*arrays)))


def _numpy_mixes(pool: Pool, anchors: np.ndarray) -> Call:
    def run() -> np.ndarray:
        def predict(rows: np.ndarray) -> np.ndarray:
            return (rows @ pool.weight + pool.bias).argmax(axis=1)

        predicted = predict(pool.embeddings)
        least = np.full(len(predicted), np.inf, np.float32)
        for alpha in ALPHAS[::-1]:
            for anchor in anchors:
                is_flipped = predict(alpha * anchor + (1 - alpha) * pool.embeddings) != predicted
                least[is_flipped] = alpha
        return least

    return Call(run)
