"""Who is told how far a long pass over images has come."""

from collections.abc import Callable

__all__ = ["OnImages"]

OnImages = Callable[[int, int], None]  # (done, of how many)
