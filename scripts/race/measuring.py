"""One call measured: seconds, compilation in it, growth of memory during it."""

import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.monitoring

from jaxal.profiling.memory_growth import measured_growth

COMPILATION = "/jax/core/compile/backend_compile_duration"

# jax tells listeners only, and they cannot be taken away again: one for the whole process, which appends.
_compilations: list[float] = []


def _hear(event: str, duration_secs: float, **kwargs: str | int) -> None:
    if event == COMPILATION:
        _compilations.append(duration_secs)


jax.monitoring.register_event_duration_secs_listener(_hear)


class Timed(NamedTuple):
    answer: Any
    seconds: float
    compilations: tuple[float, ...]  # seconds of each


def timed(call: Callable[[], Any]) -> Timed:
    """Call once, against the clock."""
    num_before = len(_compilations)
    began = time.perf_counter()
    answer = call()
    return Timed(answer, time.perf_counter() - began, tuple(_compilations[num_before:]))


def watched(call: Callable[[], Any]) -> tuple[Timed, int | None]:
    """Call once, against the clock, and tell by how many bytes memory grew at most: on the accelerator where there is
    one, else on the host; None where that cannot be told."""
    results: list[Timed] = []
    torch = sys.modules.get("torch")
    if torch is None or jax.default_backend() == "cpu" or not torch.cuda.is_available():
        growth = measured_growth(lambda: results.append(timed(call)))
        return results[0], growth
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    growth = measured_growth(lambda: results.append(timed(call)))
    of_torch = torch.cuda.max_memory_allocated() - before
    return results[0], of_torch if of_torch > (growth or 0) else growth
