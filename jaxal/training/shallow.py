"""A linear support vector machine on embeddings, as a model's last layer."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.data.loading import Images
from jaxal.models.model import Model, Variables
from jaxal.training.trainer import FitResult
from jaxal.typing import Array, Float, Int32, LinearHead, PRNGKey, Shaped

__all__ = ["PENALTIES", "UNSEEN", "SVMChoice", "fit_linear_svm", "linear_svm"]

# C of the squared hinge loss, for centered embeddings of mean squared length 1; the nearest to 1 first: with few labels
# of a class many are equally good, and the smallest would leave little but the mean of the larger class.
PENALTIES = (1.0, 0.1, 10.0, 0.01, 100.0, 1000.0)
MAX_FOLDS = 10
MAX_ITERATIONS = 10_000
# The decision value of a class without labels: none that has labels comes near it.
UNSEEN = -1e4


class SVMChoice(NamedTuple):
    """How a support vector machine came to be."""

    penalty: float | None  # C; None where nothing could be fitted
    num_folds: int  # of the cross-validation that chose it; 0 where there was none, and C is 1
    num_classes: int  # with labels


def fit_linear_svm(
    model: Model, key: PRNGKey, images: Shaped[Array, "N D"] | Images, labels: Int32[Array, " N"]
) -> tuple[FitResult, SVMChoice]:
    """Fit a model of embeddings, which is its last layer alone, as a support vector machine on the labeled rows.

    Args:
        model: takes embeddings in place of images (`models/linear.linear`).
        key: of the folds, and of the layer that stays where there is nothing to separate.
        images: the embeddings, on the device or to be read.
        labels: class of each row, negative where there is none.

    Returns:
        The fitted variables, as of one epoch, and how they came to be. With less than two labeled classes nothing is
        fitted: the variables are the model's initial ones, of epoch 0.
    """
    init_key, fold_key = jax.random.split(key)
    known = np.asarray(labels)
    rows = np.flatnonzero(known >= 0)
    num_classes = len(np.unique(known[rows]))
    if num_classes < 2:
        return FitResult(model.init(init_key), 0, 0), SVMChoice(None, 0, num_classes)
    embeddings = images.read(rows) if isinstance(images, Images) else np.asarray(images[rows])
    seed = int(jax.random.randint(fold_key, (), 0, 2**31 - 1))
    head, choice = linear_svm(embeddings, known[rows], model.spec.num_classes, seed)
    return FitResult(Variables({"classifier": {"kernel": head.weight, "bias": head.bias}}, {}), 1, 1), choice


def linear_svm(
    embeddings: Float[np.ndarray, "L D"], labels: np.ndarray, num_classes: int, seed: int
) -> tuple[LinearHead, SVMChoice]:
    """Fit linear support vector machines, each class against the rest, with the best C of PENALTIES.

    min over w, b of ‖(w, b)‖²/2 + C·Σ max(0, 1 - y·f(z))², f(z) = w·(z - m)/s + b with m the mean of the labeled
    embeddings and s² their mean squared distance from it, so that C means the same for every network. C is chosen by
    stratified cross-validation: the largest balanced accuracy over all held-out rows, ties to the first; in 10
    folds, or as many as the rarest labeled class has labels. Where that is one, there are no folds, and C = 1.

    Args:
        embeddings: of the labeled rows, finite.
        labels: classes in [0, C); at least two of them occur.
        num_classes: C.
        seed: of the folds, below 2³¹.

    Returns:
        Decision values as logits: column c is f_c. With two labeled classes there is one f, and the columns are -f/2
        and f/2. A class without labels has UNSEEN. Weights are float32.

    Cost: on the host, up to 61 fits (6 values of C in 10 folds, and the last), each of one machine for every class, of
    which a Newton step is O(LD).
    """
    from sklearn.model_selection import StratifiedKFold

    embeddings = np.asarray(embeddings, np.float64)
    center = np.mean(embeddings, axis=0)
    scale = np.sqrt(np.mean(np.sum((embeddings - center) ** 2, axis=1))) or 1.0
    scaled = (embeddings - center) / scale
    classes, counts = np.unique(labels, return_counts=True)
    num_folds = min(MAX_FOLDS, int(counts.min())) if counts.min() > 1 else 0
    penalty = 1.0
    if num_folds:
        folds = StratifiedKFold(num_folds, shuffle=True, random_state=seed)
        parts = list(folds.split(scaled, labels))
        accuracies = [_held_out_accuracy(scaled, labels, parts, each) for each in PENALTIES]
        penalty = PENALTIES[int(np.argmax(accuracies))]
    svm = _fitted(scaled, labels, penalty)
    weight = np.zeros((embeddings.shape[1], num_classes), np.float32)
    bias = np.full(num_classes, UNSEEN, np.float32)
    coefficients = svm.coef_ / scale
    intercepts = svm.intercept_ - coefficients @ center
    if len(classes) == 2:
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    weight[:, classes], bias[classes] = coefficients.T, intercepts
    return LinearHead(jnp.asarray(weight), jnp.asarray(bias)), SVMChoice(penalty, num_folds, len(classes))


def _held_out_accuracy(
    embeddings: np.ndarray, labels: np.ndarray, parts: list[tuple[np.ndarray, np.ndarray]], penalty: float
) -> float:
    """Balanced accuracy over every row, each predicted by the machine that has not seen it."""
    predicted = np.empty_like(labels)
    for training, held_out in parts:
        predicted[held_out] = _fitted(embeddings[training], labels[training], penalty).predict(embeddings[held_out])
    return float(np.mean([np.mean(predicted[labels == each] == each) for each in np.unique(labels)]))


def _fitted(embeddings: np.ndarray, labels: np.ndarray, penalty: float) -> Any:
    from sklearn.svm import LinearSVC

    # The primal problem: its solver draws nothing, so that the same labels give the same bits.
    settings: dict[str, Any] = {"C": penalty, "dual": False, "max_iter": MAX_ITERATIONS}
    return LinearSVC(**settings).fit(embeddings, labels)
