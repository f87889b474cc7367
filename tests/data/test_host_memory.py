"""What the host has left, and what it keeps."""

import resource

import numpy as np

from jaxal.data.host_memory import free_on_host, keep_freed_memory

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
