"""A network in place of EfficientNet-Lite0 that is made and fitted in no time, and weights of it."""

import contextlib

import jax
import numpy as np
import pytest
from safetensors.numpy import save

from jaxal.config.models import EfficientNetConfig
from jaxal.models.efficientnet import efficientnet
from jaxal.models.efficientnet_table import VARIANTS, Stage
from jaxal.models.weights import named_leaves

# Two short blocks: what matters is the way to the network, not the network.
SMALL = VARIANTS["lite0"]._replace(width=0.25, stages=(Stage(1, 3, 1, 1, 16), Stage(1, 3, 2, 2, 16)))


@contextlib.contextmanager
def small_network(cache):
    """Let the name lite0 stand for it, with a user's cache of its own."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(VARIANTS, "lite0", SMALL)
        patched.setenv("XDG_CACHE_HOME", str(cache))
        yield


def write_weights(path, seed=0):
    """Write weights of three channels and five classes, with statistics that are not the neutral ones."""
    shape = {"image_shape": (8, 8, 3), "num_classes": 5, "mean": (0.5,) * 3, "std": (0.25,) * 3}
    variables = efficientnet(EfficientNetConfig(variant="lite0", drop_path=0.125), **shape).init(jax.random.key(seed))
    rng = np.random.default_rng(seed)
    named = {
        name: np.asarray(leaf) if leaf.ndim > 1 else rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
        for name, leaf in named_leaves(variables).items()
    }
    path.write_bytes(save(named))
