"""The rows with the lexicographically smallest keys."""

import numpy as np


def lowest(keys, is_selectable, num_wanted):
    """The selectable rows sorted by (keys[0], keys[1], ..., index), the first `num_wanted` of them."""
    rows = [row for row in range(len(is_selectable)) if is_selectable[row]]
    nan_last = [[(bool(np.isnan(value)), 0 if np.isnan(value) else value) for value in key] for key in keys]
    rows.sort(key=lambda row: (*(key[row] for key in nan_last), row))
    return np.array(rows[: max(num_wanted, 0)], dtype=np.int64)
