"""How much memory the host has left."""

__all__ = ["free_on_host"]


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
