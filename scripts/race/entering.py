"""Entering a race: a contestant is made ready, told how long it takes, and checked before it is ever timed."""

from collections.abc import Callable
from typing import Any, NamedTuple

from .contestants import Call, Contestant, NotInstalled, NotPossible, Task
from .measuring import timed, watched
from .pools import Pool
from .rows import Result

FEW = 2  # passes of a loop, which stand for what it does before it goes round
MANIFOLD = 4  # times as many are tried next, until they take
CLEARLY_LONGER = 2  # times as long as few: then their difference is more than noise


class Rules(NamedTuple):
    """How to race."""

    num_repeats: int = 5
    limit_seconds: float = 120.0  # of one call


class Timing(NamedTuple):
    """One measurement."""

    seconds: float  # of the whole task
    further_seconds: float | None  # of one further pass, where the task is a loop; noise may make it negative
    num_compilations: int


class Entry(NamedTuple):
    """A contestant whose answer was right."""

    contestant: Contestant
    measure: Callable[[], Timing]
    num_rounds: int
    growth_bytes: int | None
    compile_seconds: float
    is_scaled: bool
    note: str


def enter(task: Task, contestant: Contestant, pool: Pool, rules: Rules) -> Entry | Result:
    """Admit a contestant, or tell why not."""
    try:
        return _admit(task, contestant, contestant.make(pool), rules)
    except NotInstalled as missing:
        return Result("not installed", str(missing))
    except NotPossible as reason:
        return Result("skipped", str(reason))
    except Exception as error:  # whatever a library raises: it is reported, and the race goes on
        return Result("failed", what_happened(error))


def what_happened(error: Exception) -> str:
    """Say it in one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _admit(task: Task, contestant: Contestant, call: Call, rules: Rules) -> Entry | Result:
    compile_seconds, note = 0.0, ""
    answer, measure = call.run, _measure_run(call)
    if call.estimate is not None:
        estimate = call.estimate()
        if estimate > rules.limit_seconds:
            return _too_long(estimate, rules)
    if call.sample is not None:
        compile_seconds = sum(timed(lambda: _passes(call, FEW)).compilations)
        more, estimate = _enough_passes(call, rules)
        if estimate > rules.limit_seconds:
            answer, measure = (lambda: _passes(call, more)), (lambda: _extrapolate(call, more))
            note = f"scaled: {FEW} and {more} of {call.num_passes} passes timed"
    first, growth = watched(answer)
    compile_seconds += sum(first.compilations)
    seconds = first.seconds - sum(first.compilations)
    if seconds > rules.limit_seconds:
        return _too_long(seconds, rules, note)
    wrong = task.check(contestant, first.answer)
    if wrong:
        return Result("failed", f"wrong: {wrong}")
    if first.compilations:  # which takes memory of its own
        _, growth = watched(answer)
    num_rounds = max(min(rules.num_repeats, int(2 * rules.limit_seconds / max(seconds, 1e-9))), 1)
    return Entry(contestant, measure, num_rounds, growth, compile_seconds, bool(note), note)


def _too_long(seconds: float, rules: Rules, note: str = "") -> Result:
    what = "these passes alone take" if note else "a call would take about"
    told = f"{what} {seconds:.0f} s; the limit is {rules.limit_seconds:.0f} s"
    return Result("skipped", "; ".join(filter(None, (note, told))))


def _passes(call: Call, num_passes: int) -> Any:
    assert call.sample is not None
    return call.sample(min(num_passes, call.num_passes))


def _enough_passes(call: Call, rules: Rules) -> tuple[int, float]:
    """Find how many passes take clearly longer than a few, and what the whole loop takes by them."""
    short, more = timed(lambda: _passes(call, FEW)), FEW
    while True:
        more = min(MANIFOLD * more, call.num_passes)
        longer = timed(lambda more=more: _passes(call, more))
        if more == call.num_passes:
            return more, longer.seconds
        if longer.seconds >= CLEARLY_LONGER * short.seconds or longer.seconds > rules.limit_seconds:
            further = (longer.seconds - short.seconds) / (more - FEW)
            return more, longer.seconds + (call.num_passes - more) * further


def _measure_run(call: Call) -> Callable[[], Timing]:
    def measure() -> Timing:
        whole = timed(call.run)
        if call.sample is None or call.num_passes <= FEW:
            return Timing(whole.seconds, None, len(whole.compilations))
        short = timed(lambda: _passes(call, FEW))
        further = (whole.seconds - short.seconds) / (call.num_passes - FEW)
        return Timing(whole.seconds, further, len(whole.compilations))

    return measure


def _extrapolate(call: Call, more: int) -> Timing:
    """Tell the seconds of the whole loop from few passes and some more."""
    _passes(call, FEW)  # after the others' turns memory is cold: whoever came first would pay for it
    short, longer = timed(lambda: _passes(call, FEW)), timed(lambda: _passes(call, more))
    further = (longer.seconds - short.seconds) / (more - FEW)
    num_compilations = len(short.compilations) + len(longer.compilations)
    return Timing(longer.seconds + (call.num_passes - more) * further, further, num_compilations)
