"""An image that is no file of its own but lies inside another, such as a record of a prepared data set."""

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["StoredImage"]


class StoredImage(NamedTuple):
    """What takes the place of a path where images are opened."""

    name: str  # what it is called, and known by from run to run
    num_bytes: int
    mtime_ns: int  # of the file that it lies in
    read: Callable[[], bytes]  # from any thread; raises BadImageError
