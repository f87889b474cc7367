import types

import pytest

from jaxal.acquisition import memory
from jaxal.kernels.blocks import DEFAULT_BLOCK_BYTES


@pytest.mark.parametrize(
    ("free", "expected"),
    [(2**50, DEFAULT_BLOCK_BYTES), (2**30, 2**25), (2**30 - 1, 2**24), (5, 2**20), (None, DEFAULT_BLOCK_BYTES)],
)
def test_on_the_host_at_most_the_default_and_less_where_memory_is_short(monkeypatch, free, expected):
    monkeypatch.setattr(memory, "free_on_host", lambda: free)
    assert memory.default_block_bytes() == expected


@pytest.mark.parametrize(("in_use", "expected"), [(0, 2**32), (2**36, 2**31), (2**37, DEFAULT_BLOCK_BYTES)])
def test_on_a_device_a_share_of_its_own_memory(monkeypatch, in_use, expected):
    stats = {"bytes_limit": 2**37, "bytes_in_use": in_use}
    device = types.SimpleNamespace(memory_stats=lambda: stats)
    monkeypatch.setattr(memory, "_default_device", lambda: device)
    assert memory.default_block_bytes() == expected
