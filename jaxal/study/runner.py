"""Running a study: every arm with every seed, one run folder, nothing lost when it is stopped."""

import contextlib
import functools
import time
import tomllib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxal import processes
from jaxal.config.reading import config_text, experiment_config, recheck_study
from jaxal.config.study import ArmConfig, StudyConfig
from jaxal.config.tables import TableConfig
from jaxal.data.dataset import Dataset
from jaxal.data.listeners import OnImages
from jaxal.errors import InputError, JaxalError, StoreError
from jaxal.experiment import make_experiment
from jaxal.models.weights import LoadReport
from jaxal.report.external import external_rows
from jaxal.report.learning_curve_figure import draw_learning_curves
from jaxal.report.page import write_report
from jaxal.store import lock, run_folder, signals
from jaxal.study import results
from jaxal.study.beside_paper import check_tables, lay_tables, write_tables
from jaxal.study.environment import shared_facts
from jaxal.study.opening import Opening, environment_of, open_study
from jaxal.study.plan import ArmPlan, StudyPlan
from jaxal.study.report_inputs import collect_report
from jaxal.study.rounds import recorded_rounds, run_rounds
from jaxal.study.source_classes import keep_source_shares
from jaxal.study.stopping import describe_stop, is_finished

__all__ = ["StudyListener", "StudyResult", "prepare_study", "run_study"]


class StudyResult(NamedTuple):
    """What a study came to."""

    table: list[dict[str, Any]]  # the rows of results.csv, typed; None = not defined
    workdir: Path


class StudyListener(NamedTuple):
    """Functions that are told how a study, or a family of them, goes on; by default they do nothing."""

    on_member: Callable[[str, int, int], None] = lambda name, number, num_members: None  # of a family, from 1
    on_plan: Callable[[StudyPlan, int], None] = lambda plan, remaining_steps: None
    on_steps: Callable[[int], None] = lambda num_steps: None  # optimization steps just done, or left out for good
    on_round: Callable[[str, int, int, int], None] = lambda arm, seed, number, num_rounds: None
    on_note: Callable[[str], None] = lambda text: None
    on_images: OnImages = lambda done, total: None  # image files read so far, of how many
    on_trunk: Callable[[float], None] = lambda seconds: None  # what a frozen trunk's one pass over the images took
    on_embedded: OnImages = lambda done, total: None  # images of one pass, of how many


def prepare_study(study: StudyConfig, listener: StudyListener | None = None) -> StudyPlan:
    """Open the data and count what the study would do; nothing is written, but resized images are cached.

    Raises:
        ConfigError, DataError: as `run_study`.
    """
    return open_study(recheck_study(study), (listener or StudyListener()).on_images).plan


def run_study(
    config: StudyConfig,
    workdir: str | Path | None = None,
    listener: StudyListener | None = None,
    tables: Sequence[TableConfig] = (),
    opening: Opening = open_study,
) -> StudyResult:
    """Run a study to its end, or go on where it was stopped.

    Where jax.distributed is in use all processes call this with the same arguments: they share the passes over the
    pool, and each fits for itself what all fit alike (or all one, training.data_parallel). The first one alone reads
    and writes the run folder; one that ends by an error ends all.

    Args:
        config: of the study.
        workdir: the run folder; runs/NAME where absent. If it holds this study already, finished rounds are kept, and
            a finished study changes nothing.
        listener: told of progress.
        tables: laid beside a paper's, in report.html and tables.csv.
        opening: opens the data; one that remembers spares opening it anew.

    Raises:
        ConfigError: the config contradicts itself, or a table does not fit what the paper prints or what the study has.
        DataError: the data is missing or does not fit the config, or pretrained weights are missing; or embeddings
            that are given are not of this study, or cannot be kept.
        StoreError: the folder is held by another process, belongs to another config, other data or other weights, or is
            damaged.
        ProcessError: processes were given different studies or data, or another one has ended.
    """
    study = recheck_study(config)
    check_tables(tables)
    listener = listener or StudyListener()
    workdir = Path(workdir) if workdir is not None else Path("runs") / study.name
    text = config_text(study)
    with contextlib.ExitStack() as stack:
        stack.enter_context(processes.ending_together())
        listener = polling(listener, stack.enter_context(signals.handled()))
        # All that can be refused is refused before there is a folder.
        opened = opening(study, listener.on_images)
        plan, dataset_of = opened.plan, opened.dataset_of
        environment = environment_of(opened)
        processes.agree(shared_facts(text, environment))

        def open_folder() -> None:
            stack.enter_context(lock.hold(workdir))
            run_folder.open_run(workdir, text, tomllib.loads(text), environment)
            listener.on_plan(plan, remaining_steps(study, plan.arms, study.seeds, workdir))

        processes.from_first("the run folder", open_folder)
        write = _seldom(functools.partial(results.write_results, study, workdir))
        try:
            for arm, arm_plan in zip(study.arms, plan.arms, strict=True):
                for seed in study.seeds:
                    run_arm(study, arm, arm_plan, seed, dataset_of, workdir, listener, write)
        except (JaxalError, KeyboardInterrupt, signals.Terminated):
            if processes.is_first():
                with contextlib.suppress(JaxalError):  # what stopped the study is what its user is told
                    _show(study, workdir, plan, dataset_of, tables)
            raise
        table = processes.from_first("results", lambda: _show(study, workdir, plan, dataset_of, tables))
    return StudyResult(table, workdir)


