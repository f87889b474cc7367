"""How much memory a call takes."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from jaxal.profiling import memory_growth
from jaxal.profiling.memory_growth import measured_growth

MB = 10**6


def take_and_give_back():
    np.ones(60 * MB, np.uint8).sum()


@pytest.mark.parametrize("is_sampled", [False, True])
def test_what_a_call_takes_is_seen_though_it_is_given_back(monkeypatch, tmp_path, is_sampled):
    if is_sampled:
        monkeypatch.setattr(memory_growth, "RESET", tmp_path / "nowhere" / "file")
    assert 55 * MB < measured_growth(take_and_give_back) < 90 * MB
    assert measured_growth(lambda: None) < 10 * MB


def test_what_is_there_already_does_not_count():
    held = np.ones(100 * MB, np.uint8)
    assert measured_growth(lambda: held.sum()) < 30 * MB


def test_the_call_s_error_is_the_caller_s(monkeypatch, tmp_path):
    monkeypatch.setattr(memory_growth, "RESET", tmp_path / "nowhere" / "file")
    with pytest.raises(ZeroDivisionError):
        measured_growth(lambda: 1 // 0)


def test_where_nothing_tells_it_is_not_made_up(monkeypatch, tmp_path):
    monkeypatch.setattr(memory_growth, "MAPPED", tmp_path / "nowhere")
    called = []
    assert measured_growth(lambda: called.append(1)) is None
    assert called == [1]


@pytest.mark.parametrize(("peak_after", "growth"), [(950, 650), (900, None)])
def test_a_device_tells_its_peak_unless_an_earlier_one_hides_it(monkeypatch, peak_after, growth):
    stats = {"bytes_in_use": 300, "peak_bytes_in_use": 900}
    device = SimpleNamespace(memory_stats=lambda: dict(stats))
    monkeypatch.setattr(memory_growth.jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(memory_growth.jax, "local_devices", lambda: [device])
    assert measured_growth(lambda: stats.update(peak_bytes_in_use=peak_after)) == growth
    assert jax.default_backend() == "gpu"
