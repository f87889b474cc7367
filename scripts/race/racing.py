"""A race: all contestants whose answers are right, timed side by side, in turn."""

import statistics
import sys

from jaxal.profiling.ceilings import Ceilings

from .contestants import Task
from .entering import Entry, Rules, Timing, enter, what_happened
from .pools import Pool
from .rows import Result, Row, compared


def race(task: Task, pool: Pool, ceilings: Ceilings, rules: Rules) -> list[Row]:
    """Race the contestants of a task; what goes wrong with one is told in its row, and does not stop the others."""
    results: dict[str, Result] = {}
    entries: list[Entry] = []
    for contestant in task.contestants:
        outcome = enter(task, contestant, pool, rules)
        if isinstance(outcome, Result):
            say(f"{task.name} · {contestant.name}: {outcome.status}, {outcome.note}")
            results[contestant.name] = outcome
        else:
            say(f"{task.name} · {contestant.name}: right; {outcome.num_rounds} rounds to time")
            entries.append(outcome)
    results |= _take_turns(entries)
    return compared(task, [(each, results[each.name]) for each in task.contestants], ceilings)


def say(text: str) -> None:
    """Tell on standard error how far the race is."""
    print(text, file=sys.stderr, flush=True)


def _take_turns(entries: list[Entry]) -> dict[str, Result]:
    """Time everybody once a round, so that a slow minute of the machine hits all alike."""
    timings: dict[str, list[Timing]] = {each.contestant.name: [] for each in entries}
    broken: dict[str, Result] = {}
    for number in range(max((each.num_rounds for each in entries), default=0)):
        for each in entries:
            name = each.contestant.name
            if number < each.num_rounds and name not in broken:
                try:
                    timings[name].append(each.measure())
                except Exception as error:  # it went well once; the others go on
                    broken[name] = Result("failed", f"in round {number + 1}: {what_happened(error)}")
    return {
        each.contestant.name: broken.get(each.contestant.name) or _result(each, timings[each.contestant.name])
        for each in entries
    }


def _result(entry: Entry, timings: list[Timing]) -> Result:
    num_recompiled = sum(each.num_compilations > 0 for each in timings)
    again = f"compiled again in {num_recompiled} of {len(timings)} calls" if num_recompiled else ""
    further = [each.further_seconds for each in timings if each.further_seconds is not None]
    one_further = statistics.median(further) if further else None
    if entry.is_scaled and (one_further is None or one_further <= 0):
        return Result("failed", f"{entry.note}: more took no longer than few, which tells nothing of all")
    return Result(
        status="ok",
        note="; ".join(filter(None, (entry.note, again))),
        seconds=tuple(each.seconds for each in timings),
        further_seconds=one_further if one_further is not None and one_further > 0 else None,
        growth_bytes=entry.growth_bytes,
        compile_seconds=entry.compile_seconds or None,
    )
