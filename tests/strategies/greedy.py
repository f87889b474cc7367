"""Whether picks were the best to be had, each at its turn, by scores in float64."""

import numpy as np


def assert_smallest_first(values, chosen, is_selectable, rtol=1e-5, atol=0.0):
    """Each pick's value is the smallest among the rows still free, up to rounding; values [N] in float64."""
    free = np.array(is_selectable, bool)
    for position, row in enumerate(chosen):
        assert free[row], f"pick {position} is row {row}, which is not free"
        best = values[free].min()
        assert values[row] <= best + rtol * abs(best) + atol, f"pick {position}: {values[row]} where {best} was free"
        free[row] = False
