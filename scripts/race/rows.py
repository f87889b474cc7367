"""What came of it: a row for each contestant, with ratios to ours and shares of the machine's ceilings."""

import statistics
from typing import NamedTuple

from jaxal.profiling.ceilings import Ceilings

from .contestants import Contestant, Task

FLOOR = "floor"


class Result(NamedTuple):
    """What came of one contestant."""

    status: str  # ok, failed, skipped, not installed
    note: str = ""
    seconds: tuple[float, ...] = ()
    further_seconds: float | None = None
    growth_bytes: int | None = None
    compile_seconds: float | None = None


class Row(NamedTuple):
    """A line of the table, and of race.csv; None where there is no number."""

    task: str
    contestant: str
    problem: str
    status: str
    note: str = ""
    num_calls: int = 0
    seconds: float | None = None  # median of the whole task
    seconds_min: float | None = None
    seconds_max: float | None = None
    seconds_per_pick: float | None = None  # seconds / picks
    seconds_per_further_pick: float | None = None  # what one pick more takes
    ratio: float | None = None  # seconds / those of ours
    ratio_further: float | None = None  # the same of a further pick
    compile_seconds: float | None = None
    growth_bytes: int | None = None
    gflop_per_second: float | None = None
    ceiling_share: float | None = None  # seconds of the floor / seconds


def compared(task: Task, results: list[tuple[Contestant, Result]], ceilings: Ceilings) -> list[Row]:
    """Hold every contestant against ours and against the floor, which gets a row of its own at the end.

    The floor is the larger of the bytes that must be read at the measured read speed and the floating-point operations
    at the measured speed of float32 products. Without a time of ours there is no ratio.
    """
    floor = max(task.num_bytes / ceilings.read_bytes_per_second, task.flops / ceilings.gemm_flops_per_second)
    timed_ours = [result for contestant, result in results if contestant.is_ours and result.seconds]
    ours = statistics.median(timed_ours[0].seconds) if timed_ours else None
    ours_further = timed_ours[0].further_seconds if timed_ours else None
    rows = [_row(task, contestant, result, ours, ours_further, floor) for contestant, result in results]
    bound = "bytes" if floor > task.flops / ceilings.gemm_flops_per_second else "FLOPs"
    problem = f"computed: {task.num_bytes / 1e9:.3g} GB to read, {task.flops / 1e9:.3g} GFLOP"
    return [
        *rows,
        Row(
            task.name,
            FLOOR,
            problem,
            "computed",
            f"bound by {bound}",
            seconds=floor,
            seconds_per_pick=floor / task.num_picks if task.num_picks > 1 else None,
            ratio=_ratio(floor, ours),
            ceiling_share=1.0,
        ),
    ]


def _row(
    task: Task, contestant: Contestant, result: Result, ours: float | None, ours_further: float | None, floor: float
) -> Row:
    row = Row(task.name, contestant.name, contestant.problem, result.status, result.note)
    if not result.seconds:
        return row
    seconds = statistics.median(result.seconds)
    return row._replace(
        num_calls=len(result.seconds),
        seconds=seconds,
        seconds_min=min(result.seconds),
        seconds_max=max(result.seconds),
        seconds_per_pick=seconds / task.num_picks if task.num_picks > 1 else None,
        seconds_per_further_pick=result.further_seconds,
        ratio=_ratio(seconds, ours),
        ratio_further=_ratio(result.further_seconds, ours_further),
        compile_seconds=result.compile_seconds,
        growth_bytes=result.growth_bytes,
        gflop_per_second=task.flops / seconds / 1e9,
        ceiling_share=floor / seconds,
    )


def _ratio(seconds: float | None, ours: float | None) -> float | None:
    return None if seconds is None or not ours else seconds / ours
