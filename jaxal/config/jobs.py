"""The parts that a study or a family comes apart into, each a command of its own: one arm with one seed."""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from jaxal.config.family import Family, members_named
from jaxal.errors import ConfigError

__all__ = ["Job", "find_job", "job_lines", "list_jobs"]


class Job(NamedTuple):
    """One arm with one seed, of one member."""

    member: str  # "" of the one study of a file that varies nothing
    arm: str
    seed: int

    @property
    def words(self) -> list[str]:
        """The flags that name it on a command line."""
        only = ["--only", self.member] if self.member else []
        return [*only, "--job", f"{self.arm}:{self.seed}"]


def list_jobs(family: Family, only: Iterable[str] = ()) -> Iterator[Job]:
    """List every job: members in the family's order, then arms and seeds in the config's.

    Args:
        family: of studies.
        only: names of members; all where empty.

    Raises:
        ConfigError: a name that no member has.
    """
    for name, study in members_named(family, only):
        for arm in study.arms:
            for seed in study.seeds:
                yield Job(name, arm.name, seed)


def find_job(family: Family, only: Iterable[str], text: str) -> Job:
    """Find the job that `ARM:SEED` names.

    Raises:
        ConfigError: there is none of that name, or several members have one.
    """
    jobs = list(list_jobs(family, only))
    found = [job for job in jobs if text == f"{job.arm}:{job.seed}"]
    if not found:
        arms, seeds = dict.fromkeys(job.arm for job in jobs), dict.fromkeys(str(job.seed) for job in jobs)
        raise ConfigError(
            f"--job {text}: no such job; expected ARM:SEED, of the arms {', '.join(arms)} and the seeds"
            f" {', '.join(seeds)}"
        )
    if len(found) > 1:
        members = ", ".join(job.member for job in found)
        raise ConfigError(f"--job {text}: {len(found)} members have one; add --only MEMBER, one of {members}")
    return found[0]


def job_lines(
    jobs: Iterable[Job], program: Sequence[str], config: str, flags: Sequence[str], overrides: Iterable[tuple[str, str]]
) -> Iterator[str]:
    r"""Write each job as a line for a shell, quoted where that is needed.

    >>> [*job_lines([Job("", "cb", 0)], ["jaxal"], "my study.toml", ["--workdir", "out"], [("seeds", "[0, 1]")])]
    ["jaxal run 'my study.toml' --job cb:0 --workdir out --seeds '[0, 1]'"]

    Args:
        jobs: to be written.
        program: how jaxal is called.
        config: the file.
        flags: of the command, the same for all.
        overrides: values set in the config, by dotted path.
    """
    settings = []
    for path, value in overrides:  # a value with dashes in front would be taken for a flag
        settings += [f"--{path}={value}"] if value.startswith("--") else [f"--{path}", value]
    for job in jobs:
        yield shlex.join([*program, "run", config, *job.words, *flags, *settings])
