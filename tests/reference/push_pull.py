"""MPPS, Eq. 5 of CB-DAL: near the minority class, far from the majority classes."""

from fractions import Fraction

import numpy as np


def minority_and_majority(counts):
    """The class with the fewest labels (ties: the lowest); the classes above the mean, or else all the others."""
    counts = [int(count) for count in counts]
    minority = counts.index(min(counts))
    mean = Fraction(sum(counts), len(counts))
    majority = [c for c, count in enumerate(counts) if count > mean]
    if not majority:
        majority = [c for c in range(len(counts)) if c != minority]
    return minority, majority


def minority_turns(counts):
    """The classes below the mean, rarest first (ties: the lowest); when there is none, the rarest alone."""
    counts = [int(count) for count in counts]
    mean = Fraction(sum(counts), len(counts))
    below = [c for c, count in enumerate(counts) if count < mean]
    return sorted(below, key=lambda c: (counts[c], c)) or [counts.index(min(counts))]


def push_pull_towards(minority, embeddings, centroids, counts):
    """Eq. 5 for one minority class, and the distance to it."""
    centroids = np.asarray(centroids, np.float64)
    _, majority = minority_and_majority(counts)
    assert minority not in majority
    scores, pulls = [], []
    for row in np.asarray(embeddings, np.float64):
        pull = np.sqrt(np.sum((row - centroids[minority]) ** 2))
        push = min(np.sqrt(np.sum((row - centroids[c]) ** 2)) for c in majority)
        scores.append(pull - push)
        pulls.append(pull)
    return np.array(scores), np.array(pulls)


def push_pull_scores(embeddings, centroids, counts):
    """||z_i - mu_minor|| - min over majority classes of ||z_i - mu_maj||, and ||z_i - mu_minor||."""
    return push_pull_towards(minority_and_majority(counts)[0], embeddings, centroids, counts)


def push_pull_by_turns(embeddings, centroids, counts, is_selectable, num_picks, follow=None):
    """Pick t is the row with the smallest (score, distance) for class t mod K. Returns (picks, scores, best scores).

    `follow` replays somebody else's picks: their scores, beside the best that was to be had.
    """
    turns = minority_turns(counts)
    values = {minority: push_pull_towards(minority, embeddings, centroids, counts) for minority in turns}
    free = [bool(selectable) for selectable in is_selectable]
    picks, scores, best = [], [], []
    for t in range(num_picks):
        score, pull = values[turns[t % len(turns)]]
        rows = [row for row in range(len(free)) if free[row]]
        if not rows:
            break
        pick = min(rows, key=lambda row: (score[row], pull[row], row))
        best.append(score[pick])
        if follow is not None:
            pick = int(follow[t])
            assert free[pick], f"pick {t} is row {pick}, which is not selectable any more"
        picks.append(pick)
        scores.append(score[pick])
        free[pick] = False
    return np.array(picks), np.array(scores), np.array(best)
