"""Becoming one of several processes: by what a cluster says, or by what a user says."""

import contextlib
import os
from collections.abc import Iterator
from typing import NamedTuple

import jax

from jaxal.errors import ConfigError, ProcessError
from jaxal.processes.ending import ending_together

__all__ = ["Place", "joined"]

# A process of which nothing is heard for so long is taken for dead, and all others end.
HEARTBEAT_SECONDS = 30
JOIN_SECONDS = 300
ADDRESS, NUMBER, OWN = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"


class Place(NamedTuple):
    """Where a process stands among others; what is None is detected (Slurm, Open MPI, Kubernetes, Cloud TPU)."""

    coordinator: str | None = None  # HOST:PORT of process 0
    num_processes: int | None = None
    process: int | None = None  # from 0


@contextlib.contextmanager
def joined(place: Place) -> Iterator[None]:
    """Be one of several processes for the block; enter it before anything is computed.

    What is not given is read from JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, else detected by
    jax.distributed. Waits five minutes for the others; where they do not come, jax ends the process.

    Args:
        place: as far as it is known.

    Raises:
        ConfigError: what is given contradicts itself, or something is missing that cannot be detected.
        ProcessError: the coordinator's port cannot be opened, or the others cannot be reached; or another process has
            ended before the block's end.
    """
    place = _completed(place)
    # jax would take SIGTERM for itself, to tell of a host that is about to be taken away.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            place.coordinator,
            place.num_processes,
            place.process,
            initialization_timeout=JOIN_SECONDS,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except ValueError as error:
        missing = [
            f"--{name} ({variable})"
            for name, variable, value in (
                ("coordinator", ADDRESS, place.coordinator),
                ("num-processes", NUMBER, place.num_processes),
                ("process", OWN, place.process),
            )
            if value is None
        ]
        if not missing:
            raise ConfigError(f"--distributed: {error}") from error
        raise ConfigError(
            "--distributed: this is none of the clusters that jax detects (Slurm, Open MPI, Kubernetes, Cloud TPU), and"
            f" {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not given. Say on every host"
            " --coordinator HOST:PORT of process 0, --num-processes and its own --process, from 0."
        ) from error
    except RuntimeError as error:
        raise ProcessError(f"--distributed: cannot join the other processes: {error}") from error
    with ending_together():
        yield
    jax.distributed.shutdown()  # waits for the others


def _completed(place: Place) -> Place:
    """Add what the environment says, and refuse what cannot be."""
    place = Place(
        place.coordinator or os.environ.get(ADDRESS) or None,
        _number(NUMBER) if place.num_processes is None else place.num_processes,
        _number(OWN) if place.process is None else place.process,
    )
    address, count, own = place
    if address is not None and not address.rpartition(":")[2].isdecimal():
        raise ConfigError(f"--coordinator: expected HOST:PORT, got {address!r}")
    if count is not None and count < 1:
        raise ConfigError(f"--num-processes: expected a whole number, 1 or more, got {count}")
    if own is not None and (own < 0 or (count is not None and own >= count)):
        expected = "0 or more" if count is None else f"0 … {count - 1} of {count} processes"
        raise ConfigError(f"--process: expected {expected}, got {own}")
    return place


def _number(variable: str) -> int | None:
    text = os.environ.get(variable)
    if text is None or text.isdecimal():
        return None if text is None else int(text)
    raise ConfigError(f"{variable}: expected a whole number, got {text!r}")
