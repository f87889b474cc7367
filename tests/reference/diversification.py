"""Laps over groups: each group's best, then each group's second best, and so on."""

import numpy as np


def lap_ranks(groups, keys, is_selectable):
    """How many selectable rows of its group go before each selectable row; -1 for the others."""
    ranks = np.full(len(groups), -1)
    for row in np.flatnonzero(is_selectable):
        own = (*(key[row] for key in keys), row)
        ranks[row] = sum(
            (*(key[other] for key in keys), other) < own
            for other in np.flatnonzero(is_selectable)
            if groups[other] == groups[row]
        )
    return ranks


def best_in_turn(groups, values, is_selectable, follow):
    """Replay picks: (value of each, smallest value that its lap still offered), lap after lap."""
    free = np.array(is_selectable, bool)
    groups = np.asarray(groups)
    had, offered, seen = [], [], set()
    for row in follow:
        assert free[row], f"row {row} is not selectable any more"
        rows = [other for other in np.flatnonzero(free) if groups[other] not in seen]
        if not rows:
            seen = set()
            rows = np.flatnonzero(free)
        assert groups[row] not in seen, f"row {row} is of a group that this lap has already had"
        had.append(values[row])
        offered.append(min(values[other] for other in rows))
        seen.add(groups[row])
        free[row] = False
    return np.array(had), np.array(offered)
