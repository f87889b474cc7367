"""A fit on several devices: the batches that it can share out, and those that it cannot."""

import jax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxal.config.training import TrainingConfig
from jaxal.errors import ConfigError
from jaxal.training import parallel


class OfThree(NamedSharding):
    """As if there were three devices."""

    @property
    def device_set(self):
        return {0, 1, 2}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"batch_size": 16}, "3 devices do not divide batch_size = 16"),
        ({"batch_size": 48, "micro_batch_size": 16}, "3 devices do not divide micro_batch_size = 16"),
    ],
)
def test_batches_that_devices_do_not_divide_are_refused(monkeypatch, settings, told):
    spread = OfThree(jax.make_mesh((1,), ("batch",)), PartitionSpec("batch"))
    monkeypatch.setattr(parallel, "batch_sharding", lambda *, of_all_processes: spread if of_all_processes else None)
    assert parallel.fit_sharding(TrainingConfig(**settings)) is None
    assert parallel.fit_sharding(TrainingConfig(batch_size=48, micro_batch_size=24, data_parallel=True)) is spread
    with pytest.raises(ConfigError, match=told):
        parallel.fit_sharding(TrainingConfig(**settings, data_parallel=True))


def test_one_device_fits_as_ever():
    assert parallel.fit_sharding(TrainingConfig(data_parallel=True)) is None
