"""The pools that `jaxal.select` is tried on."""

import numpy as np

import jaxal
from jaxal.pool import EXCLUDED, UNLABELED

N, D, C, S, M, Q = 60, 5, 3, 7, 4, 6
U, X = UNLABELED, EXCLUDED


def pool_arrays(seed=0):
    """Everything that `select` takes, float32, with 9 labeled and 3 excluded rows."""
    rng = np.random.default_rng(seed)
    embeddings, weight, bias = (rng.normal(size=size).astype(np.float32) for size in ((N, D), (D, C), (C,)))
    labels = np.full(N, U)
    labels[:9] = np.arange(9) % C
    labels[20:23] = X
    logits = embeddings @ weight + bias
    return {
        "embeddings": embeddings,
        "labels": labels,
        "logits": logits,
        "head": (weight, bias),
        "mc_logits": logits[None] + rng.normal(size=(M, N, C)).astype(np.float32),
        "source_logits": rng.normal(size=(N, S)).astype(np.float32),
    }


def select(strategy, budget=Q, **arguments):
    """`jaxal.select` with a usual budget."""
    return jaxal.select(strategy, budget=budget, **arguments)


def only(arrays, *names):
    return {name: arrays[name] for name in ("embeddings", "labels", *names)}
