"""Greedy k-center (core-set), the textbook loop: one pick a pass, every distance by differences."""

from typing import NamedTuple

import numpy as np

from .distances import squared_distances


class Greedy(NamedTuple):
    """One entry a pick: the row, its distance to the nearest center then, and the largest such distance there was."""

    picks: np.ndarray
    distance: np.ndarray
    best: np.ndarray


def k_center(embeddings, is_center, is_selectable, first_priority, num_picks, follow=None):
    """Pick the selectable row farthest from its nearest center; it becomes a center; ties to the lowest index.

    Without any center the first pick is the selectable row of highest `first_priority`, at distance inf.
    `follow` replays somebody else's picks: `distance` is then what their pick had, `best` what was to be had.
    """
    embeddings = np.asarray(embeddings, np.float64)
    free = np.array(is_selectable, dtype=bool)
    nearest = np.full(len(embeddings), np.inf)
    for row in np.flatnonzero(is_center):
        nearest = np.minimum(nearest, squared_distances(embeddings, embeddings[row]))
    has_center = bool(np.any(is_center))

    picks, distance, best = [], [], []
    for step in range(num_picks):
        rows = np.flatnonzero(free)
        if len(rows) == 0:
            break
        wish = nearest[rows] if has_center else np.asarray(first_priority, np.float64)[rows]
        pick = int(rows[np.argmax(wish)])  # argmax takes the first of equals
        best.append(np.sqrt(nearest[pick]))
        if follow is not None:
            pick = int(follow[step])
            assert free[pick], f"pick {step} is row {pick}, which is not selectable any more"
        picks.append(pick)
        distance.append(np.sqrt(nearest[pick]))
        free[pick] = False
        has_center = True
        # The expression is squared_distances, as one array operation: the loop over rows would take minutes here.
        nearest = np.minimum(nearest, np.sum((embeddings - embeddings[pick]) ** 2, axis=1))
    return Greedy(np.array(picks, dtype=np.int64), np.array(distance), np.array(best))
