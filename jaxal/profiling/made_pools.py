"""Pools that are made: a mixture of Gaussians, one a class and the later the rarer, with a head that nearly knows."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.pool import UNLABELED, new_pool
from jaxal.profiling.sizes import Sizes
from jaxal.strategies.strategy import AcquisitionInputs
from jaxal.typing import LinearHead

__all__ = ["make_pool"]

RAREST_TO_COMMONEST = 0.1
SPREAD = 1.5  # of the class means; the noise within a class has 1
DRAW_NOISE = 0.5  # of logits between Monte-Carlo draws


def make_pool(sizes: Sizes, seed: int, needs: frozenset[str]) -> AcquisitionInputs:
    """Draw a pool on the default device.

    The class shares fall geometrically, the rarest a tenth of the most common. L rows are labeled, at least one of each
    class, so that no strategy falls back to looking for classes. Equal sizes give equal shapes, another seed other
    values.

    Args:
        sizes: of the pool.
        seed: 0 or more.
        needs: which of logits, head, mc_logits and source_logits to make.
    """
    num_rows, width, num_classes, query_size, num_draws, num_source_classes = sizes
    rng = np.random.default_rng([seed, *sizes])

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    shares = RAREST_TO_COMMONEST ** (np.arange(num_classes) / (num_classes - 1))
    classes = rng.choice(num_classes, num_rows, p=shares / shares.sum()).astype(np.int32)
    labeled = rng.permutation(num_rows)[: sizes.num_labeled]
    classes[labeled[:num_classes]] = np.arange(num_classes)
    means = np.float32(SPREAD / math.sqrt(width)) * normal(num_classes, width)
    embeddings = normal(num_rows, width)
    embeddings *= np.float32(1 / math.sqrt(width))  # so that logits stay of the order of 1
    embeddings += means[classes]
    labels = np.full(num_rows, UNLABELED, np.int32)
    labels[labeled] = classes[labeled]
    weight = (means + normal(num_classes, width) / np.float32(math.sqrt(width))).T
    optional: dict[str, np.ndarray] = {}
    logits = embeddings @ weight
    if "logits" in needs:
        optional["logits"] = logits
    if "mc_logits" in needs:
        optional["mc_logits"] = logits[None] + np.float32(DRAW_NOISE) * normal(num_draws, num_rows, num_classes)
    if "source_logits" in needs:
        optional["source_logits"] = normal(num_rows, num_source_classes)
    inputs = AcquisitionInputs(
        pool=new_pool(jnp.asarray(labels)),
        embeddings=jnp.asarray(embeddings),
        sample_ids=jnp.arange(num_rows, dtype=jnp.int32),
        labels_left=jnp.asarray(query_size, jnp.int32),
        head=LinearHead(jnp.asarray(weight), jnp.zeros(num_classes)) if "head" in needs else None,
        **{name: jnp.asarray(values) for name, values in optional.items()},
    )
    return jax.block_until_ready(inputs)
