"""When a run asks no further, decided by the rounds in its journal alone, so that a resumed run decides the same."""

import itertools
from collections.abc import Mapping
from typing import Any

from jaxal.config.study import ScheduleConfig

__all__ = ["describe_stop", "final_round", "has_plateaued", "is_finished", "validation_auroc"]

Event = Mapping[str, Any]


def has_plateaued(schedule: ScheduleConfig, aurocs: list[float | None]) -> bool:
    """Tell whether the best validation AUROC has not grown by more than plateau_gain for plateau_rounds rounds.

    Args:
        schedule: of the study.
        aurocs: by round; None where not defined, which neither counts as a round nor as growth.
    """
    defined = [auroc for auroc in aurocs if auroc is not None]
    patience = schedule.plateau_rounds
    if patience is None or len(defined) <= patience:
        return False
    return max(defined[-patience:]) <= max(defined[:-patience]) + schedule.plateau_gain


def validation_auroc(event: Event) -> float | None:
    """Read the validation AUROC of a round from its line in the journal; None where it is not defined."""
    found = [row[3] for row in event["metrics"] if row[:3] == ["validation", "", "auroc"]]
    return found[0] if found else None


def final_round(schedule: ScheduleConfig, rounds: Mapping[int, Event], num_rounds: int) -> int:
    """Return the last round that a run has: the first one at which it has plateaued, else the last one planned.

    Args:
        schedule: of the study.
        rounds: finished ones, by number. Those after the first that is missing do not matter.
        num_rounds: planned.
    """
    aurocs = []
    for number in itertools.takewhile(rounds.__contains__, range(num_rounds)):
        aurocs.append(validation_auroc(rounds[number]))
        if has_plateaued(schedule, aurocs):
            return number
    return num_rounds


def is_finished(schedule: ScheduleConfig, rounds: Mapping[int, Event], num_rounds: int) -> bool:
    """Tell whether a run has all its rounds."""
    return all(number in rounds for number in range(final_round(schedule, rounds, num_rounds) + 1))


def describe_stop(schedule: ScheduleConfig, rounds: Mapping[int, Event], num_rounds: int) -> str | None:
    """Say where and why a run stopped before its last round; None where it did not, or is not there yet."""
    last = final_round(schedule, rounds, num_rounds)
    if last == num_rounds or not is_finished(schedule, rounds, num_rounds):
        return None
    aurocs = [validation_auroc(rounds[number]) for number in range(last + 1)]
    best = max(auroc for auroc in aurocs if auroc is not None)
    grown = f" by more than {schedule.plateau_gain:g}" if schedule.plateau_gain else ""
    counted = "the last round" if schedule.plateau_rounds == 1 else f"{schedule.plateau_rounds} rounds"
    return (
        f"stopped after round {last} of {num_rounds}: the best validation AUROC, {best:.4f}, has not grown{grown} in"
        f" {counted}"
    )
