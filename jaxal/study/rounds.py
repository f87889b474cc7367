"""One experiment with its journal and checkpoints: every round durable before the next begins."""

import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxal import processes
from jaxal.data.listeners import OnImages
from jaxal.errors import StoreError
from jaxal.experiment import (
    AskInfo,
    Experiment,
    ExperimentState,
    RoundRecord,
    ask,
    asked_rows,
    start,
    state_template,
    tell,
)
from jaxal.pool import Query
from jaxal.store import checkpoints, journal, signals
from jaxal.strategies.balanced import BALANCING
from jaxal.study.stopping import final_round, is_finished

__all__ = ["recorded_rounds", "run_rounds"]

Event = dict[str, Any]


def journal_path(folder: Path) -> Path:
    """Return where a run keeps its journal."""
    return folder / "journal.jsonl"


def recorded_rounds(folder: Path) -> dict[int, Event]:
    """Read the finished rounds of a run from its journal; where a round was done again, the last line stands.

    Raises:
        StoreError: the journal is damaged before its last line.
    """
    path = journal_path(folder)
    try:
        state = path.stat()
    except OSError:
        return {event["round"]: event for event in journal.read(path) if event["event"] == "round"}
    return dict(_rounds(path, state.st_size, state.st_mtime_ns))


# Result files are made anew after every round: only the journal that has grown is read again.
@functools.lru_cache(maxsize=1024)
def _rounds(path: Path, num_bytes: int, changed_ns: int) -> dict[int, Event]:
    return {event["round"]: event for event in journal.read(path) if event["event"] == "round"}


def run_rounds(
    experiment: Experiment,
    folder: Path,
    on_steps: Callable[[int], None],
    on_round: Callable[[int], None],
    on_note: Callable[[str], None],
    on_embedded: OnImages,
) -> None:
    """Run every round that the journal does not hold yet, to the last one planned or to a plateau.

    A round is: embed, acquire, journal what was asked, journal the labels, reveal, fit, evaluate, checkpoint, journal
    the round. A crash in between loses the round's work and nothing else: it is done again from the checkpoint before
    it, with the same keys, so it comes out the same; what it has already asked or got labels for is not written twice.

    Of several processes the first alone reads and writes the folder, and tells the others what it holds.

    With schedule.reveal_every the journal has the same form, one `asked` and one `labels` a round, both written once
    the whole query is asked and answered; entry i of either belongs to the piece i // reveal_every. Labels that the
    journal holds are taken from it, piece by piece too, and the oracle is asked for no sample twice.

    Args:
        experiment: what runs.
        folder: of this arm and seed.
        on_steps: called after each epoch of a fit, with the optimization steps it took.
        on_round: called with a round's number once it is durable.
        on_note: called with a sentence on anything that the user should know, such as a damaged checkpoint.
        on_embedded: told, as each pool is embedded, how many images of how many are done.

    Raises:
        StoreError: the journal is damaged, or holds another query than the one that this run arrives at.
    """
    if has_finished(experiment, folder):
        return
    state = _begun_state(experiment, folder, on_note)
    if state is None:
        state, record = start(experiment, on_steps)
        _commit(experiment, folder, state, record, None)
        on_round(0)
    for number in range(int(state.pool.round) + 1, len(experiment.query_sizes) + 1):
        if number > _final_round(experiment, folder):
            break
        answer = _answering(experiment, folder, number)
        state, query, info = ask(experiment, state, functools.partial(_answer_from_first, answer), on_embedded)
        labels = _asked_and_answered(experiment, folder, number, query, info, answer)
        state, record = tell(experiment, state, query, labels, on_steps)
        _commit(experiment, folder, state, record, info)
        on_round(number)


def has_finished(experiment: Experiment, folder: Path) -> bool:
    """Tell whether a run has nothing left to do; process 0 looks, and tells all."""
    num_rounds, schedule = len(experiment.query_sizes), experiment.config.schedule
    return processes.from_first(
        f"whether {folder.name} is finished", lambda: is_finished(schedule, recorded_rounds(folder), num_rounds)
    )


def _final_round(experiment: Experiment, folder: Path) -> int:
    num_rounds, schedule = len(experiment.query_sizes), experiment.config.schedule
    return processes.from_first("last round", lambda: final_round(schedule, recorded_rounds(folder), num_rounds))


def _begun_state(experiment: Experiment, folder: Path, on_note: Callable[[str], None]) -> ExperimentState | None:
    """Take up what a folder holds, and give it to all processes; None where there is nothing yet."""
    found: list[ExperimentState] = []

    def look() -> bool:
        journal.repair(journal_path(folder))
        state = _latest_state(experiment, folder, on_note)
        if state is None:
            _record_initial_labels(experiment, folder)
        else:
            found.append(state)
        return state is not None

    if not processes.from_first("whether there is a checkpoint", look):
        return None
    return processes.from_first_arrays(found[0] if found else state_template(experiment))


def _latest_state(experiment: Experiment, folder: Path, on_note: Callable[[str], None]) -> ExperimentState | None:
    """Restore the newest checkpoint that is whole; None where there is none."""
    rounds = recorded_rounds(folder)
    template = None
    for number in sorted(set(checkpoints.steps(folder / "checkpoints")) & set(rounds), reverse=True):
        template = state_template(experiment) if template is None else template
        try:
            return checkpoints.restore(folder / "checkpoints", number, template, sha256=rounds[number]["sha256"])
        except StoreError as error:
            on_note(f"{error} Going back to the round before.")
    if rounds:
        on_note(f"{folder}: no checkpoint is left that is whole; starting from the initial labels again.")
    return None


