"""Linear support vector machines by Newton steps, many of them at once."""

import warnings

import numpy as np

from jaxal.typing import Float

__all__ = ["fit_machines"]

# What of it rounding may leave, relative to the gradient at 0.
ROUNDING = 1e-13
MAX_STEPS, MAX_INNER_STEPS, MAX_HALVINGS = 200, 200, 40


def fit_machines(
    points: Float[np.ndarray, "L D"],
    signs: Float[np.ndarray, "L K"],
    penalty: float,
    start: Float[np.ndarray, "D K"] | None = None,
    tolerance: float = 1e-5,
) -> Float[np.ndarray, "D K"]:
    """Minimize ‖w‖²/2 + C·Σ max(0, 1 - y·(w·x))² for each column of signs.

    Newton's method: of the objective, which is a parabola as long as the same rows are within the margin, by conjugate
    gradients, all columns in the same products. These are preconditioned by the Hessian's diagonal, as if the rows
    within the margin were like all: it is nearly the Hessian itself where the columns of points are orthogonal.

    Args:
        points: x of each row; a column of ones makes a bias, which is held small as every weight.
        signs: y, 1 or -1; 0 where a machine does not know of a row.
        penalty: C.
        start: weights to begin with, which are not changed; 0 where absent.
        tolerance: how long a gradient may be left. The objective curves by 1 at least, so that weights are no further
            from the best ones.

    Returns:
        The weights, a column each.

    Cost: two products [L, D] x [D, K] for each step of the conjugate gradients, some 10 to 300 of them in all, the
    more the larger C; about eight arrays of [L, K].
    """
    weights = np.zeros((points.shape[1], signs.shape[1])) if start is None else start.copy()
    squares = np.sum(points * points, axis=0)[:, None]
    values = points @ weights
    first = _lengths(2 * penalty * (points.T @ signs))
    left = np.arange(signs.shape[1])  # columns that are not there yet
    for _ in range(MAX_STEPS):
        known, here = signs[:, left], weights[:, left]
        slack = _slack(known, values[:, left])
        gradient = here - 2 * penalty * (points.T @ (known * slack))
        length = _lengths(gradient)
        is_far = length > np.maximum(tolerance, ROUNDING * first[left])
        if not np.any(is_far):
            return weights
        left, known, here, slack = left[is_far], known[:, is_far], here[:, is_far], slack[:, is_far]
        gradient, length = gradient[:, is_far], length[is_far]
        enough = length * np.minimum(0.1, np.sqrt(length / np.maximum(first[left], length)))
        way, values_way = _newton_way(points, squares, penalty, slack > 0, gradient, enough)
        share = _share_of_way(known, penalty, (here, values[:, left]), (way, values_way), gradient)
        weights[:, left] += share * way
        values[:, left] += share * values_way
    warnings.warn(
        f"{len(left)} of {signs.shape[1]} support vector machines with C = {penalty:g} are not at their optimum after"
        f" {MAX_STEPS} Newton steps: their accuracies may be lower than they could be",
        RuntimeWarning,
        stacklevel=2,
    )
    return weights


def _newton_way(
    points: np.ndarray,
    squares: np.ndarray,
    penalty: float,
    is_inside: np.ndarray,
    gradient: np.ndarray,
    enough: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Solve H·way = -gradient, H = 1 + 2C·Σ x·x' over rows within the margin, to residuals that are short enough.

    Returns:
        The way of each column, and points @ way.
    """
    diagonal = 1 + 2 * penalty * squares * np.mean(is_inside, axis=0)[None]
    way, values_way = np.zeros_like(gradient), np.zeros(is_inside.shape)
    residual = -gradient
    direction = solved = residual / diagonal
    product = np.sum(residual * solved, axis=0)
    for _ in range(MAX_INNER_STEPS):
        is_far = _lengths(residual) > enough
        if not np.any(is_far):
            break
        along = points @ direction
        curved = direction + 2 * penalty * (points.T @ (is_inside * along))
        size = np.where(is_far, product / np.maximum(np.sum(direction * curved, axis=0), 1e-300), 0)
        way, values_way, residual = way + size * direction, values_way + size * along, residual - size * curved
        solved = residual / diagonal
        before, product = product, np.sum(residual * solved, axis=0)
        direction = solved + np.where(is_far, product / np.maximum(before, 1e-300), 0) * direction
    return way, values_way


def _share_of_way(
    signs: np.ndarray,
    penalty: float,
    here: tuple[np.ndarray, np.ndarray],
    way: tuple[np.ndarray, np.ndarray],
    gradient: np.ndarray,
) -> np.ndarray:
    """Halve each column's step until the objective has fallen as its slope promises; here and way: weights, values."""

    def objective(share: np.ndarray) -> np.ndarray:
        weights, values = here[0] + share * way[0], here[1] + share * way[1]
        return np.sum(weights**2, axis=0) / 2 + penalty * np.sum(_slack(signs, values) ** 2, axis=0)

    share = np.ones(signs.shape[1])
    before, slope = objective(0 * share), np.sum(gradient * way[0], axis=0)
    for _ in range(MAX_HALVINGS):
        is_short = objective(share) <= before + 1e-4 * share * slope + ROUNDING * before
        if np.all(is_short):
            break
        share = np.where(is_short, share, share / 2)
    return share


def _slack(signs: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return by how much each row is within the margin, 0 where it is beyond or not known."""
    return np.maximum(np.abs(signs) - signs * values, 0)


def _lengths(columns: np.ndarray) -> np.ndarray:
    return np.sqrt(np.sum(columns * columns, axis=0))
