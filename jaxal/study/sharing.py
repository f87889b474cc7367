"""A family shared by several processes of one machine: each runs the arms and seeds that nobody else is at."""

import contextlib
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax

from jaxal.config.reading import config_text, parse_study
from jaxal.config.study import StudyConfig
from jaxal.errors import JaxalError
from jaxal.store import lock, signals
from jaxal.study.beside_paper import is_begun
from jaxal.study.jobs import run_free_jobs
from jaxal.study.opening import remembering
from jaxal.study.results import has_finished
from jaxal.study.runner import StudyListener, polling, run_study

__all__ = ["Part", "helped", "is_whole", "let_compiled_programs_go", "run_part", "work"]

# Each compiled program takes some ten memory maps, of which Linux allows a process 65,530: beyond, XLA crashes.
MOST_MAPS = 20_000
WORKER = "from jaxal.study.sharing import work; work()"
# What a process that helps takes over of jax's settings: where compiled programs are kept.
CACHE_SETTINGS = (
    "jax_compilation_cache_dir",
    "jax_compilation_cache_max_size",
    "jax_enable_compilation_cache",
    "jax_persistent_cache_min_compile_time_secs",
)
DEVICE_SHARE = 0.9


class Part(NamedTuple):
    """What one of the processes is to do."""

    members: Sequence[tuple[Path, StudyConfig]]  # (run folder, study), all that there are
    number: int  # of the process, from 0
    num_processes: int
    parent: int  # the process that the others help


@contextlib.contextmanager
def helped(members: Sequence[tuple[Path, StudyConfig]], num_processes: int) -> Iterator[Part]:
    """Start the processes that help with members for the block; at its end they are waited for, or stopped.

    They are told to stop, as by SIGTERM, where the block raises, and stop of themselves where this process dies. Their
    errors go to standard error, and end them alone: what they leave is done, or refused, by whoever goes on.

    Yields:
        The part of this process.
    """
    part = Part(members, 0, num_processes, os.getpid())
    # On a device with memory of its own each would take three quarters.
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{DEVICE_SHARE / num_processes:.3f}")
    settings = {
        name.upper(): str(jax.config.values[name]) for name in CACHE_SETTINGS if jax.config.values[name] is not None
    }
    settings["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))  # whatever lies in the current folder
    others = []
    try:
        for number in range(1, num_processes):
            words = [sys.executable, "-P", "-c", WORKER]
            other = subprocess.Popen(words, env=os.environ | settings, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            others.append(other)
            assert other.stdin is not None
            with contextlib.suppress(BrokenPipeError), other.stdin as told:  # it has ended, and said why
                told.write(_text(part._replace(number=number)).encode())
        yield part
        for other in others:
            other.wait()
    finally:
        for other in others:
            other.terminate()
        for other in others:
            other.wait()


def work() -> None:
    """Run the part that comes by standard input, as a process that helps another."""
    part = _read(sys.stdin.buffer.read())

    def raise_if_alone() -> None:
        if os.getppid() != part.parent:
            raise signals.Terminated

    try:
        run_part(part, polling(StudyListener(), raise_if_alone))
    except (KeyboardInterrupt, signals.Terminated):
        pass  # whoever is helped says so
    except JaxalError as error:
        sys.exit(f"jaxal: a process that helped has ended: {error}")


def _text(part: Part) -> str:
    members = [(str(folder.absolute()), config_text(study)) for folder, study in part.members]
    return json.dumps(part._replace(members=members))


def _read(text: bytes) -> Part:
    members, *numbers = json.loads(text)
    return Part([(Path(folder), parse_study(tomllib.loads(study))) for folder, study in members], *numbers)


def run_part(part: Part, listener: StudyListener) -> None:
    """Go through all members, beginning at a place of one's own, and run what nobody else is at; report what is whole.

    Raises:
        ConfigError, DataError, StoreError: as `run_study`.
    """
    share = part.number / part.num_processes
    first = int(share * len(part.members))
    opening = remembering()
    with signals.handled() as raise_if_stopped:
        listener = polling(listener, raise_if_stopped)
        for place, (folder, study) in enumerate((*part.members[first:], *part.members[:first]), start=1):
            if len(part.members) > 1:
                listener.on_member(folder.name, place, len(part.members))
            is_finished = run_free_jobs(study, folder, share if len(part.members) == 1 else 0.0, listener, opening)
            if is_finished and len(part.members) > 1 and not is_whole(study, folder):
                with contextlib.suppress(lock.HeldError):  # somebody else makes it
                    run_study(study, folder, opening=opening)
            let_compiled_programs_go()


def is_whole(study: StudyConfig, folder: Path) -> bool:
    """Tell whether a folder holds this study, with all rounds, and a report made after the last of them."""
    if not is_begun(study, folder) or not all(
        has_finished(study, arm, seed, folder) for arm in study.arms for seed in study.seeds
    ):
        return False
    report = folder / "report.html"
    return report.exists() and all(
        path.stat().st_mtime_ns <= report.stat().st_mtime_ns for path in folder.glob("*/seed-*/journal.jsonl")
    )


def let_compiled_programs_go() -> None:
    """Forget compiled programs before there are more than a process may have."""
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > MOST_MAPS:
        jax.clear_caches()
