"""ALFA-Mix's candidates as the paper forms them: cap by cap, anchor by anchor, each mix put through the head."""

import numpy as np

from .uncertainty import log_softmax


def unit_gradient(logits, predicted, weight):
    """The direction of W(p - onehot y), from p divided by its largest entry other than y."""
    log_p = log_softmax(logits)
    others = [j for j in range(len(logits)) if j != predicted]
    residual = np.zeros(len(logits))
    largest = max(log_p[j] for j in others)
    for j in others:
        residual[j] = np.exp(log_p[j] - largest)
    residual[predicted] = -residual.sum()
    gradient = np.asarray(weight, np.float64) @ residual
    length = np.linalg.norm(gradient)
    return gradient / length if length > 0 else gradient


def mixed_embedding(z, anchor, direction, cap):
    """z + a * (mu - z) with a = eps ||mu - z|| direction / (mu - z) and eps = cap / sqrt(D).

    Where z and mu share a coordinate, a is infinite there and the product the limit: the direction's own step.
    """
    difference = anchor - z
    step = cap / np.sqrt(len(z)) * np.linalg.norm(difference) * direction
    differs = difference != 0
    alpha = step[differs] / difference[differs]
    step[differs] = alpha * difference[differs]
    return z + step


def flips_under(cap, embeddings, logits, weight, anchors, is_anchor):
    """Which samples some anchor flips: another class's logit reaches that of y (and y's falls behind it)."""
    embeddings, logits, weight, anchors = (
        np.asarray(array, np.float64) for array in (embeddings, logits, weight, anchors)
    )
    flipped = np.zeros(len(embeddings), bool)
    for i, z in enumerate(embeddings):
        predicted = int(np.argmax(logits[i]))
        direction = unit_gradient(logits[i], predicted, weight)
        for c in np.flatnonzero(is_anchor):
            mixed = logits[i] + (mixed_embedding(z, anchors[c], direction, cap) - z) @ weight
            flipped[i] |= bool(np.any(np.delete(mixed, predicted) > mixed[predicted]))
    return flipped


def candidates(is_selectable, num_wanted, cap_step, *arrays):
    """Grow the cap by cap_step, to 1 at most, until more samples than wanted flip. Returns (candidates, cap)."""
    step = 1
    while True:
        cap = min(step * cap_step, 1.0)
        flipped = flips_under(cap, *arrays) & np.asarray(is_selectable, bool)
        if flipped.sum() > num_wanted or cap >= 1:
            return flipped, cap
        step += 1


def flipping_cap(embeddings, logits, weight, anchors, is_anchor, rows=None):
    """The cap at which each sample (or each of `rows`) begins to flip: by bisection over [0, 1e6]; inf if never."""
    rows = np.arange(len(embeddings)) if rows is None else np.asarray(rows, np.int64)
    result = np.full(len(rows), np.inf)
    for position, row in enumerate(rows):
        one = (embeddings[row : row + 1], logits[row : row + 1], weight, anchors, is_anchor)
        low, high = 0.0, 1e6
        if not flips_under(high, *one)[0]:
            continue
        while high - low > 1e-9 * high:
            middle = (low + high) / 2
            low, high = (low, middle) if flips_under(middle, *one)[0] else (middle, high)
        result[position] = high
    return result
