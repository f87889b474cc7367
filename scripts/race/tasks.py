"""All tasks, by name."""

from collections.abc import Callable

from .badge import badge_task
from .contestants import Task
from .core_set import core_set_task, large_core_set_task
from .k_means import seeded_task, step_task, steps_task
from .mixing import mixing_task
from .pools import Pool, Size
from .typiclust import typiclust_part_task, typiclust_task

TASKS: dict[str, Callable[[Pool, Size], Task]] = {
    "core_set": core_set_task,
    "large_core_set": large_core_set_task,
    "badge": badge_task,
    "scalar_mixing": mixing_task,
    "k_means_step": step_task,
    "k_means_steps": steps_task,
    "k_means_seeded": seeded_task,
    "typiclust": typiclust_task,
    "typiclust_part": typiclust_part_task,
}


def named(words: str | None) -> tuple[str, ...]:
    """Read names with commas between them, each a task or the beginning of several, as in k_means; None = all.

    Raises:
        ValueError: one that is neither.
    """
    if words is None:
        return tuple(TASKS)
    chosen = []
    for word in words.split(","):
        found = [name for name in TASKS if name == word or name.startswith(f"{word}_")]
        if not found:
            raise ValueError(f"--only {word}: no such task; there are {', '.join(TASKS)}")
        chosen += found
    return tuple(name for name in TASKS if name in chosen)
