"""Who is told how far a long pass over images has come."""

from collections.abc import Callable

__all__ = ["OnImages"]

OnImages = Callable[[int, int], None]  # called now and then with the images done so far and their number
