"""A study: arms × seeds, run one after the other, resumable at every round."""

from jaxal.study.runner import StudyListener, StudyResult, prepare_study, run_study

__all__ = ["StudyListener", "StudyResult", "prepare_study", "run_study"]