def _events(folder: Path, number: int) -> dict[str, Event]:
    return {event["event"]: event for event in journal.read(journal_path(folder)) if event["round"] == number}


def _record_initial_labels(experiment: Experiment, folder: Path) -> None:
    if "labels" not in _events(folder, 0):
        rows = np.flatnonzero(experiment.initial_labels >= 0)
        journal.append(journal_path(folder), _labels_event(experiment, 0, rows, experiment.initial_labels[rows]))


def _labels_event(experiment: Experiment, number: int, rows: np.ndarray, labels: np.ndarray) -> Event:
    ids = experiment.pool_ids[rows].tolist()
    return {"event": "labels", "round": number, "ids": ids, "labels": labels.tolist()}


def _answering(experiment: Experiment, folder: Path, number: int) -> Callable[[np.ndarray], np.ndarray]:
    """Make the function that answers pool rows in a round: from the journal, else from the oracle, and each once."""
    known: dict[str, int] = {}
    for event in journal.read(journal_path(folder)):
        if (event["event"], event["round"]) == ("labels", number):
            known |= zip(event["ids"], event["labels"], strict=True)

    def answer(rows: np.ndarray) -> np.ndarray:
        ids = experiment.pool_ids[rows].tolist()
        is_new = np.array([name not in known for name in ids], bool)
        if np.any(is_new):
            new_labels = experiment.oracle.answer(rows[is_new]).tolist()
            known.update(zip(experiment.pool_ids[rows[is_new]].tolist(), new_labels, strict=True))
        return np.array([known[name] for name in ids], np.int32)

    return answer


def _answer_from_first(answer: Callable[[np.ndarray], np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Have process 0 answer, and give its answers to all."""
    return np.array(processes.from_first("labels", lambda: answer(rows).tolist()), np.int32)


def _asked_and_answered(
    experiment: Experiment,
    folder: Path,
    number: int,
    query: Query,
    info: AskInfo,
    answer: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Journal a query and its answers; where the journal holds them already, check the one and take the other."""
    rows = asked_rows(query)

    def journaled(rows: np.ndarray) -> np.ndarray:
        _journal_asked(experiment, folder, number, rows, info)
        labels = answer(rows)
        if "labels" not in _events(folder, number):
            journal.append(journal_path(folder), _labels_event(experiment, number, rows, labels))
        return labels

    return _answer_from_first(journaled, rows)


def _journal_asked(experiment: Experiment, folder: Path, number: int, rows: np.ndarray, info: AskInfo) -> None:
    recorded = _events(folder, number)
    if "asked" not in recorded:
        journal.append(journal_path(folder), _asked_event(experiment, number, rows, info))
    elif recorded["asked"]["indices"] != rows.tolist():
        raise StoreError(
            f"{folder}: round {number} would now ask other samples than the {len(recorded['asked']['indices'])} that"
            " the journal holds. Versions, devices or data have changed since: go on with those of environment.json, or"
            " start over in another --workdir."
        )


def _asked_event(experiment: Experiment, number: int, rows: np.ndarray, info: AskInfo) -> Event:
    reasons = [] if experiment.strategy is None else list(experiment.strategy.reasons)
    scores = np.asarray(info.acquisition.score)[: len(rows)].tolist()
    why = [reasons[index] for index in np.asarray(info.acquisition.reason)[: len(rows)].tolist()]
    return {
        "event": "asked",
        "round": number,
        "ids": experiment.pool_ids[rows].tolist(),
        "indices": rows.tolist(),
        "score": [score if math.isfinite(score) else None for score in scores],
        "reason": why,
        "switched_at": _switched_at(why),
    }


def _switched_at(reasons: Sequence[str]) -> int | None:
    """Return the place of the first balancing pick in a query, from 0; None where there is none.

    Compositions put their stages' names before a reason, with dots.
    """
    return next((place for place, reason in enumerate(reasons) if reason.rpartition(".")[2] == BALANCING), None)


def _commit(
    experiment: Experiment, folder: Path, state: ExperimentState, record: RoundRecord, info: AskInfo | None
) -> None:
    """Make a round durable: first its checkpoint, then its journal line; without the line the checkpoint is void.

    Process 0 does, and the others go on: with what they need next they wait for it.
    """
    if not processes.is_first():
        return
    number = int(state.pool.round)
    with signals.deferred():
        sha256 = checkpoints.save(folder / "checkpoints", number, state)
        journal.append(
            journal_path(folder),
            {
                "event": "round",
                "round": number,
                "metrics": [list(row) for row in record.metrics],
                "best_epoch": record.best_epoch,
                "epochs": record.num_epochs,
                "seconds": {
                    "train": record.seconds_train,
                    "embed": None if info is None else info.seconds_embed,
                    "acquire": None if info is None else info.seconds_acquire,
                    "compile": None if info is None else info.seconds_compile,
                },
                "checkpoint": f"checkpoints/{number}",
                "sha256": sha256,
                **({"weights_sha256": experiment.weights_sha256} if experiment.weights_sha256 else {}),
            },
        )
