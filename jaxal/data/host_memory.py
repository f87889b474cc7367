"""How much memory the host has left, and what it keeps of what was freed."""

__all__ = ["free_on_host", "keep_freed_memory"]

# Just below 32 MiB, the most that glibc raises its threshold to by itself.
LARGE_BUFFER = 2**25 - 2**16


def free_on_host() -> int | None:
    """Return the bytes that the host says are available; None where it does not say, such as outside of Linux."""
    try:
        with open("/proc/meminfo") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None


def keep_freed_memory() -> None:
    """Have freed buffers of images reused for the next ones, instead of being given back to the system.

    glibc asks the system for each large buffer, whose pages are then cleared one by one as they are touched: a third of
    the time of decoding in two threads. Freeing a larger one raises the size from which it does so (mallopt(3),
    M_MMAP_THRESHOLD). With other C libraries nothing changes.
    """
    buffer = bytearray(LARGE_BUFFER)
    del buffer
