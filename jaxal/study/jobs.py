"""One arm with one seed of a study, in a process of its own beside others that run other jobs of the same study."""

import contextlib
import time
import tomllib
from pathlib import Path

from jaxal.config.reading import config_text, recheck_study
from jaxal.config.study import StudyConfig
from jaxal.store import lock, run_folder, signals
from jaxal.store.run_folder import CONFIG
from jaxal.study import results
from jaxal.study.runner import StudyListener, environment_of, open_study, polling, remaining_steps, run_arm

__all__ = ["run_job"]

SECONDS_BETWEEN_LOOKS = 0.05


def run_job(
    config: StudyConfig, arm: str, seed: int, workdir: str | Path | None = None, listener: StudyListener | None = None
) -> bool:
    """Run one arm with one seed to its end, or go on where that was stopped.

    The study's folder is begun by whichever job comes first. Each job claims WORKDIR/ARM/seed-K by a lock and writes
    there alone, so that any number of processes may work in one folder; `run_study` makes tables and report of what
    they leave. Journals and checkpoints are those of `run_study`.

    Args:
        config: of the study.
        arm: name of one of its arms.
        seed: one of its seeds.
        workdir: the study's run folder; runs/NAME where absent.
        listener: told of progress.

    Returns:
        Whether there was anything to do: a finished job is left as it is, and no data is read.

    Raises:
        HeldError: another process has this job; seen before data is read, where the folder is begun.
        ConfigError, DataError, StoreError: as `run_study`.
    """
    study = recheck_study(config)
    listener = listener or StudyListener()
    workdir = Path(workdir) if workdir is not None else Path("runs") / study.name
    folder = results.run_folder(workdir, arm, seed)
    text = config_text(study)
    document = tomllib.loads(text)
    (of_arm,) = (each for each in study.arms if each.name == arm)
    with contextlib.ExitStack() as stack:
        listener = polling(listener, stack.enter_context(signals.handled()))
        is_begun = run_folder.holds(workdir, document)
        if is_begun:
            stack.enter_context(lock.hold(folder))
            if results.has_finished(study, of_arm, seed, workdir):
                return False
        # All that can be refused is refused before there is a folder.
        opened = open_study(study, listener)
        _join_run(workdir, text, document, environment_of(opened))
        if not is_begun:
            stack.enter_context(lock.hold(folder))
        (plan,) = (each for each in opened.plan.arms if each.name == arm)
        listener.on_plan(opened.plan, remaining_steps(study, [plan], [seed], workdir))
        run_arm(
            study,
            of_arm,
            plan,
            seed,
            opened.dataset_of,
            workdir,
            listener,
            lambda: None,
            lambda _: contextlib.nullcontext(),
        )
    return True


def _join_run(workdir: Path, text: str, document: dict, environment: dict) -> None:
    """Begin a run folder, or wait while another process does, and check that it is this run's."""
    while not (workdir / CONFIG).exists():
        try:
            with lock.hold(workdir):
                run_folder.open_run(workdir, text, document, environment)
        except lock.HeldError:
            time.sleep(SECONDS_BETWEEN_LOOKS)
    run_folder.open_run(workdir, text, document, environment)
