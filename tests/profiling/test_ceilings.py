"""What the machine can do at best."""

from types import SimpleNamespace

import pytest

from jaxal.profiling import ceilings
from jaxal.profiling.ceilings import measure_ceilings


def test_the_machine_is_neither_a_sundial_nor_a_miracle():
    found = measure_ceilings(read_bytes=2**24, num_tries=1)
    assert 1e8 < found.read_bytes_per_second < 1e14
    assert 1e8 < found.gemm_flops_per_second < 1e16


def test_the_best_of_all_forms_and_tries_counts(monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr(ceilings.time, "perf_counter", lambda: float(next(clock)))
    # Every call takes one second by this clock.
    found = measure_ceilings(read_bytes=2**20, num_tries=1)
    assert found.read_bytes_per_second == 2**20
    assert found.gemm_flops_per_second == 2 * 2048**3

    seconds = iter([5.0, 9.0, 2.0, 7.0])
    steps = [0.0]

    def work():
        steps[0] += next(seconds)

    monkeypatch.setattr(ceilings.time, "perf_counter", lambda: steps[0])
    assert ceilings._best_seconds(work, 3) == pytest.approx(2.0)


def test_a_device_reads_more_but_no_more_than_a_quarter_of_its_memory(monkeypatch):
    def reads(limit):
        device = SimpleNamespace(memory_stats=lambda: limit)
        monkeypatch.setattr(ceilings.jax, "local_devices", lambda: [device])
        return ceilings._device_read_bytes()

    assert reads(None) == reads({"bytes_limit": 80 * 2**30}) == 4 * 2**30
    assert reads({"bytes_limit": 8 * 2**30}) == 2 * 2**30
    # The forms without NumPy, as on a device.
    assert ceilings._read_speed(2**20, 1, on_host=False) > 1e6
