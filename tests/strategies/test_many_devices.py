"""The pool's rows laid out over eight devices: the same picks as on one."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxal.config import strategies as configs
from jaxal.pool import PoolState
from jaxal.strategies.registry import make_strategy
from jaxal.strategies.strategy import AcquisitionInputs
from jaxal.typing import LinearHead

assert jax.device_count() == 8
N, D, C, Q = 1600, 16, 4, 60
rng = np.random.default_rng(0)
z, weight = rng.normal(size=(N, D)).astype(np.float32), rng.normal(size=(D, C)).astype(np.float32)
labels = np.where(np.arange(N) < 80, rng.integers(0, C, N), -1).astype(np.int32)
inputs = AcquisitionInputs(
    pool=PoolState(jnp.asarray(labels), jnp.full(N, -1, jnp.int32), jnp.int32(0)),
    embeddings=jnp.asarray(z),
    sample_ids=jnp.arange(N, dtype=jnp.int32),
    labels_left=jnp.int32(Q),
    logits=jnp.asarray(z @ weight),
    head=LinearHead(jnp.asarray(weight), jnp.zeros(C)),
)
mesh = jax.make_mesh((8,), ("pool",), axis_types=(AxisType.Auto,))
by_rows, everywhere = NamedSharding(mesh, PartitionSpec("pool")), NamedSharding(mesh, PartitionSpec())
place = lambda array: jax.device_put(array, by_rows if array.ndim and len(array) == N else everywhere)
sharded = jax.tree.map(place, inputs)
assert len(sharded.embeddings.sharding.device_set) == 8 and not sharded.embeddings.is_fully_replicated
for config in (configs.CoreSetConfig(), configs.BADGEConfig(), configs.CBDALConfig()):
    strategy = make_strategy(config, num_classes=C)
    acquire = jax.jit(lambda key, inputs: strategy.acquire(key, strategy.init(inputs), inputs, Q)[0].indices)
    one, eight = (np.asarray(acquire(jax.random.key(1), given)) for given in (inputs, sharded))
    assert len(set(one.tolist())) == Q
    print(strategy.name, np.array_equal(one, eight))
"""


@pytest.mark.slow
def test_eight_devices_pick_what_one_picks():
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["core_set", "True", "badge", "True", "cb_dal", "True"]