def _show(
    study: StudyConfig,
    workdir: Path,
    plan: StudyPlan,
    dataset_of: Callable[[int], Dataset],
    tables: Sequence[TableConfig],
) -> list[dict[str, Any]]:
    """Make tables, figures and page of what is finished; return the rows of results.csv."""
    rows = results.write_results(study, workdir)
    report = collect_report(study, workdir, plan, dataset_of)
    try:
        laid = lay_tables(tables, {"": study}, {"": workdir})
        write_tables(laid, workdir)
        report = report._replace(paper_tables=laid)
    finally:  # a table that asks for what the study has not leaves the page without tables, not the study without page
        external = external_rows(rows, report.metric_rows)
        draw_learning_curves(rows, workdir, full_arms=report.full_arms, external=external)
        write_report(report, workdir)
    return rows


def _seldom(write: Callable[[], Any]) -> Callable[[], None]:
    """Let result files be made anew in a twentieth of the time at most: they grow with every round."""
    due = 0.0

    def write_if_due() -> None:
        nonlocal due
        began = time.perf_counter()
        if began >= due:
            write()
            ended = time.perf_counter()
            due = ended + 20 * (ended - began)

    return write_if_due


def polling(listener: StudyListener, raise_if_stopped: Callable[[], None]) -> StudyListener:
    """Let every epoch and every round notice a stop whose exception was lost."""

    def on_steps(num_steps: int) -> None:
        raise_if_stopped()
        listener.on_steps(num_steps)

    def on_images(done: int, total: int) -> None:
        raise_if_stopped()
        listener.on_images(done, total)

    def on_embedded(done: int, total: int) -> None:
        raise_if_stopped()
        listener.on_embedded(done, total)

    return listener._replace(on_steps=on_steps, on_images=on_images, on_embedded=on_embedded)


def run_arm(
    study: StudyConfig,
    arm: ArmConfig,
    arm_plan: ArmPlan,
    seed: int,
    dataset_of: Callable[[int], Dataset],
    workdir: Path,
    listener: StudyListener,
    write: Callable[[], None],
    claim: Callable[[Path], contextlib.AbstractContextManager[None]] = lock.hold,
) -> None:
    """Run one arm with one seed to its end, or go on where that was stopped; nothing where it is finished.

    Args:
        study: the config.
        arm: one of its arms.
        arm_plan: of that arm.
        seed: one of the study's.
        dataset_of: the data, by seed.
        workdir: the study's run folder.
        listener: told of progress.
        write: called after each round.
        claim: holds the folder of this arm and seed, against `run_job` in another process.

    Raises:
        HeldError: another process has this arm and seed.
        ConfigError, DataError, StoreError: as `run_study`.
    """
    folder = results.run_folder(workdir, arm.name, seed)
    num_rounds = len(arm_plan.num_labeled) - 1
    if processes.from_first(
        f"whether {arm.name}, seed {seed} is finished",
        lambda: is_finished(study.schedule, recorded_rounds(folder), num_rounds),
    ):
        return
    config, dataset = experiment_config(study, arm, seed), dataset_of(seed)
    began, num_embedded = time.perf_counter(), 0

    def on_embedded(done: int, total: int) -> None:
        nonlocal num_embedded
        num_embedded = done
        listener.on_embedded(done, total)

    experiment = make_experiment(config, dataset, on_embedded=on_embedded)
    if num_embedded:
        listener.on_trunk(time.perf_counter() - began)
    source = LoadReport() if arm_plan.source is None else arm_plan.source.weights
    query_weights = arm_plan.model.weights if arm_plan.query_model is None else arm_plan.query_model.weights
    for sha256, planned in (
        ((experiment.scored or experiment).weights_sha256, arm_plan.model.weights),
        (experiment.weights_sha256, query_weights),
        (experiment.source_sha256, source),
    ):
        if sha256 != planned.sha256:
            raise StoreError(
                f"arm {arm.name}, seed {seed}: the pretrained weights in"
                f" {planned.source or 'the installed package, which was not there,'} have changed since the study"
                " began. Bring back what it was started with. Finished rounds are kept."
            )

    if seed == study.seeds[0] and processes.is_first():
        keep_source_shares(experiment, workdir)

    def on_round(number: int) -> None:
        if processes.is_first():
            write()
        listener.on_round(arm.name, seed, number, num_rounds)

    try:
        with contextlib.ExitStack() as held:
            processes.from_first(f"the folder of {arm.name}, seed {seed}", lambda: held.enter_context(claim(folder)))
            run_rounds(experiment, folder, listener.on_steps, on_round, listener.on_note, listener.on_embedded)
    except InputError as error:
        where = f", round {len(recorded_rounds(folder))}" if processes.is_first() else ""
        raise InputError(
            f"arm {arm.name}, seed {seed}{where}: {error}. The fit before it has diverged; lower"
            " training.learning_rate and start in another --workdir. Finished rounds are kept."
        ) from error
    stop = describe_stop(study.schedule, recorded_rounds(folder), num_rounds) if processes.is_first() else None
    if stop is not None:
        listener.on_steps(_planned_steps(arm_plan, folder))
        listener.on_note(f"{arm.name}, seed {seed} {stop}.")


def remaining_steps(study: StudyConfig, arms: Iterable[ArmPlan], seeds: Iterable[int], workdir: Path) -> int:
    """Count the optimization steps of runs that are not finished, to the last round planned."""
    total = 0
    for arm in arms:
        for seed in seeds:
            folder = results.run_folder(workdir, arm.name, seed)
            if not is_finished(study.schedule, recorded_rounds(folder), len(arm.num_labeled) - 1):
                total += _planned_steps(arm, folder)
    return total


def _planned_steps(arm: ArmPlan, folder: Path) -> int:
    """Count the optimization steps of all rounds planned that a journal does not hold."""
    finished = recorded_rounds(folder)
    return sum(steps for number, steps in enumerate(arm.steps) if number not in finished)
