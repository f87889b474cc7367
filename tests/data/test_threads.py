"""Calls in threads: in order, a bounded number ahead, and none after the iterator is closed."""

import os
import threading

import pytest

from jaxal.data.threads import WAITING_PER_THREAD, map_in_threads


def test_results_come_in_the_order_of_the_arguments(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    later = threading.Event()

    def call(number: int) -> int:
        if number == 0:
            assert later.wait(60)  # the first is done last
        elif number == 2:
            later.set()
        return number

    assert list(map_in_threads(call, range(100))) == list(range(100))
    assert list(map_in_threads(call, [])) == []


@pytest.mark.parametrize(("max_waiting", "num_ahead"), [(None, 2 * WAITING_PER_THREAD), (5, 5), (0, 3)])
def test_so_many_are_ahead_and_closing_lets_the_others_go(monkeypatch, max_waiting, num_ahead):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    taken = []

    def arguments():
        for number in range(1000):
            taken.append(number)
            yield number

    results = map_in_threads(lambda number: number, arguments(), max_waiting=max_waiting)
    assert [next(results) for _ in range(10)] == list(range(10))
    assert len(taken) == num_ahead + 10
    results.close()
    assert len(taken) == num_ahead + 10


def test_an_error_ends_it(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    results = map_in_threads(lambda number: 1 // (number - 3), range(10))
    assert [next(results) for _ in range(3)] == [-1, -1, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)
