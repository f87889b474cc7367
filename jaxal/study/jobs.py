"""One arm with one seed of a study, in a process of its own beside others that run other jobs of the same study."""

import contextlib
import time
import tomllib
from pathlib import Path

from jaxal.config.reading import config_text, recheck_study
from jaxal.config.study import ArmConfig, StudyConfig
from jaxal.errors import ConfigError
from jaxal.store import lock, run_folder, signals
from jaxal.store.run_folder import CONFIG
from jaxal.study import results
from jaxal.study.opening import Opening, OpenStudy, environment_of, open_study
from jaxal.study.plan import ArmPlan
from jaxal.study.runner import (
    StudyListener,
    polling,
    remaining_steps,
    run_arm,
)

__all__ = ["run_free_jobs", "run_job"]

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
        ConfigError, DataError, StoreError: as `run_study`; or there is no such arm or seed.
    """
    study = recheck_study(config)
    listener = listener or StudyListener()
    workdir = Path(workdir) if workdir is not None else Path("runs") / study.name
    folder = results.run_folder(workdir, arm, seed)
    text = config_text(study)
    document = tomllib.loads(text)
    of_arm = next((each for each in study.arms if each.name == arm), None)
    if of_arm is None or seed not in study.seeds:
        raise ConfigError(f"{study.name}: no arm {arm!r} with seed {seed}")
    with contextlib.ExitStack() as stack:
        listener = polling(listener, stack.enter_context(signals.handled()))
        is_begun = run_folder.holds(workdir, document)
        if is_begun:
            stack.enter_context(lock.hold(folder))
            if results.has_finished(study, of_arm, seed, workdir):
                return False
        # All that can be refused is refused before there is a folder.
        opened = open_study(study, listener.on_images)
        _join_run(workdir, text, document, environment_of(opened))
        if not is_begun:
            stack.enter_context(lock.hold(folder))
        listener.on_plan(opened.plan, remaining_steps(study, [_plan_of(opened, of_arm)], [seed], workdir))
        _run(study, opened, of_arm, seed, workdir, listener)
    return True


def run_free_jobs(
    study: StudyConfig, workdir: Path, begin_at: float, listener: StudyListener, opening: Opening
) -> bool:
    """Run every arm and seed that is not finished and that nobody else is at; the data is opened once for all.

    Args:
        study: the config, checked.
        workdir: the study's run folder.
        begin_at: in [0, 1): where in the list of jobs to begin, so that processes that share it seldom meet.
        listener: told of progress.
        opening: opens the data.

    Returns:
        Whether all jobs are finished.

    Raises:
        ConfigError, DataError, StoreError: as `run_study`.
    """
    jobs = [(arm, seed) for arm in study.arms for seed in study.seeds]
    first = int(begin_at * len(jobs))

    def unfinished() -> list[tuple[ArmConfig, int]]:
        ordered = [*jobs[first:], *jobs[:first]]
        return [(arm, seed) for arm, seed in ordered if not results.has_finished(study, arm, seed, workdir)]

    if unfinished():
        opened, text = opening(study, listener.on_images), config_text(study)
        _join_run(workdir, text, tomllib.loads(text), environment_of(opened))
        listener.on_plan(opened.plan, remaining_steps(study, opened.plan.arms, study.seeds, workdir))
        for arm, seed in unfinished():
            with contextlib.suppress(lock.HeldError), lock.hold(results.run_folder(workdir, arm.name, seed)):
                _run(study, opened, arm, seed, workdir, listener)
    return not unfinished()


def _plan_of(opened: OpenStudy, arm: ArmConfig) -> ArmPlan:
    (plan,) = (each for each in opened.plan.arms if each.name == arm.name)
    return plan


def _run(
    study: StudyConfig, opened: OpenStudy, arm: ArmConfig, seed: int, workdir: Path, listener: StudyListener
) -> None:
    """Run a job whose folder is held."""
    plan = _plan_of(opened, arm)
    held = contextlib.nullcontext()
    run_arm(study, arm, plan, seed, opened.dataset_of, workdir, listener, lambda: None, lambda _: held)


def _join_run(workdir: Path, text: str, document: dict, environment: dict) -> None:
    """Begin a run folder, or wait while another process does, and check that it is this run's."""
    while not (workdir / CONFIG).exists():
        try:
            with lock.hold(workdir):
                run_folder.open_run(workdir, text, document, environment)
        except lock.HeldError:
            time.sleep(SECONDS_BETWEEN_LOOKS)
    run_folder.open_run(workdir, text, document, environment)
