"""BADGE with every gradient written out: g_i = (p_i - onehot y_i) outer z_i, one number per class and dimension."""

import numpy as np

from .uncertainty import softmax


def gradients(logits, embeddings):
    """One flattened gradient a row."""
    result = []
    for row, z in zip(np.asarray(logits, np.float64), np.asarray(embeddings, np.float64), strict=True):
        residual = softmax(row)
        label = int(np.argmax(row))
        residual[label] = -sum(p for j, p in enumerate(residual) if j != label)
        result.append(np.outer(residual, z).ravel())
    return np.array(result)


def squared_distances(vectors, chosen):
    """For each vector the squared distance to the nearest of the chosen ones."""
    return np.array([min(np.sum((vector - other) ** 2) for other in chosen) for vector in vectors])


def law(vectors, num_picks):
    """The probability of every sequence of picks, by enumeration: {(first, second, ...): probability}."""
    sequences = {(int(np.argmax(np.sum(vectors**2, axis=1))),): 1.0}
    for _ in range(num_picks - 1):
        longer = {}
        for chosen, probability in sequences.items():
            weights = squared_distances(vectors, vectors[list(chosen)])
            for i in range(len(vectors)):
                if weights[i] > 0:
                    longer[(*chosen, i)] = probability * weights[i] / weights.sum()
        sequences = longer
    return sequences
