"""A study whose data is open, and against which nothing speaks."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from jaxal.config.study import StudyConfig
from jaxal.data.dataset import Dataset, choose_parts, load_source, make_dataset
from jaxal.data.listeners import OnImages
from jaxal.data.source import ImageSource
from jaxal.errors import DataError
from jaxal.study.environment import describe_environment
from jaxal.study.plan import StudyPlan, plan_study

__all__ = ["OpenStudy", "Opening", "environment_of", "open_study", "remembering"]

# Beside the arms' names, of which none has brackets.
SOURCE_MODEL = "(source model)"
# Parts of the data that are kept, by seed: some megabytes each, of which every arm takes those of all seeds in turn.
MOST_DATASETS = 8


class OpenStudy(NamedTuple):
    """A study whose data is open and which nothing speaks against."""

    source: ImageSource
    plan: StudyPlan
    dataset_of: Callable[[int], Dataset]  # by seed


Opening = Callable[[StudyConfig, OnImages], OpenStudy]


def open_study(study: StudyConfig, on_images: OnImages) -> OpenStudy:
    """Open a study's data and plan it; nothing is written, but resized images are cached.

    Raises:
        ConfigError, DataError: as `run_study`.
    """
    return _planned(study, load_source(study.data, on_images))


def remembering() -> Opening:
    """Make an `open_study` that opens neither a study nor data twice in succession, though their files may change.

    The members of a family mostly have one source; and what one process has run it opens again for the report.
    """
    # Compared, not hashed: configs may hold tables.
    last_study: tuple[StudyConfig, OpenStudy] | None = None
    last_source: tuple[Any, ImageSource] | None = None

    def open_or_recall(study: StudyConfig, on_images: OnImages) -> OpenStudy:
        nonlocal last_study, last_source
        if last_study is None or last_study[0] != study:
            data = study.data
            facts = (data.source, data.classes, data.one_vs_rest, data.minority_class)  # all that load_source looks at
            if last_source is None or last_source[0] != facts:
                last_study = last_source = None  # their memory is free before the next take their own
                last_source = facts, load_source(data, on_images)
            last_study = study, _planned(study, last_source[1])
        return last_study[1]

    return open_or_recall


def _planned(study: StudyConfig, source: ImageSource) -> OpenStudy:
    for seed in study.seeds:  # refused now, not in the middle of the study
        try:
            choose_parts(source, study.data, seed)
        except DataError as error:
            raise DataError(f"seed {seed}: {error}") from error
    plan = plan_study(study, make_dataset(source, study.data, study.seeds[0]))
    # One minority for all seeds, also where whole groups shift the counts of a pool pruned to a profile.
    data = msgspec.structs.replace(study.data, minority_class=plan.minority)
    dataset_of = functools.lru_cache(maxsize=MOST_DATASETS)(functools.partial(make_dataset, source, data))
    return OpenStudy(source, plan, dataset_of)


def environment_of(opened: OpenStudy) -> dict[str, Any]:
    """Describe what an open study is run with, as environment.json has it."""
    return describe_environment(opened.source, _weights(opened.plan), _embeddings(opened.plan))


def _weights(plan: StudyPlan) -> dict[str, str]:
    """Return the SHA-256 of the pretrained weights of each arm that has any, and of the source model."""
    found = [(arm.name, arm.model) for arm in plan.arms]
    found += [(f"{arm.name} (query model)", arm.query_model) for arm in plan.arms if arm.query_model is not None]
    sha256s = {name: model.weights.sha256 for name, model in found if model.weights.sha256}
    source = next((arm.source for arm in plan.arms if arm.source is not None), None)
    return sha256s if source is None else {SOURCE_MODEL: source.weights.sha256, **sha256s}


def _embeddings(plan: StudyPlan) -> dict[str, str]:
    """Return the SHA-256 of the given embeddings of each arm that reads them."""
    return {arm.name: arm.embeddings_sha256 for arm in plan.arms if arm.embeddings_sha256}
