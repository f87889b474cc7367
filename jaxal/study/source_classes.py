"""What a study keeps of its source model's predictions: the shares of its classes, for the report."""

from pathlib import Path

from jaxal.errors import StoreError
from jaxal.evaluation.source_classes import source_class_shares
from jaxal.experiment import Experiment
from jaxal.report.source_classes import KEY, source_classes_csv
from jaxal.store.files import write_if_changed

__all__ = ["keep_source_shares", "kept_source_shares"]


def keep_source_shares(experiment: Experiment, workdir: Path) -> None:
    """Write the shares of the pool that the source model's classes are predicted for, where there is such a model.

    Every arm of a seed has the same, so that the first to run writes them.

    Raises:
        StoreError: the file could not be written.
    """
    if experiment.source_logits is not None and not _path(workdir).exists():
        write_if_changed(_path(workdir), source_classes_csv(source_class_shares(experiment.source_logits).tolist()))


def kept_source_shares(workdir: Path) -> tuple[float, ...]:
    """Read the shares back, descending; empty where there is no such file.

    Raises:
        StoreError: the file is not as it was written.
    """
    try:
        lines = _path(workdir).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    try:
        shares = tuple(float(line.split(",")[1]) for line in lines[1:])
        if source_classes_csv(shares).splitlines() == lines and shares:
            return shares
    except (ValueError, IndexError):
        pass
    raise StoreError(f"{_path(workdir)}: it is not as it was written. Delete it; the report does without.")


def _path(workdir: Path) -> Path:
    return workdir / "figures" / f"{KEY}.csv"
