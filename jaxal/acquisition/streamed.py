"""Selection from a pool that stays on the disk: what `select` chooses, a few bytes of memory a row."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import msgspec
import numpy as np

from jaxal.acquisition.memory import default_block_bytes
from jaxal.acquisition.pool_inputs import read_integer
from jaxal.acquisition.selection import LARGEST_SEED, Selection, query_notes
from jaxal.acquisition.streamed_alfa_mix import streamed_alfa_mix
from jaxal.acquisition.streamed_badge import streamed_badge
from jaxal.acquisition.streamed_core_set import streamed_core_set
from jaxal.acquisition.streamed_rows import BLOCK_BYTES, StreamedPool, StreamedQuery, Winners
from jaxal.acquisition.streamed_state import hold_state
from jaxal.acquisition.streamed_tournament import streamed_tournament
from jaxal.acquisition.streamed_uncertainty import streamed_uncertainty
from jaxal.config import strategies as configs
from jaxal.errors import InputError
from jaxal.kernels.blocks import block_budget
from jaxal.kernels.progress import current_listener, progress_to
from jaxal.pool import UNLABELED
from jaxal.strategies.registry import make_strategy
from jaxal.strategies.strategy import Strategy

__all__ = ["Seconds", "select_streamed", "streaming_note"]

BY_PREDICTION = (configs.EntropyConfig, configs.MarginConfig, configs.LeastConfidenceConfig)
ROW_BY_ROW = (*BY_PREDICTION, configs.RandomConfig, configs.MPPSConfig, configs.AutoFMConfig)
WITH_LABELS = (configs.MPPSConfig, configs.AutoFMConfig)
# Those that have a way of their own over the disk.
ALONE = (configs.CoreSetConfig, configs.BADGEConfig, configs.ALFAMixConfig)
WITH_HEAD = (*BY_PREDICTION, configs.AutoFMConfig, configs.BADGEConfig, configs.ALFAMixConfig)
CAN_STREAM = (
    "core_set, badge, alfa_mix, random, entropy, margin, least_confidence, mpps, auto_fm (without diversify), cb_dal,"
    " and budget_split of all these but the first three"
)

# Of what is kept of an unfinished choice: another number for every change, so that older states are refused.
LAYOUT = "3"


class Seconds(NamedTuple):
    """Where the time of a selection went."""

    waiting: float  # for rows from the disk, and for the hashes of their files
    working: float  # all the rest, numbering of ids and saving included
    after_reading: float  # of that, what came after the last row had been read


def select_streamed(
    strategy: configs.StrategyConfig,
    pool: StreamedPool,
    *,
    budget: int,
    seed: int = 0,
    memory: int | None = None,
    state: Path,
    read_bytes: int = BLOCK_BYTES,
) -> tuple[Selection, tuple[str, ...], Seconds]:
    """Choose as `select` does from a pool whose rows are read block by block, and keep how far it has come.

    A process that is killed loses half a minute; the same call goes on with the state that it left and makes the same
    picks. The state stays there: the same call once more reads the picks from it.

    Args:
        strategy: one of CAN_STREAM.
        pool: to choose from.
        budget: labels to buy, at least 1.
        seed: 0 … 2³²-1.
        memory: bytes that the temporaries of one block may take, as in `select`; it changes no pick.
        state: a folder of this selection's own, made where missing.
        read_bytes: of rows that are read at a time; a few times as many are held. It changes no pick.

    Returns:
        (the selection, what the caller should be warned of, where the time went).

    Raises:
        InputError: an argument that is refused, by its name; a strategy that needs the pool in memory.
        StoreError: the folder of the state is in use, or of another selection.
        DataError: a file of the embeddings is not the one that was written.
    """
    num_asked = read_integer("budget", budget, 1)
    key = jax.random.key(read_integer("seed", seed, 0, LARGEST_SEED))
    block_bytes = default_block_bytes() if memory is None else read_integer("memory", memory, 1)
    _refuse_what_cannot_stream(strategy, pool)
    num_picks = min(num_asked, int(np.sum(pool.labels == UNLABELED)))
    if num_picks == 0:
        raise InputError("labels: nothing is unlabeled; there is nothing to choose from")
    plan = make_strategy(strategy, num_classes=pool.num_classes)
    listener = current_listener()
    waits, began = [0.0], time.monotonic()
    with hold_state(state, _depends_on(strategy, pool, num_asked, seed)) as held, block_budget(block_bytes):
        read, last_read = _timed(pool.rows.read)
        query = StreamedQuery(
            pool=pool._replace(rows=pool.rows._replace(read=read)),
            key=key,
            num_picks=num_picks,
            state=held,
            block_bytes=block_bytes,
            read_bytes=read_bytes,
            tell=_silent if listener is None else listener,
            waited=waits.append,
        )
        # Told from here, block by block: a program that calls back could not be kept in the compilation cache.
        with jax.enable_x64(False), progress_to(None):
            found = _winners(strategy, plan, query)
    ended, waited = time.monotonic(), sum(waits)
    seconds = Seconds(waited, ended - began - waited, ended - max(last_read(), began))
    reasons = tuple(plan.reasons[reason] for reason in found.reasons.tolist())
    selection = Selection(found.rows, found.scores, reasons, found.num_fallback)
    return selection, query_notes(plan, selection, num_asked), seconds


def streaming_note(num_rows: int, seconds: Seconds) -> str:
    """Say in a line where the time of a selection went.

    >>> streaming_note(10_000_000, Seconds(48.3, 9.1, 1.24))
    '10,000,000 rows: 48.3 s waiting for the disk, 9.1 s choosing; 1.2 s after the last row was read'
    """
    return (
        f"{num_rows:,} rows: {seconds.waiting:.1f} s waiting for the disk, {seconds.working:.1f} s choosing;"
        f" {seconds.after_reading:.1f} s after the last row was read"
    )


def _timed(read: Callable[[np.ndarray], np.ndarray]) -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[], float]]:
    """Make a read function that remembers when it was last done, and the function that tells."""
    last = [0.0]

    def timed(rows: np.ndarray) -> np.ndarray:
        found = read(rows)
        last[0] = time.monotonic()
        return found

    return timed, lambda: last[0]


def _winners(strategy: configs.StrategyConfig, plan: Strategy, query: StreamedQuery) -> Winners:
    """Choose the way that suits the strategy."""
    if isinstance(strategy, configs.CoreSetConfig):
        return streamed_core_set(query)
    if isinstance(strategy, configs.BADGEConfig):
        return streamed_badge(query)
    if isinstance(strategy, configs.ALFAMixConfig):
        return streamed_alfa_mix(plan, strategy, query)
    if isinstance(strategy, BY_PREDICTION):
        return streamed_uncertainty(query, plan.name, inverted=strategy.inverted)
    uses_labels = _any_stage(strategy, lambda stage: isinstance(stage, WITH_LABELS))
    return streamed_tournament(plan, query, uses_labels=uses_labels, uses_noise=_any_stage(strategy, _draws_noise))


def _silent(what: str, num_done: int, num_wanted: int) -> None:
    pass


def _stages(strategy: Any) -> list[Any]:
    """Take a strategy that is composed of stages apart."""
    if isinstance(strategy, configs.CBDALConfig):
        return [strategy.auto_fm, strategy.mpps]
    if isinstance(strategy, configs.BudgetSplitConfig):
        return [each for stage in strategy.stages for each in _stages(stage.strategy)]
    return [strategy]


def _any_stage(strategy: Any, holds: Callable[[Any], bool]) -> bool:
    return any(holds(stage) for stage in _stages(strategy))


def _draws_noise(stage: Any) -> bool:
    if isinstance(stage, configs.AutoFMConfig):
        return stage.alpha == "learned" and stage.alpha_init == "normal"
    return isinstance(stage, configs.RandomConfig)


def _refuse_what_cannot_stream(strategy: configs.StrategyConfig, pool: StreamedPool) -> None:
    counts = np.bincount(pool.labels[pool.labels >= 0], minlength=pool.num_classes)
    for stage in _stages(strategy):
        is_known = isinstance(stage, ROW_BY_ROW) or (stage is strategy and isinstance(stage, ALONE))
        is_spread = isinstance(stage, configs.AutoFMConfig) and stage.diversify != "none"
        if not is_known or is_spread or (isinstance(stage, BY_PREDICTION) and stage.logits_of == "source"):
            kind = f"{_name(stage)} with diversify" if is_spread else _name(stage)
            raise InputError(
                f"strategy: {kind} needs the whole pool in memory. Leave --stream out, or choose one of {CAN_STREAM}."
            )
        if isinstance(stage, configs.MPPSConfig) and not counts.all():
            raise InputError(
                f"strategy: {int(np.sum(counts == 0))} of {len(counts)} classes have no label, and mpps then chooses by"
                " k-center: choose core_set until each class has one"
            )
        if isinstance(stage, WITH_HEAD) and pool.head is None:
            raise InputError(
                f"head: {_name(stage)} needs it, but it is not given. Give the model's last"
                " linear layer, --head FILE.npz with head_weight [D, C] and head_bias [C]."
            )


def _name(strategy: Any) -> str:
    return msgspec.to_builtins(strategy)["kind"]


def _depends_on(strategy: Any, pool: StreamedPool, budget: int, seed: int) -> dict[str, str]:
    """Name all that the picks depend on, in words or by hash."""
    facts = {
        "layout": LAYOUT,
        "strategy": msgspec.json.encode(strategy, order="sorted").decode(),
        "budget": str(budget),
        "seed": str(seed),
        "embeddings": pool.digest,
        "labels": _hash(pool.labels),
        "classes": str(pool.num_classes),
    }
    if pool.head is not None:
        facts["head"] = _hash(*(np.asarray(part) for part in pool.head))
    return facts


def _hash(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
