"""One strategy at one size: compiled, checked, timed, and held against the machine's ceilings."""

import functools
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from jaxal.config.strategies import StrategyConfig
from jaxal.errors import InputError
from jaxal.kernels.blocks import block_budget
from jaxal.profiling.ceilings import Ceilings
from jaxal.profiling.counts import count_work
from jaxal.profiling.made_pools import make_pool
from jaxal.profiling.memory_growth import measured_growth
from jaxal.profiling.sizes import Sizes
from jaxal.strategies.registry import make_strategy
from jaxal.strategies.strategy import AcquisitionInputs

__all__ = ["Measurement", "check_picks", "measure_strategy"]

# A call that takes longer is not repeated to tell its memory and time from what a first call brings.
SHORT_SECONDS = 2.0


class Measurement(NamedTuple):
    """One row of a profile; seconds are wall-clock, None where something could not be measured."""

    strategy: str
    num_rows: int
    width: int
    num_classes: int
    query_size: int
    num_labeled: int
    seconds_compile: float  # trace, lower and compile, without any cache
    seconds: float  # median of the repeats
    seconds_min: float
    seconds_max: float
    growth_bytes: int | None  # of memory during a call
    planned_bytes: int | None  # what the compiler reserves for temporaries and results
    growth_ratio: float | None  # growth / embeddings
    bytes: int  # the least to read, counted by hand
    flops: int
    gb_per_second: float  # bytes / seconds / 1e9
    gflop_per_second: float
    bound: str  # the ceiling that is reached first: "bytes" or "flops"
    ceiling_share: float  # seconds at that ceiling / seconds
    ceiling_gb_per_second: float
    ceiling_gflop_per_second: float


def measure_strategy(
    name: str,
    config: StrategyConfig,
    sizes: Sizes,
    ceilings: Ceilings,
    *,
    num_repeats: int,
    memory: int | None = None,
    trace_folder: Path | None = None,
) -> Measurement:
    """Measure one strategy at one size on the default device.

    Every repeat has a pool of its own, of equal shapes, and is timed at the second call for it: the first wakes threads
    and pages, some 20 ms. A call of seconds is timed at once. Before them one is checked, and its memory watched.

    Args:
        name: under which it is reported.
        config: of the strategy.
        sizes: of the pool.
        ceilings: of this machine.
        num_repeats: timed calls, at least 1.
        memory: byte budget of one block of a pass, as in `select`.
        trace_folder: where one more call is recorded for JAX's profiler; None = no trace.

    Raises:
        InputError: too few picks, one of them twice, or one that is labeled.
    """
    strategy = make_strategy(config, num_classes=sizes.num_classes)

    @jax.jit
    def acquire(key: jax.Array, inputs: AcquisitionInputs) -> tuple[jax.Array, jax.Array]:
        query, _, _ = strategy.acquire(key, strategy.init(inputs), inputs, sizes.query_size)
        return query.indices, query.is_valid

    inputs = make_pool(sizes, 0, strategy.needs)
    began = time.perf_counter()
    with block_budget(memory):
        compiled = acquire.lower(jax.random.key(0), inputs).compile()
    seconds_compile = time.perf_counter() - began
    picked: list = []

    def call(seed: int, inputs: AcquisitionInputs) -> float:
        key = jax.block_until_ready(jax.random.key(seed))
        began = time.perf_counter()
        picked[:] = jax.block_until_ready(compiled(key, inputs))
        return time.perf_counter() - began

    began = time.perf_counter()
    growth = measured_growth(functools.partial(call, 0, inputs))
    check_picks(name, sizes, inputs, *picked)
    if growth is not None and time.perf_counter() - began < SHORT_SECONDS:
        # A first call brings code and threads with it, some MB that are not the strategy's.
        again = measured_growth(functools.partial(call, 0, inputs))
        growth = growth if again is None else min(growth, again)
    seconds = []
    for seed in range(1, num_repeats + 1):
        del inputs  # before the next: two pools at once may be too much
        inputs = make_pool(sizes, seed, strategy.needs)
        first = call(seed, inputs)
        seconds.append(call(seed, inputs) if first < SHORT_SECONDS else first)
    if trace_folder is not None:
        with jax.profiler.trace(str(trace_folder)):
            call(num_repeats, inputs)
    return _described(name, config, sizes, ceilings, seconds_compile, seconds, growth, _planned_bytes(compiled))


def check_picks(name: str, sizes: Sizes, inputs: AcquisitionInputs, indices: jax.Array, is_valid: jax.Array) -> None:
    """Refuse a query that is not Q different rows without labels.

    Raises:
        InputError: what is wrong with it.
    """
    rows, labels = np.asarray(indices)[np.asarray(is_valid)], np.asarray(inputs.pool.labels)
    where = f"{name} at N {sizes.num_rows}, D {sizes.width}, C {sizes.num_classes}, Q {sizes.query_size}"
    if len(rows) != sizes.query_size:
        raise InputError(f"{where}: {len(rows)} picks instead of {sizes.query_size}; not timed")
    if rows.min() < 0 or rows.max() >= len(labels) or len(np.unique(rows)) < len(rows):
        raise InputError(f"{where}: picks outside the pool or twice; not timed")
    num_labeled = int(np.sum(labels[rows] >= 0))
    if num_labeled:
        raise InputError(f"{where}: {num_labeled} of {len(rows)} picks are labeled already; not timed")


def _planned_bytes(compiled: jax.stages.Compiled) -> int | None:
    analysis = compiled.memory_analysis()
    return None if analysis is None else analysis.temp_size_in_bytes + analysis.output_size_in_bytes


def _described(
    name: str,
    config: StrategyConfig,
    sizes: Sizes,
    ceilings: Ceilings,
    seconds_compile: float,
    seconds: list[float],
    growth: int | None,
    planned: int | None,
) -> Measurement:
    median = statistics.median(seconds)
    work = count_work(config, sizes)
    at_bytes, at_flops = work.bytes / ceilings.read_bytes_per_second, work.flops / ceilings.gemm_flops_per_second
    return Measurement(
        strategy=name,
        num_rows=sizes.num_rows,
        width=sizes.width,
        num_classes=sizes.num_classes,
        query_size=sizes.query_size,
        num_labeled=sizes.num_labeled,
        seconds_compile=seconds_compile,
        seconds=median,
        seconds_min=min(seconds),
        seconds_max=max(seconds),
        growth_bytes=growth,
        planned_bytes=planned,
        growth_ratio=None if growth is None else growth / sizes.embedding_bytes,
        bytes=work.bytes,
        flops=work.flops,
        gb_per_second=work.bytes / median / 1e9,
        gflop_per_second=work.flops / median / 1e9,
        bound="bytes" if at_bytes >= at_flops else "flops",
        ceiling_share=max(at_bytes, at_flops) / median,
        ceiling_gb_per_second=ceilings.read_bytes_per_second / 1e9,
        ceiling_gflop_per_second=ceilings.gemm_flops_per_second / 1e9,
    )
