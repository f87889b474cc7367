"""The run folder's head: which config and which data it belongs to, so that nothing else is ever mixed into it."""

import contextlib
import json
import re
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path

from jaxal.errors import StoreError
from jaxal.store.files import make_folder, unwritable, write_atomic
from jaxal.store.lock import LOCK, NOTE

CONFIG = "config.toml"
ENVIRONMENT = "environment.json"

# What a run goes on with unchanged or not at all, whatever else of its environment may differ.
PINNED = {"data_sha256": "data", "weights_sha256": "pretrained weights", "embeddings_sha256": "embeddings"}

_SHOWN = 10
_ABSENT = object()
_INTERRUPTED = re.compile(r"\.(config\.toml|environment\.json|\.lock\.json)\.\d+\.tmp")


def open_run(folder: Path, config_text: str, config: dict, environment: dict) -> bool:
    """Creates a run folder, or checks that an existing one belongs to this config and these data.

    `config.toml` is written last, so a folder that has it is complete; a creation that was interrupted before is
    begun again. An existing folder is never changed. Hold the lock first.

    Args:
      folder: the run folder; created when missing.
      config_text: the resolved config as TOML.
      config: what `tomllib.loads(config_text)` gives.
      environment: versions, devices, `data_sha256`, `weights_sha256`, …: anything JSON; written with indent 1 and
        sorted keys.

    Returns:
      Whether the folder held this run already, so that it is to be resumed.

    Raises:
      ValueError: `config` is not what `config_text` says.
      StoreError: the folder holds another config (up to ten differences are listed), other data or pretrained weights,
        is damaged, or is not a run folder.

    Warns:
      UserWarning: the environment differs in something else than the data, such as a version.
    """
    if list(_differences(tomllib.loads(config_text), config)):
        raise ValueError("config is not what config_text says: give tomllib.loads(config_text)")
    try:
        make_folder(folder)
        names = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise unwritable(folder, error) from error
    if CONFIG in names:
        _check_config(folder, config)
        _check_environment(folder, environment)
        return True
    _refuse_other_folders(folder, names, environment)
    for name in names:
        if _INTERRUPTED.fullmatch(name):
            (folder / name).unlink(missing_ok=True)
    write_atomic(folder / ENVIRONMENT, json.dumps(environment, indent=1, sort_keys=True) + "\n")
    write_atomic(folder / CONFIG, config_text)
    return False


def holds(folder: Path, config: dict) -> bool:
    """Tells whether a folder holds a run of this config; one of another, a damaged one or none does not.

    Args:
      folder: the run folder; it may be missing.
      config: what `tomllib.loads` gives of its TOML.
    """
    try:
        recorded = tomllib.loads((folder / CONFIG).read_bytes().decode())
    except (OSError, ValueError):
        return False
    return not list(_differences(recorded, config))


def _check_config(folder: Path, config: dict) -> None:
    try:
        recorded = tomllib.loads((folder / CONFIG).read_bytes().decode())
    except (OSError, ValueError) as error:
        raise _unreadable(folder / CONFIG, error) from error
    lines = list(_differences(recorded, config))
    if lines:
        raise StoreError(
            f"{folder} holds a run of another config; {len(lines)} settings differ:\n{_listed(lines)}\n"
            "Run it with the config that it was started with, or give this one another --workdir."
        )


def _check_environment(folder: Path, environment: dict) -> None:
    try:
        recorded = json.loads((folder / ENVIRONMENT).read_bytes())
        if not isinstance(recorded, dict):
            raise ValueError("it is not a JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(folder / ENVIRONMENT, error) from error
    now = json.loads(json.dumps(environment))
    for name, what in PINNED.items():
        was, is_now = recorded.pop(name, None), now.pop(name, None)
        if was != is_now:
            raise StoreError(
                f"the {what} of the run in {folder} have changed: {name} was {was}, now it is {is_now}. "
                f"Bring back {'the state without any' if was is None else f'the {what}'} that it was started with, "
                "or give these another --workdir."
            )
    lines = list(_differences(recorded, now))
    if lines:
        warnings.warn(
            f"the run in {folder} resumes in another environment, so its numbers may differ in the last bits:\n"
            f"{_listed(lines)}",
            UserWarning,
            stacklevel=3,
        )


def _refuse_other_folders(folder: Path, names: set[str], environment: dict) -> None:
    foreign = sorted(name for name in names - {LOCK, NOTE} if not _INTERRUPTED.fullmatch(name))
    if foreign == [ENVIRONMENT]:
        # Our own file if a creation was interrupted between the two writes; then its entries are the same.
        with contextlib.suppress(OSError, ValueError, AttributeError, RecursionError):
            if json.loads((folder / ENVIRONMENT).read_bytes()).keys() == environment.keys():
                foreign = []
    if foreign:
        shown = ", ".join(foreign[:5]) + (f" and {len(foreign) - 5} more" if len(foreign) > 5 else "")
        raise StoreError(
            f"{folder} is not a run folder: it has no {CONFIG} but holds {shown}. "
            "Nothing was changed there; choose an empty or a new --workdir."
        )


def _unreadable(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"cannot read {path}: {error}. The run cannot be checked without it: restore the file from a copy, or start "
        "again in another --workdir."
    )


def _differences(recorded: object, now: object, where: str = "") -> Iterator[str]:
    """Yields a line for every value that differs, by its dotted path; list items by number."""
    if isinstance(recorded, list) and isinstance(now, list):
        recorded, now = dict(enumerate(recorded)), dict(enumerate(now))
    if isinstance(recorded, dict) and isinstance(now, dict):
        for key in [*recorded, *(key for key in now if key not in recorded)]:
            inner = f"{where}.{key}" if where else str(key)
            yield from _differences(recorded.get(key, _ABSENT), now.get(key, _ABSENT), inner)
    elif repr(recorded) != repr(now):  # repr tells 1 from 1.0 and True, and takes nan for nan
        yield f"{where}: recorded {_shown(recorded)}, now {_shown(now)}"


def _shown(value: object) -> str:
    text = "nothing" if value is _ABSENT else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _listed(lines: list[str]) -> str:
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n".join(f"  {line}" for line in [*lines[:_SHOWN], *more])
