"""All processes end when one does: by an error, a Ctrl-C, or a signal.

What ends without a word (kill -9, a power cut) is noticed by jax: a collective over gloo fails at once, and a process
whose heartbeat stops ends all others.
"""

import _thread
import contextlib
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

import jax

from jaxal.errors import ProcessError
from jaxal.processes.arrays import meet
from jaxal.processes.talking import begin_talk, is_first, key_of, num_processes, own_number, store

__all__ = ["ending_together"]

LOOK_EVERY = 0.5
# A process that cannot end by itself for so long, such as one that waits for the dead in a collective, is ended.
GRACE_SECONDS = 30.0
# The first one, which all others talk through, stays until they have ended, but no longer than this.
LINGER_SECONDS = 10.0
# And for as long after that: jax aborts a process that is still about its own message when the first one goes.
LAST_WORDS_SECONDS = 2.0
ENDED, LEFT = "ended", "left"
# What a collective raises where another process is gone.
CONNECTION_LOST = re.compile(r"gloo|nccl|coordination|connection (?:closed|reset)|socket closed", re.IGNORECASE)
ADVICE = "Finished rounds are kept: start the same command on all hosts again."

_is_active = False


@contextlib.contextmanager
def ending_together() -> Iterator[None]:
    """End this process when another one ends in the block, and the others when this one does.

    In one process, or inside another such block, nothing happens. A process that hears of another's end is interrupted
    as by SIGTERM, so that it may end as it would then (`store.signals.handled`); by force half a minute later.

    Raises:
        ProcessError: another process has ended; says which, and what it said.
    """
    global _is_active
    if num_processes() == 1 or _is_active:
        yield
        return
    begin_talk()
    _is_active, notices, is_over = True, [], threading.Event()
    watch = threading.Thread(target=_watch, args=(notices, is_over), name="jaxal-processes", daemon=True)
    watch.start()
    try:
        with _interrupted_by(notices):
            meet()
            yield
    except BaseException as error:
        is_over.set()
        told = _told(error, notices)
        _tell(told)
        if not notices and not isinstance(told, ProcessError):
            raise
        raise told from error
    finally:
        is_over.set()
        _is_active = False


@contextlib.contextmanager
def _interrupted_by(notices: list[str]) -> Iterator[None]:
    """Let SIGTERM mean another's end where there is a notice of that, and what it meant before where there is none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: FrameType | None) -> None:
        if notices:
            raise ProcessError(notices[0])
        signal.signal(number, before)
        signal.raise_signal(number)

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _watch(notices: list[str], is_over: threading.Event) -> None:
    """Look for a word of another's end; interrupt the main thread once it is there, and end the process if need be."""
    while not is_over.wait(LOOK_EVERY):
        notice = _notice()
        if notice is not None:
            notices.append(notice)
            _thread.interrupt_main(signal.SIGTERM)
            if not is_over.wait(GRACE_SECONDS):
                sys.stderr.write(f"jaxal: {notice}. {ADVICE}\n")
                sys.stderr.flush()
                os._exit(ProcessError.exit_code)
            return


def _notice() -> str | None:
    """Return what the first process to end has said; None while none has."""
    with contextlib.suppress(jax.errors.JaxRuntimeError):  # nothing is there; a coordinator that is gone jax notices
        return store().key_value_try_get(key_of(ENDED))
    return None


def _told(error: BaseException, notices: list[str]) -> BaseException:
    """Say what has really ended the block: the error, or another process's end."""
    is_lost = isinstance(error, Exception) and CONNECTION_LOST.search(str(error)) is not None
    if is_lost and not notices:
        time.sleep(4 * LOOK_EVERY)  # whoever has gone may have said why
    if notices:
        return ProcessError(f"{notices[0]}. {ADVICE}")
    if is_lost and not isinstance(error, ProcessError):
        line = str(error).strip().splitlines()[0]
        return ProcessError(f"{_own_name()} has lost another process, which may have been killed ({line}). {ADVICE}")
    return error


def _tell(error: BaseException) -> None:
    """Tell the others, once, and let the first process stay until they have heard."""
    with contextlib.suppress(jax.errors.JaxRuntimeError):
        if _notice() is None:
            said = str(error).strip().removesuffix(f". {ADVICE}") or f"stopped ({type(error).__name__})"
            said = said if said.startswith(_own_name()) else f"{_own_name()} has ended: {said}"
            store().key_value_set(key_of(ENDED), said)
        store().key_value_set(key_of(LEFT, own_number()), "")
        if is_first():
            others_left = range(1, num_processes())
            give_up = time.monotonic() + LINGER_SECONDS
            while others_left and time.monotonic() < give_up:
                others_left = [number for number in others_left if not _has_left(number)]
                time.sleep(LOOK_EVERY / 5)
            time.sleep(LAST_WORDS_SECONDS)


def _has_left(number: int) -> bool:
    with contextlib.suppress(jax.errors.JaxRuntimeError):
        store().key_value_try_get(key_of(LEFT, number))
        return True
    return False


def _own_name() -> str:
    return f"process {own_number()} on {socket.gethostname()}"
