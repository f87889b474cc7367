"""What the report page shows of a study, collected from its journals."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxal.config.strategies import RandomConfig
from jaxal.config.study import StudyConfig
from jaxal.data.dataset import Dataset
from jaxal.evaluation.learning_curve import Row
from jaxal.pool import UNLABELED
from jaxal.report.inputs import Asked, ReportInputs
from jaxal.store import journal
from jaxal.store.run_folder import CONFIG, ENVIRONMENT
from jaxal.study import results
from jaxal.study.plan import StudyPlan
from jaxal.study.rounds import journal_path, recorded_rounds
from jaxal.study.source_classes import kept_source_shares
from jaxal.study.stopping import describe_stop, final_round

__all__ = ["collect_report"]


def collect_report(
    study: StudyConfig, workdir: Path, plan: StudyPlan, dataset_of: Callable[[int], Dataset]
) -> ReportInputs:
    """Collect what the report shows from the journals of a run folder, finished or not.

    Args:
        study: as it was run.
        workdir: the run folder.
        plan: of the study.
        dataset_of: the data by seed; only the first seed's is opened, for class names and for the images shown.

    Raises:
        StoreError: a journal is damaged.
    """
    dataset = dataset_of(study.seeds[0])

    def images_of(seed: int, indices: np.ndarray) -> np.ndarray:
        return dataset_of(seed).pool.images.read(indices)

    parts = {
        "pool": plan.pool_counts,
        "validation": plan.validation_counts,
        "test": plan.test_counts,
        "external": plan.external_counts,
    }
    stops = _stops(study, workdir, plan)
    return ReportInputs(
        name=study.name,
        planned_rounds={arm.name: len(arm.num_labeled) for arm in plan.arms},
        seeds=study.seeds,
        full_arms=frozenset(arm.name for arm in study.arms if arm.kind == "full"),
        random_arms=frozenset(arm.name for arm in study.arms if isinstance(arm.strategy, RandomConfig)),
        class_names=dataset.class_names,
        minority=dataset.minority,
        part_counts={name: counts for name, counts in parts.items() if counts},
        rows=results.result_rows(study, workdir),
        metric_rows=_metric_rows(study, workdir),
        asked=[
            query
            for arm in study.arms
            for seed in study.seeds
            for query in _asked(arm.name, seed, results.run_folder(workdir, arm.name, seed))
        ],
        notes=(*plan.notes, *(f"{arm}, seed {seed} {told}." for (arm, seed), (_, told) in stops.items())),
        config_text=(workdir / CONFIG).read_text(encoding="utf-8"),
        environment=json.loads((workdir / ENVIRONMENT).read_text(encoding="utf-8")),
        images_of=images_of,
        stopped={run: last for run, (last, _) in stops.items()},
        source_shares=kept_source_shares(workdir),
        scores_last=study.schedule.scored_rounds == "last",
        sizes_vary=dataset.pool.groups is not None and len(study.seeds) > 1,
    )


def _stops(study: StudyConfig, workdir: Path, plan: StudyPlan) -> dict[tuple[str, int], tuple[int, str]]:
    """Return for each arm and seed that stopped before its last round where that was, and why."""
    found = {}
    for arm in plan.arms:
        for seed in study.seeds:
            rounds = recorded_rounds(results.run_folder(workdir, arm.name, seed))
            told = describe_stop(study.schedule, rounds, len(arm.num_labeled) - 1)
            if told is not None:
                found[arm.name, seed] = (final_round(study.schedule, rounds, len(arm.num_labeled) - 1), told)
    return found


def _metric_rows(study: StudyConfig, workdir: Path) -> list[Row]:
    return [
        dict(zip(results.METRIC_COLUMNS, (arm.name, seed, number, *row), strict=True))
        for arm in study.arms
        for seed in study.seeds
        for number, event in sorted(recorded_rounds(results.run_folder(workdir, arm.name, seed)).items())
        for row in event["metrics"]
    ]


def _asked(arm: str, seed: int, folder: Path) -> list[Asked]:
    """Read the queries that have answers; a sample asked but not answered counts as left for later."""
    asked: dict[int, Mapping[str, Any]] = {}
    answers: dict[int, dict[str, int]] = {}
    for event in journal.read(journal_path(folder)):
        if event["event"] == "asked":
            asked[event["round"]] = event
        elif event["event"] == "labels":
            answers.setdefault(event["round"], {}).update(zip(event["ids"], event["labels"], strict=True))
    return [
        Asked(
            arm=arm,
            seed=seed,
            round=number,
            ids=tuple(event["ids"]),
            indices=tuple(event["indices"]),
            labels=tuple(answers[number].get(name, UNLABELED) for name in event["ids"]),
            scores=tuple(event["score"]),
            reasons=tuple(event["reason"]),
        )
        for number, event in sorted(asked.items())
        if number in answers
    ]
