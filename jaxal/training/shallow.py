"""A linear support vector machine on embeddings, in place of a network's last layer."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxal.models.model import Variables
from jaxal.typing import Array, Float, Int32

__all__ = ["ShallowFit", "fit_linear_svm"]

# The nearest to scikit-learn's default first: with few labels of a class many are equally good, and the smallest of all
# would leave little but the mean of the larger class.
COSTS = (1.0, 0.1, 10.0, 0.01, 100.0, 0.001)
NUM_FOLDS = 10
# Where a class has a single label nothing can be held out of it; scikit-learn's own default is kept then.
DEFAULT_COST = 1.0


class ShallowFit(NamedTuple):
    """A fitted support vector machine, as a last layer: its decision values are the logits."""

    variables: Variables
    cost: float  # C, of embeddings around their mean, whose mean square length is 1
    num_folds: int  # of the cross-validation that chose it; fewer than 10 where a class has fewer labels, 0: none


def fit_linear_svm(
    embeddings: Float[Array, "L D"] | np.ndarray, labels: Int32[Array, " L"] | np.ndarray, num_classes: int, seed: int
) -> ShallowFit:
    """Fit one support vector machine for each class against the rest; scikit-learn's, on the host.

    The cost is the one of COSTS whose balanced accuracy is best over stratified folds, of equals the one nearest to 1.
    A class without labels is never predicted: its decision value is -1 everywhere, and 1 that of a class which alone
    has any.

    Args:
        embeddings: of the labeled samples, at least one.
        labels: their classes.
        num_classes: C.
        seed: of the folds and the solver.

    Cost: 61 fits, each of O(L·D) an iteration and class.
    """
    features, classes = np.asarray(embeddings, np.float64), np.asarray(labels)
    counts = np.bincount(classes, minlength=num_classes)
    known = np.flatnonzero(counts)
    kernel, bias = np.zeros((features.shape[1], num_classes)), np.where(counts > 0, 1.0, -1.0)
    if len(known) == 1:
        return ShallowFit(_last_layer(kernel, bias), DEFAULT_COST, 0)
    # The solver shrinks the intercept like any weight, which hurts less where the data lies around the origin.
    middle = features.mean(axis=0)
    scale = np.sqrt(np.mean(np.sum((features - middle) ** 2, axis=1))) or 1.0
    features = (features - middle) / scale
    num_folds = int(min(NUM_FOLDS, counts[known].min()))
    cost = _best_cost(features, classes, num_folds, seed) if num_folds > 1 else DEFAULT_COST
    machine = _machine(cost, seed).fit(features, classes)
    weights = machine.coef_ / scale
    offsets = machine.intercept_ - weights @ middle
    if len(known) == 2:  # scikit-learn keeps the second class's against the first; the first's is its opposite
        weights, offsets = np.concatenate([-weights, weights]), np.concatenate([-offsets, offsets])
    kernel[:, known], bias[known] = weights.T, offsets
    return ShallowFit(_last_layer(kernel, bias), cost, num_folds if num_folds > 1 else 0)


def _best_cost(features: np.ndarray, classes: np.ndarray, num_folds: int, seed: int) -> float:
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    folds = StratifiedKFold(num_folds, shuffle=True, random_state=seed)
    means = [
        np.mean(cross_val_score(_machine(cost, seed), features, classes, cv=folds, scoring="balanced_accuracy"))
        for cost in COSTS
    ]
    return COSTS[int(np.argmax(means))]


def _machine(cost: float, seed: int):
    from sklearn.svm import LinearSVC  # scikit-learn takes a second to import, and few studies need it

    return LinearSVC(C=cost, max_iter=20_000, random_state=seed)


def _last_layer(kernel: np.ndarray, bias: np.ndarray) -> Variables:
    layer = {"kernel": jnp.asarray(kernel, jnp.float32), "bias": jnp.asarray(bias, jnp.float32)}
    return Variables({"classifier": layer}, {})
