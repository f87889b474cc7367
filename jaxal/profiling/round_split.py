"""One round of a study, split into what takes the time: fit, embed, acquire, evaluate, write."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from jaxal.config.reading import experiment_config, recheck_study
from jaxal.config.study import StudyConfig
from jaxal.data.dataset import load_source, make_dataset
from jaxal.errors import ConfigError
from jaxal.experiment import Experiment, ExperimentState, ask, asked_rows, make_experiment, start, tell
from jaxal.profiling.tables import markdown_table
from jaxal.store import checkpoints, journal

__all__ = ["Phase", "RoundSplit", "round_markdown", "split_round"]

COMPILING = "/jax/core/compile/backend_compile_duration"


class Phase(NamedTuple):
    """A part of a round."""

    name: str
    seconds: float
    seconds_compiling: float  # of these


class RoundSplit(NamedTuple):
    """Round 1 of a study's first arm that asks, with its first seed."""

    arm: str
    seed: int
    query_size: int
    num_rows: int
    seconds_data: float  # reading and splitting the data, once for a study
    seconds_start: float  # round 0: the first fit, with nearly all that there is to compile
    phases: tuple[Phase, ...]


def split_round(study: StudyConfig, say: Callable[[str], object] = lambda text: None) -> RoundSplit:
    """Run round 0 and round 1 of a study's first arm that asks, and time the parts of round 1.

    Nothing of the study's run folder is read or written: checkpoint and journal go to a temporary folder.

    Args:
        study: the config.
        say: told what goes on, in pieces of lines.

    Raises:
        ConfigError, DataError, InputError: as `run_study`; or no arm of the study asks anything.
    """
    study = recheck_study(study)
    asking = [arm for arm in study.arms if arm.strategy is not None]
    if not asking:
        raise ConfigError("arms: none of them asks anything (kind = full), so there is no round to split")
    arm, seed = asking[0], study.seeds[0]
    say(f"{study.name}, arm {arm.name}, seed {seed}: reading the data")
    began = time.perf_counter()
    dataset = make_dataset(load_source(study.data), study.data, seed)
    experiment = make_experiment(experiment_config(study, arm, seed), dataset)
    read = time.perf_counter()
    say(f", {read - began:.1f} s\nround 0")
    state, _ = start(experiment)
    started = time.perf_counter()
    say(f", {started - read:.1f} s\nround 1")
    phases = _timed_round(experiment, state)
    say(f", {sum(phase.seconds for phase in phases):.1f} s\n")
    num_rows = len(experiment.initial_labels)
    return RoundSplit(arm.name, seed, experiment.query_sizes[0], num_rows, read - began, started - read, phases)


def _timed_round(experiment: Experiment, state: ExperimentState) -> tuple[Phase, ...]:
    with _compilations() as compiled, tempfile.TemporaryDirectory(prefix="jaxal-round-") as folder:
        times = [time.perf_counter()]
        state, query, info = ask(experiment, state, experiment.oracle.answer)
        times.append(time.perf_counter())
        embedded = times[0] + info.seconds_embed
        acquiring = times[1] - info.seconds_acquire - info.seconds_compile
        rows = asked_rows(query)
        state, record = tell(experiment, state, query, experiment.oracle.answer(rows))
        times.append(time.perf_counter())
        fitted = times[1] + record.seconds_train
        _write_round(experiment, state, rows, Path(folder))
        times.append(time.perf_counter())

    def phase(name: str, since: float, until: float) -> Phase:
        return Phase(name, until - since, sum(seconds for at, seconds in compiled if since < at <= until))

    return (
        phase("fit", times[1], fitted),
        phase("embed", times[0], embedded),
        phase("acquire", acquiring, times[1]),
        phase("evaluate", fitted, times[2]),
        phase("io", times[2], times[3]),
        phase("checks", embedded, acquiring),
    )


@contextmanager
def _compilations() -> Iterator[list[tuple[float, float]]]:
    """Collect when each compilation ended and how many seconds it took."""
    found: list[tuple[float, float]] = []

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        if event == COMPILING:
            found.append((time.perf_counter(), duration_secs))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def _write_round(experiment: Experiment, state: ExperimentState, rows: np.ndarray, folder: Path) -> None:
    """Write what a run keeps of a round, as durably: query, answers, checkpoint, and the round's line."""
    ids = experiment.pool_ids[rows].tolist()
    answers = np.asarray(state.pool.labels)[rows].tolist()
    journal.append(folder / "journal.jsonl", {"event": "asked", "round": 1, "ids": ids, "indices": rows.tolist()})
    journal.append(folder / "journal.jsonl", {"event": "labels", "round": 1, "ids": ids, "labels": answers})
    sha256 = checkpoints.save(folder / "checkpoints", 1, state)
    journal.append(folder / "journal.jsonl", {"event": "round", "round": 1, "sha256": sha256})


def round_markdown(split: RoundSplit) -> str:
    """Write the split as a Markdown table with shares."""
    total = sum(phase.seconds for phase in split.phases)
    compiling = sum(phase.seconds_compiling for phase in split.phases)
    rows = [
        [
            phase.name,
            f"{phase.seconds:.3f}",
            f"{100 * phase.seconds / total:.1f} %",
            f"{phase.seconds_compiling:.3f}",
            f"{100 * (phase.seconds - phase.seconds_compiling) / max(total - compiling, 1e-9):.1f} %",
        ]
        for phase in (*split.phases, Phase("all", total, compiling))
    ]
    return (
        f"Round 1 of arm {split.arm}, seed {split.seed}: {split.query_size} labels from a pool of {split.num_rows}, on"
        f" {jax.devices()[0].device_kind} with jax {jax.__version__}. Before it: {split.seconds_data:.1f} s for the"
        f" data, {split.seconds_start:.1f} s for round 0. Later rounds do not compile.\n\n"
        + markdown_table(("phase", "seconds", "share", "of these compiling", "share without compiling"), rows)
    )
