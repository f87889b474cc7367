"""What the report page is made from: plain rows and names, collected from a study's journals."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxal.evaluation.learning_curve import Row
from jaxal.report.laid_table import LaidTable

__all__ = ["Asked", "ReportInputs"]

ImagesFn = Callable[[int, np.ndarray], np.ndarray]


class Asked(NamedTuple):
    """One query and its answers, in the order asked."""

    arm: str
    seed: int
    round: int
    ids: tuple[str, ...]
    indices: tuple[int, ...]  # pool rows
    labels: tuple[int, ...]  # the class answered; negative where none was (-2: skipped)
    scores: tuple[float | None, ...]  # None where the strategy has none
    reasons: tuple[str, ...]


class ReportInputs(NamedTuple):
    """A study as its report shows it; an unfinished one has fewer rows than `planned_rounds` says."""

    name: str
    planned_rounds: Mapping[str, int]  # arm, in the config's order -> rounds that each seed is to finish, 0 included
    seeds: tuple[int, ...]
    full_arms: frozenset[str]  # trained once on every label
    random_arms: frozenset[str]  # ask uniformly: what the others are held against
    class_names: tuple[str, ...]
    minority: int
    part_counts: Mapping[str, Mapping[str, int]]  # "pool", "validation", "test", maybe "external" -> class -> samples
    rows: list[Row]  # of results.csv, typed; None = not defined
    metric_rows: list[Row]  # of metrics.csv: arm, seed, round, split, class, metric, value
    asked: list[Asked]
    notes: tuple[str, ...]
    config_text: str
    environment: Mapping[str, Any]
    images_of: ImagesFn  # (seed, pool rows [k]) -> uint8 [k, height, width, 1 or 3]
    stopped: Mapping[tuple[str, int], int] = {}  # (arm, seed) that plateaued -> its last round, earlier than planned
    source_shares: tuple[float, ...] = ()  # of the pool, by rank of the source model's predicted class, if there is one
    scores_last: bool = False  # only the last round of an arm is scored
    sizes_vary: bool = False  # `part_counts` are of the first seed, and others may split whole groups otherwise
    paper_tables: tuple[LaidTable, ...] = ()  # ours beside those of a paper

    @property
    def active_arms(self) -> tuple[str, ...]:
        """The arms that ask, in the config's order."""
        return tuple(arm for arm in self.planned_rounds if arm not in self.full_arms)

    @property
    def of_first_seed(self) -> str:
        """What a number from `part_counts` needs beside it; a blank before it, empty where all seeds share it."""
        return " (first seed)" if self.sizes_vary else ""

    @property
    def minority_name(self) -> str:
        """The name of the class whose finding is counted."""
        return self.class_names[self.minority]
