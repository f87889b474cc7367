"""How much memory a call takes on top of what is there already."""

import contextlib
import ctypes
import gc
import os
import threading
from collections.abc import Callable
from pathlib import Path

import jax

__all__ = ["measured_growth"]

SAMPLE_SECONDS = 0.002
STATUS, RESET, MAPPED = Path("/proc/self/status"), Path("/proc/self/clear_refs"), Path("/proc/self/statm")


def measured_growth(call: Callable[[], object]) -> int | None:
    """Run a call and return the bytes by which memory grew at most while it ran; None where that cannot be told.

    On a host this is resident memory: Linux keeps its peak, which can be set back; where that is not allowed it is
    sampled every 2 ms, and what comes and goes in between is missed. On a device it is JAX's own peak, which cannot be
    set back: a call that stays below an earlier one's peak cannot be told.
    """
    gc.collect()
    stats = jax.local_devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    if stats is not None:
        return _device_growth(call, stats)
    _give_back_free_memory()
    if not MAPPED.exists():
        call()
        return None
    try:
        RESET.write_text("5")  # sets the peak to what is resident now
    except OSError:
        return _sampled_growth(call)
    before = _resident()
    call()
    return max(_peak_resident() - before, 0)


def _device_growth(call: Callable[[], object], before: dict[str, int]) -> int | None:
    call()
    after = jax.local_devices()[0].memory_stats() or {}
    peak = after.get("peak_bytes_in_use", 0)
    return peak - before["bytes_in_use"] if peak > before.get("peak_bytes_in_use", 0) else None


def _give_back_free_memory() -> None:
    """Return to the system what earlier calls have freed: memory used again would not be seen to grow."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)


def _resident() -> int:
    return int(MAPPED.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _peak_resident() -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return _resident()


def _sampled_growth(call: Callable[[], object]) -> int:
    before = _resident()
    peaks = [before]
    is_done = threading.Event()

    def watch() -> None:
        while not is_done.wait(SAMPLE_SECONDS):
            peaks[0] = max(peaks[0], _resident())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        call()
    finally:
        is_done.set()
        watcher.join()
    return max(peaks[0], _resident()) - before
