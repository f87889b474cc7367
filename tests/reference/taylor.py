"""The loss of the pseudo-label, its gradient with respect to the embedding, and its first-order change."""

import numpy as np

from .uncertainty import log_softmax, log_sum_exp, softmax


def cross_entropy(logits, predicted):
    """-log p_i[y_i]."""
    return np.array([-log_softmax(row)[label] for row, label in zip(logits, predicted, strict=True)])


def loss_gradient(logits, predicted, weight):
    """W (p_i - onehot y_i), the gradient of the cross-entropy with respect to z_i."""
    weight = np.asarray(weight, np.float64)
    gradients = []
    for row, label in zip(logits, predicted, strict=True):
        residual = softmax(row)
        # p_y - 1 = -(sum of the others): the difference would round to zero for a saturated sample.
        residual[label] = -sum(p for j, p in enumerate(residual) if j != label)
        gradients.append(weight @ residual)
    return np.array(gradients).reshape(len(logits), weight.shape[0])


def taylor_loss_change(shift, gradient):
    """Eq. 2-3: sum over D of shift * gradient."""
    shift, gradient = np.asarray(shift, np.float64), np.asarray(gradient, np.float64)
    return np.array([sum(s * g for s, g in zip(*rows, strict=True)) for rows in zip(shift, gradient, strict=True)])


def log_error(logits, predicted):
    """log(1 - p_y), as the log of the sum of the other probabilities."""
    result = []
    for row, label in zip(logits, predicted, strict=True):
        log_p = log_softmax(row)
        result.append(log_sum_exp([value for j, value in enumerate(log_p) if j != label]))
    return np.array(result)


def residual_direction(logits, predicted):
    """(p - onehot y) / (1 - p_y): the softmax among the other classes, and -1 at y."""
    directions = []
    for row, label in zip(np.asarray(logits, np.float64), predicted, strict=True):
        others = [j for j in range(len(row)) if j != label]
        direction = np.full(len(row), -1.0)
        direction[others] = softmax(row[others])
        directions.append(direction)
    return np.array(directions)
