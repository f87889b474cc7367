"""Batches read ahead by threads: in order, no more than asked for, and nothing left behind."""

import threading
from contextlib import closing
from itertools import islice

import numpy as np
import pytest

from jaxal.data.loading import Images, choose_images, load_batches

BATCHES = [np.arange(3) + 3 * number for number in range(10)]
OPTIONS = [(1, 1), (1, 4), (3, 1), (2, 2), (4, 3), (4, 20)]


def read(rows):
    return np.stack([np.full((2, 2, 1), row, np.uint8) for row in rows])


def threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("jaxal-load")]


@pytest.mark.parametrize(("num_threads", "prefetch"), OPTIONS)
def test_batches_come_in_the_order_asked_for(num_threads, prefetch):
    loaded = list(load_batches(read, BATCHES, num_threads=num_threads, prefetch=prefetch))
    assert [batch[:, 0, 0, 0].tolist() for batch in loaded] == [rows.tolist() for rows in BATCHES]
    assert threads() == []


def test_a_batch_that_is_ready_first_waits_for_those_before_it():
    second_is_read = threading.Event()

    def read_second_first(rows):
        if rows[0] == 0:
            assert second_is_read.wait(30)
        if rows[0] == 3:
            second_is_read.set()
        return read(rows)

    loaded = load_batches(read_second_first, BATCHES, num_threads=2, prefetch=2)
    assert [batch[0, 0, 0, 0] for batch in loaded] == [rows[0] for rows in BATCHES]


@pytest.mark.parametrize(("num_threads", "prefetch"), OPTIONS)
def test_no_more_is_read_than_may_be_held(num_threads, prefetch):
    begun = []

    def counting(rows):
        begun.append(rows[0])
        return read(rows)

    for number, _ in enumerate(load_batches(counting, BATCHES, num_threads=num_threads, prefetch=prefetch)):
        assert number < len(begun) <= number + prefetch
    assert sorted(begun) == [rows[0] for rows in BATCHES]


def test_batches_are_taken_as_there_is_room():
    taken = []
    loaded = load_batches(read, (taken.append(number) or rows for number, rows in enumerate(BATCHES)), prefetch=3)
    assert taken == []
    with closing(loaded):
        next(loaded)
        assert taken == [0, 1, 2]
        next(loaded)
        assert taken == [0, 1, 2, 3]


@pytest.mark.parametrize("bad", [0, 4, 9])
def test_an_exception_comes_when_its_batch_has_its_turn(bad):
    def failing(rows):
        if rows[0] == BATCHES[bad][0]:
            raise OSError("disk gone")
        return read(rows)

    loaded = load_batches(failing, BATCHES, num_threads=4, prefetch=5)
    assert [batch[0, 0, 0, 0] for batch in islice(loaded, bad)] == [rows[0] for rows in BATCHES[:bad]]
    with pytest.raises(OSError, match="disk gone"):
        next(loaded)
    assert threads() == []
    assert list(loaded) == []


def test_closing_early_reads_nothing_of_the_queue_and_leaves_no_thread():
    begun, go_on = [], threading.Event()

    def waiting(rows):
        begun.append(rows[0])
        if len(begun) > 1:
            assert go_on.wait(30)
        return read(rows)

    loaded = load_batches(waiting, BATCHES, num_threads=1, prefetch=8)
    next(loaded)
    threading.Timer(0.05, go_on.set).start()
    loaded.close()
    assert len(begun) <= 2
    assert threads() == []


def test_an_exception_at_the_user_s_ends_the_threads():
    def work():
        with closing(load_batches(read, BATCHES)) as loaded:
            for _ in loaded:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert threads() == []


def test_batches_that_cannot_be_made_are_an_error_of_the_iterator():
    def making():
        yield from BATCHES[:2]
        raise ValueError("no plan")

    with pytest.raises(ValueError, match="no plan"):
        list(load_batches(read, making()))
    assert threads() == []


def test_nothing_asked_for_gives_nothing():
    assert list(load_batches(read, [])) == []


def test_chosen_images_are_read_in_the_order_chosen_and_only_then():
    asked = []

    def noted(rows):
        asked.append(rows.tolist())
        return read(rows)

    images = Images(noted, 9, (2, 2, 1))
    some = choose_images(choose_images(images, np.array([8, 1, 5, 2])), np.array([3, 0, 2]))
    assert (some.num_images, some.image_shape) == (3, (2, 2, 1))
    assert asked == []
    assert some.read(np.array([1, 2, 1]))[:, 0, 0, 0].tolist() == [8, 5, 8]
    assert asked == [[8, 5, 8]]
