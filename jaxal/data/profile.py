"""Class counts of a given sum and a given spread: an exponential profile over the classes, most frequent first."""

from collections.abc import Iterator

import numpy as np

from jaxal.errors import DataError

__all__ = ["TOLERANCE", "imbalance_ratio", "profile_counts"]

# How far the ir of whole images may stay from the one asked for.
TOLERANCE = 0.01
# The decay to 1e-8, log s to 1e-11 and so counts to 1e-6, even for a thousand classes.
DECAY_HALVINGS, SCALE_HALVINGS = 32, 50
# Further decays that are tried where whole images are too coarse.
NUM_STARTS = 64


def imbalance_ratio(counts: np.ndarray) -> float:
    """Compute ir = σ/μ (ddof 0) of class counts (Aggarwal et al., WACV 2020); 0 where there is nothing."""
    return float(np.std(counts) / np.mean(counts)) if np.any(counts) else 0.0


def profile_counts(available: np.ndarray, ir: float, total: int) -> np.ndarray:
    """Choose class counts of an exact sum whose ir = σ/μ is the one asked for, to within TOLERANCE.

    k_r = min(n_r, max(1, s · exp(-b·r))), r = 0, 1, … the rank of a class by how many images it has (ties by its
    number), s and b such that Σ k = total and σ/μ = ir; then whole images by largest remainder, and single images moved
    between classes as long as that brings ir closer. The paper gives totals and ir, not the profile: this one is ours.

    Args:
        available: images of each class, [C]; a class of none stays at none and counts in ir.
        ir: to reach, from 0.
        total: of the counts, exactly.

    Returns:
        Images to keep of each class, int64 [C]: at least 1 where there is one.

    Raises:
        DataError: the sum or the ir cannot be had; the message gives the range that can.

    Cost: O(C) for each of DECAY_HALVINGS · SCALE_HALVINGS steps: 25 ms for C = 1,000.
    """
    ranked = np.argsort(-available, kind="stable")
    caps = available[ranked].astype(np.int64)
    floors = np.minimum(caps, 1)
    if not floors.sum() <= total <= caps.sum():
        raise DataError(
            f"data.imbalance.total = {total}: with at least one image of each class there, from {floors.sum()} to"
            f" {caps.sum()} can be kept"
        )
    least, most = _range(caps, floors, total)
    attainable = f"with {total} of these images ir can be from {least:.3f} to {most:.3f}"
    if not least - TOLERANCE <= ir <= most + TOLERANCE:
        raise DataError(f"data.imbalance.ir = {ir}: {attainable}")
    found = []
    for decay in _decays(caps, floors, ir, total):
        kept = _repaired(_whole(_scaled(caps, floors, decay, total), caps, total), caps, floors, ir)
        found.append(imbalance_ratio(kept))
        if abs(found[-1] - ir) <= TOLERANCE:
            counts = np.empty_like(kept)
            counts[ranked] = kept
            return counts
    nearest = min(found, key=lambda reached: abs(reached - ir))
    raise DataError(f"data.imbalance.ir = {ir}: {attainable}, but in whole images the nearest found is {nearest:.3f}")


def _scaled(caps: np.ndarray, floors: np.ndarray, decay: float, total: int) -> np.ndarray:
    """Find the scale s at which the profile of this decay sums to the total; the sum grows with s."""
    drops, largest = decay * np.arange(len(caps)), float(np.log(caps.max()))
    low, high = 0.0, largest + decay * len(caps)  # of log s: all at the floor, all at the cap
    profile = caps.astype(np.float64)
    for _ in range(SCALE_HALVINGS):
        middle = (low + high) / 2
        # Beyond the largest cap the cap holds: limiting the logarithm first keeps exp finite.
        tried = np.maximum(np.minimum(np.exp(np.minimum(middle - drops, largest)), caps), floors)
        if tried.sum() < total:
            low = middle
        else:
            high, profile = middle, tried
    return profile


def _decays(caps: np.ndarray, floors: np.ndarray, ir: float, total: int) -> Iterator[float]:
    """Yield the decay b that meets ir; then, for sums so small that whole images miss it, others, the nearest first.

    A larger b moves images to the larger classes, so ir grows with it.
    """
    low, high = 0.0, float(np.log(caps.max())) + 1  # flat, and each class full before the next has more than one image
    others = np.linspace(low, high, NUM_STARTS)
    if imbalance_ratio(_scaled(caps, floors, low, total)) < ir:
        for _ in range(DECAY_HALVINGS):
            middle = (low + high) / 2
            if imbalance_ratio(_scaled(caps, floors, middle, total)) < ir:
                low = middle
            else:
                high = middle
    else:
        high = low
    yield high
    yield from others[np.argsort(np.abs(others - high), kind="stable")].tolist()


def _whole(profile: np.ndarray, caps: np.ndarray, total: int) -> np.ndarray:
    """Round to whole images of the exact sum, up where the remainders are largest (ties: the lower rank)."""
    profile = np.round(profile, 6)  # what bisection leaves over is no remainder
    counts = np.floor(profile).astype(np.int64)
    order = np.argsort(counts - profile, kind="stable")
    order = order[counts[order] < caps[order]]
    counts[order[: total - counts.sum()]] += 1
    return counts


def _range(caps: np.ndarray, floors: np.ndarray, total: int) -> tuple[float, float]:
    """Compute the least ir of any counts with this sum (as flat as the caps allow) and the largest (one by one)."""
    flat = _whole(_scaled(caps, floors, 0.0, total), caps, total)
    room = np.minimum(np.cumsum(caps - floors), total - floors.sum())
    return imbalance_ratio(flat), imbalance_ratio(floors + np.diff(room, prepend=0))


def _repaired(counts: np.ndarray, caps: np.ndarray, floors: np.ndarray, ir: float) -> np.ndarray:
    """Move single images from class i to class j as long as that brings ir closer: Σk² changes by 2·(k_j - k_i + 1)."""
    wanted = counts.sum() ** 2 * (1 + ir**2) / len(counts)  # ir² = C·Σk²/(Σk)² - 1
    while True:
        missing = wanted - np.sum(counts**2)
        # Classes of equal counts are alike: one stands for all, the last as giver and the first as taker.
        given, givers = _first_of_each(counts[::-1], (counts > floors)[::-1])
        taken, takers = _first_of_each(counts, counts < caps)
        if len(givers) == 0 or len(takers) == 0:
            return counts
        givers = len(counts) - 1 - givers
        changes = 2.0 * (taken[None] - given[:, None] + 1)
        changes[givers[:, None] == takers[None]] = 0
        best = np.unravel_index(np.argmin(np.abs(missing - changes)), changes.shape)
        if abs(missing - changes[best]) >= abs(missing):
            return counts
        counts = counts.copy()
        counts[givers[best[0]]] -= 1
        counts[takers[best[1]]] += 1


def _first_of_each(counts: np.ndarray, is_candidate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = np.flatnonzero(is_candidate)
    values, first = np.unique(counts[rows], return_index=True)
    return values, rows[first]
