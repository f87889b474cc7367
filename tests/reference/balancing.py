"""The balancing step of Aggarwal et al. (WACV 2020, Eq. 8-9), label by label, in whole numbers and float64."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from .centroids import class_centroids


class Step(NamedTuple):
    """One pick."""

    row: int
    entry: int  # place in the base list; -1 for a balancing pick
    counted_for: int  # the class it counts for until its label is known; -1 for none
    value: float  # Eq. 9 of a balancing pick (NaN else)
    best: float  # the smallest Eq. 9 that was to be had
    label_distance: float  # to the centroid of the class that a pick off the list counts for (NaN else)
    best_label_distance: float


def sides(counts):
    """The classes above and below the mean count of the known classes."""
    known = [c for c, count in enumerate(counts) if count >= 1]
    if not known:
        return [], []
    mean = Fraction(sum(int(counts[c]) for c in known), len(known))
    return [c for c in known if counts[c] > mean], [c for c in known if counts[c] < mean]


def is_switch_due(counts, labels_left):
    """Eq. 8: labels left <= num_under * (mean count of the over- minus that of the under-represented)."""
    over, under = sides(counts)
    if not over:
        return False
    mean_over = Fraction(sum(int(counts[c]) for c in over), len(over))
    mean_under = Fraction(sum(int(counts[c]) for c in under), len(under))
    return labels_left <= len(under) * (mean_over - mean_under)


def rarest(counts):
    """The known class with the fewest labels, ties to the lowest."""
    known = [c for c, count in enumerate(counts) if count >= 1]
    return min(known, key=lambda c: (counts[c], c))


def distance(one, other):
    return float(np.sqrt(np.sum((one - other) ** 2)))


def relative_distance(row, centroids, counts, denominator):
    """Eq. 9; 0/0 is 1, and something over 0 is infinite."""
    to_rarest = distance(row, centroids[rarest(counts)])
    if denominator == "none":
        return to_rarest
    farthest = max(distance(row, centroids[c]) for c in sides(counts)[0])
    if farthest == 0:
        return 1.0 if to_rarest == 0 else np.inf
    return to_rarest / farthest


class Game:
    """One query: ask `pick` for a row, then maybe `reveal` what is known of the rows picked since."""

    def __init__(self, embeddings, labels, num_classes, base_list, labels_left, denominator):
        self.embeddings = np.asarray(embeddings, np.float64)
        self.labels = np.array(labels)
        self.num_classes, self.denominator = num_classes, denominator
        self.base_list, self.position = [int(row) for row in base_list], 0
        self.labels_left, self.is_switched, self.switched_at = labels_left, False, None
        self.taken, self.num_picks = set(), 0
        self.recount()

    def recount(self):
        self.centroids, self.counts = class_centroids(self.embeddings, self.labels, self.num_classes)

    def reveal(self, rows, labels):
        for row, label in zip(rows, labels, strict=True):
            self.labels[row] = label
        self.recount()

    def is_free(self, row):
        return self.labels[row] == -1 and row not in self.taken

    def pick(self, follow=None):
        """Pick a row; `follow` = (row, class) plays somebody else's pick instead, judged by `value` against `best`."""
        if is_switch_due(self.counts, self.labels_left):
            self.is_switched = True
        if self.is_switched and sides(self.counts)[0]:
            step = self.balance(follow)
            self.switched_at = self.num_picks if self.switched_at is None else self.switched_at
        else:
            step = self.off_list(follow)
        assert self.is_free(step.row)
        self.taken.add(step.row)
        if step.counted_for >= 0:
            self.counts[step.counted_for] += 1
        self.labels_left -= 1
        self.num_picks += 1
        return step

    def balance(self, follow):
        values = {
            row: relative_distance(self.embeddings[row], self.centroids, self.counts, self.denominator)
            for row in range(len(self.embeddings))
            if self.is_free(row)
        }
        best = min(values, key=lambda row: (values[row], row))
        row = best if follow is None else int(follow[0])
        return Step(row, -1, rarest(self.counts), values[row], values[best], np.nan, np.nan)

    def off_list(self, follow):
        while not self.is_free(self.base_list[self.position]):
            self.position += 1
        entry, row = self.position, self.base_list[self.position]
        self.position += 1
        known = [c for c in range(self.num_classes) if self.counts[c] >= 1]
        if not known:
            return Step(row, entry, -1, np.nan, np.nan, np.nan, np.nan)
        to = {c: distance(self.embeddings[row], self.centroids[c]) for c in known}
        nearest = min(known, key=lambda c: (to[c], c))
        label = nearest if follow is None else int(follow[1])
        return Step(row, entry, label, np.nan, np.nan, to[label], to[nearest])
