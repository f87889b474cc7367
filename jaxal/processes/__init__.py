"""One study in several processes, on one host or many: who writes, what all must agree on, how all of them end.

All processes run the same Python program with the same arguments (jax.distributed). Where there is but one, everything
here does nothing.
"""

from jaxal.processes.arrays import all_devices, from_first_arrays, on_this_host, spread_everywhere, whole_on_host
from jaxal.processes.ending import ending_together
from jaxal.processes.joining import Place, joined
from jaxal.processes.talking import agree, from_each, from_first, is_first, num_processes, own_number

__all__ = [
    "Place",
    "agree",
    "all_devices",
    "ending_together",
    "from_each",
    "from_first",
    "from_first_arrays",
    "is_first",
    "joined",
    "num_processes",
    "on_this_host",
    "own_number",
    "spread_everywhere",
    "whole_on_host",
]
