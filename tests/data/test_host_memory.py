"""What the host has left, and what it keeps."""

import gc
import resource

import numpy as np
import pytest

from jaxal.data.host_memory import free_on_host, keep_freed_memory, without_cycle_search

MEGABYTE = 2**20


def page_faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def test_what_is_free_is_less_than_a_host_ever_had():
    free = free_on_host()
    assert free is None or MEGABYTE < free < 2**50


def test_freed_buffers_are_used_again():
    keep_freed_memory()
    np.ones(16 * MEGABYTE, np.uint8)
    before = page_faults()
    for _ in range(10):
        np.ones(16 * MEGABYTE, np.uint8)
    # Cleared anew each time, they would have ten times sixteen megabytes of pages.
    assert page_faults() - before < 10 * 16 * MEGABYTE // resource.getpagesize() // 4


def test_the_search_for_cycles_is_as_it_was_afterwards():
    assert gc.isenabled()
    seen = []

    def fail():
        seen.append(gc.isenabled())
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"), without_cycle_search():
        fail()
    assert seen == [False]
    assert gc.isenabled()
    gc.disable()
    try:
        with without_cycle_search():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
