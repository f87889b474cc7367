import contextlib
import signal
import threading

import pytest

from jaxal.store.signals import Terminated, deferred, handled


@pytest.fixture(autouse=True)
def _handlers_are_put_back():
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    assert [signal.getsignal(number) for number in numbers] == before


def test_sigterm_raises_terminated_which_is_no_exception():
    with pytest.raises(Terminated), handled(), contextlib.suppress(Exception):
        signal.raise_signal(signal.SIGTERM)
    assert not issubclass(Terminated, Exception)


def test_sigint_stays_keyboard_interrupt():
    with pytest.raises(KeyboardInterrupt), handled():
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([signal.SIGTERM], Terminated),
        ([signal.SIGINT], KeyboardInterrupt),
        ([signal.SIGINT, signal.SIGINT, signal.SIGTERM], KeyboardInterrupt),
        ([signal.SIGTERM, signal.SIGINT], Terminated),
    ],
)
def test_signals_wait_for_the_end_of_the_block(numbers, expected):
    done = []

    def work():
        with handled():
            with deferred():
                for number in numbers:
                    signal.raise_signal(number)
                done.append("block")
            done.append("after")

    with pytest.raises(expected):
        work()
    assert done == ["block"]


def test_nested_blocks_wait_for_the_outer_end():
    done = []

    def work():
        with handled(), deferred():
            with deferred():
                signal.raise_signal(signal.SIGTERM)
                done.append("inner")
            done.append("outer")

    with pytest.raises(Terminated):
        work()
    assert done == ["inner", "outer"]


def test_an_error_of_the_block_is_the_context_of_the_signal():
    def fail():
        with handled(), deferred():
            signal.raise_signal(signal.SIGTERM)
            raise KeyError("block")

    with pytest.raises(Terminated) as caught:
        fail()
    assert isinstance(caught.value.__context__, KeyError)


def test_an_error_without_a_signal_passes():
    with pytest.raises(KeyError), handled(), deferred():
        raise KeyError


def test_an_ignored_signal_stays_ignored():
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with deferred():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, old)


def test_other_threads_change_nothing():
    seen = []

    def work():
        before = signal.getsignal(signal.SIGTERM)
        with handled(), deferred():
            seen.append(signal.getsignal(signal.SIGTERM) is before)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [True]


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)])
@pytest.mark.parametrize("polls", [True, False])
def test_a_signal_that_python_swallowed_is_raised_again(number, expected, polls):
    done = []

    def work():
        with handled() as raise_if_stopped:
            raise_if_stopped()
            with contextlib.suppress(BaseException):  # as a garbage-collection callback or a finalizer does
                signal.raise_signal(number)
            done.append("swallowed")
            if polls:
                raise_if_stopped()
                done.append("polled")

    with pytest.raises(expected):
        work()
    assert done == ["swallowed"]
