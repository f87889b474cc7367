"""Float64 checks of answers, up to near-ties: they follow the contestant's own path."""

from typing import NamedTuple

import numpy as np

NEAR_TIE = 1e-5  # relative
BLOCK = 4096


class Cover(NamedTuple):
    """An answer to k-center: the centers it started from, and its picks in order."""

    centers: np.ndarray
    picks: np.ndarray


def check_picks(picks: np.ndarray, num_rows: int, taken: np.ndarray, num_wanted: int | None = None) -> str | None:
    """Tell whether picks are distinct rows of the pool outside of `taken`, and as many as wanted."""
    if num_wanted is not None and len(picks) != num_wanted:
        return f"{len(picks)} picks instead of {num_wanted}"
    if len(picks) == 0 or picks.min() < 0 or picks.max() >= num_rows:
        return "picks that are no rows of the pool"
    if len(np.unique(picks)) < len(picks):
        return f"{len(picks) - len(np.unique(picks))} of {len(picks)} picks are repeated"
    if np.isin(picks, taken).any():
        return f"{np.isin(picks, taken).sum()} of {len(picks)} picks are centers already"
    return None


def check_cover(embeddings: np.ndarray, answer: Cover) -> str | None:
    """Tell whether each pick was, within 1e-5 of the best distance, the row farthest from all centers at its turn.

    Float64 products of matrices over blocks of rows, from the mean of the pool: their rounding is some 1e-12.
    """
    centers, picks = np.asarray(answer.centers, np.int64), np.asarray(answer.picks, np.int64)
    wrong = check_picks(picks, len(embeddings), centers)
    if wrong:
        return wrong
    middle = embeddings.mean(axis=0, dtype=np.float64)
    path = embeddings[np.concatenate([centers, picks])].astype(np.float64) - middle
    squares = np.einsum("nd,nd->n", path, path)
    turn = np.full(len(embeddings), len(picks))  # from which a row is no candidate any more
    turn[centers], turn[picks] = -1, np.arange(len(picks))
    best, own = np.zeros(len(picks)), np.zeros(len(picks))
    for start in range(0, len(embeddings), BLOCK):
        rows = embeddings[start : start + BLOCK].astype(np.float64) - middle
        distances = np.einsum("nd,nd->n", rows, rows)[:, None] + squares - 2 * rows @ path.T
        nearest = np.minimum.accumulate(
            np.concatenate(
                [distances[:, : len(centers)].min(axis=1, keepdims=True), distances[:, len(centers) : -1]], axis=1
            ),
            axis=1,
        )  # [B, Q]: before each pick
        turns = turn[start : start + BLOCK]
        is_candidate = turns[:, None] >= np.arange(len(picks))
        best = np.maximum(best, np.where(is_candidate, nearest, 0).max(axis=0))
        (mine,) = np.nonzero((turns >= 0) & (turns < len(picks)))
        own[turns[mine]] = nearest[mine, turns[mine]]
    short = np.sqrt(np.maximum(own, 0)) < np.sqrt(best) * (1 - NEAR_TIE)
    if not short.any():
        return None
    first = int(np.argmax(short))
    return (
        f"pick {first + 1} of {len(picks)} lies at {np.sqrt(max(own[first], 0)):.6g} where {np.sqrt(best[first]):.6g}"
        f" was to be had; {short.sum()} such picks"
    )


def check_flips(logits: np.ndarray, at_anchors: np.ndarray, alphas: np.ndarray, smallest: np.ndarray) -> str | None:
    """Tell whether each answer is the smallest α at which a mix with an anchor changes a row's prediction; inf: none.

    lead(α) = min over anchors c and classes j ≠ ŷ of (1 - α)(l_ŷ - l_j) + α(l*_cŷ - l*_cj): below zero the
    prediction has changed. Leads within 1e-4 of the largest logit are near-ties, and pass either way.
    """
    logits, at_anchors = logits.astype(np.float64), at_anchors.astype(np.float64)
    rows, predicted = np.arange(len(logits)), logits.argmax(axis=1)
    tolerance = 1e-4 * np.abs(logits).max()
    is_wrong = ~(np.isin(smallest, alphas) | np.isinf(smallest))
    for alpha in alphas:
        lead = np.full(len(logits), np.inf)
        for anchor in at_anchors:
            mixed = (1 - alpha) * logits + alpha * anchor
            own = mixed[rows, predicted].copy()
            mixed[rows, predicted] = -np.inf
            lead = np.minimum(lead, own - mixed.max(axis=1))
        is_wrong |= (alpha < smallest) & (lead < -tolerance)
        is_wrong |= (alpha == smallest) & (lead > tolerance)
    return f"{is_wrong.sum()} of {len(logits)} answers are wrong" if is_wrong.any() else None


def squared_to_centers(embeddings: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find each row's nearest center, and its squared distance, in float64."""
    assignment, nearest = np.zeros(len(embeddings), np.int64), np.zeros(len(embeddings))
    middle = centers.mean(axis=0, dtype=np.float64)
    moved = centers.astype(np.float64) - middle
    for start in range(0, len(embeddings), BLOCK):
        rows = embeddings[start : start + BLOCK].astype(np.float64) - middle
        distances = (
            np.einsum("nd,nd->n", rows, rows)[:, None] + np.einsum("kd,kd->k", moved, moved) - 2 * rows @ moved.T
        )
        own = distances.argmin(axis=1)
        assignment[start : start + BLOCK], nearest[start : start + BLOCK] = own, distances[np.arange(len(rows)), own]
    return assignment, nearest


def lloyd_step(embeddings: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Move centers to the means of what is nearest to them, in float64; a center without rows stays."""
    assignment, _ = squared_to_centers(embeddings, centers)
    means = centers.astype(np.float64)
    for cluster in range(len(centers)):
        is_member = assignment == cluster
        if is_member.any():
            means[cluster] = embeddings[is_member].mean(axis=0, dtype=np.float64)
    return means
