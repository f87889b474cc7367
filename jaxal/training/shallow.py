"""A linear support vector machine on embeddings, as a model's last layer."""

import itertools
import threading
import warnings
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from threadpoolctl import threadpool_limits

from jaxal.data.loading import Images
from jaxal.data.threads import map_in_threads
from jaxal.models.model import Model, Variables
from jaxal.training.folds import balanced_accuracy, fold_seed, stratified_folds
from jaxal.training.inference import embed_images, rows_through
from jaxal.training.trainer import FitResult
from jaxal.typing import Array, Float, Int32, LinearHead, PRNGKey, Shaped

__all__ = ["PENALTIES", "UNSEEN", "SVMChoice", "fit_linear_svm", "linear_svm"]

# C of the squared hinge loss, for centered embeddings of mean squared length 1; the nearest to 1 first: with few labels
# of a class many are equally good, and the smallest would leave little but the mean of the larger class.
PENALTIES = (1.0, 0.1, 10.0, 0.01, 100.0, 1000.0)
MAX_ITERATIONS = 10_000
# Of machines that predict held-out rows and are not kept, by the dual or the primal: decision values come within a few
# hundredths of the best machine's, or a few tenths for the largest C. Those that are kept come closer.
DUAL_TOLERANCE, PRIMAL_TOLERANCE, TOLERANCE = 1e-2, 1e-4, 1e-7
# liblinear draws the order of the rows by one generator of the whole process, which every fit sets back.
ONE_DUAL_AT_A_TIME = threading.Lock()
# The decision value of a class without labels: none that has labels comes near it.
UNSEEN = -1e4


class SVMChoice(NamedTuple):
    """How a support vector machine came to be."""

    penalty: float | None  # C; None where nothing could be fitted
    num_folds: int  # of the cross-validation that chose it; 0 where there was none, and C is 1
    num_classes: int  # with labels
    accuracy: float | None = None  # balanced, over the rows held out of each fold; None where there was none


def fit_linear_svm(
    model: Model,
    variables: Variables,
    key: PRNGKey,
    images: Shaped[Array, "N ..."] | Images,
    labels: Int32[Array, " N"],
    batch_size: int,
) -> tuple[FitResult, SVMChoice]:
    """Fit a support vector machine to the embeddings of the labeled rows, and put it in a model's last layer's place.

    Args:
        model: whose last layer is "classifier" among its parameters.
        variables: by which it embeds, and which stay as they are but for that layer.
        key: of the folds.
        images: of the pool, or what the model takes for them, on the device or to be read.
        labels: class of each row, negative where there is none.
        batch_size: images at a time.

    Returns:
        The fitted variables, as of one epoch, and how they came to be. With less than two labeled classes nothing is
        fitted: the variables are those given, of epoch 0.
    """
    known = np.asarray(labels)
    rows = np.flatnonzero(known >= 0)
    num_classes = len(np.unique(known[rows]))
    if num_classes < 2:
        return FitResult(variables, 0, 0), SVMChoice(None, 0, num_classes)
    embeddings = rows_through(embed_images, model, variables, images, rows, batch_size)
    head, choice = linear_svm(embeddings, known[rows], model.spec.num_classes, fold_seed(key))
    layer = {"kernel": head.weight, "bias": head.bias}
    return FitResult(variables._replace(params=variables.params | {"classifier": layer}), 1, 1), choice


# By one thread of the host's matrix products: threads that wait for each other take many times as long where other
# processes are at work, and how many there are must not change a bit.
@threadpool_limits.wrap(limits=1, user_api="blas")
def linear_svm(
    embeddings: Float[np.ndarray, "L D"], labels: np.ndarray, num_classes: int, seed: int
) -> tuple[LinearHead, SVMChoice]:
    """Fit linear support vector machines, each class against the rest, with the best C of PENALTIES.

    min over w, b of ‖(w, b)‖²/2 + C·Σ max(0, 1 - y·f(z))², f(z) = w·(z - m)/s + b with m the mean of the labeled
    embeddings and s² their mean squared distance from it, so that C means the same for every network. C is chosen by
    stratified cross-validation: the largest balanced accuracy over all held-out rows, ties to the first; in the folds
    of `stratified_folds`. Where a class has a single label there are none, and C = 1.

    Args:
        embeddings: of the labeled rows, finite.
        labels: classes in [0, C); at least two of them occur.
        num_classes: C.
        seed: of the folds, below 2³¹.

    Returns:
        Decision values as logits: column c is f_c. With two labeled classes there is one f, and the columns are -f/2
        and f/2. A class without labels has UNSEEN. Weights are float32.

    Cost: on the host in float64, a singular value decomposition of [L, D], since the best weights are a combination of
    rows: the machines have min(L, D) weights. Then scikit-learn's liblinear for each C and fold, as many at a time as
    there are cores.
    """
    embeddings = np.asarray(embeddings, np.float64)
    center = np.mean(embeddings, axis=0)
    scale = np.sqrt(np.mean(np.sum((embeddings - center) ** 2, axis=1))) or 1.0
    left, lengths, basis = np.linalg.svd((embeddings - center) / scale, full_matrices=False)
    points, classes = left * lengths, np.unique(labels)
    fold_of, num_folds = stratified_folds(labels, seed)
    penalty, accuracy = 1.0, None
    with warnings.catch_warnings():
        # What comes to no end is tried another way, then judged by what it predicts, or told below.
        warnings.filterwarnings("ignore", "Liblinear failed to converge")
        if num_folds:
            predicted = _held_out_predictions(points, labels, fold_of, num_folds)
            accuracies = [balanced_accuracy(predicted[each], labels) for each in PENALTIES]
            best = int(np.argmax(accuracies))
            penalty, accuracy = PENALTIES[best], accuracies[best]
        machines = _machines(points, labels, penalty, is_kept=True)
    weight = np.zeros((embeddings.shape[1], num_classes), np.float32)
    bias = np.full(num_classes, UNSEEN, np.float32)
    coefficients = machines.coef_ @ basis / scale
    intercepts = machines.intercept_ - coefficients @ center
    if len(classes) == 2:
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    weight[:, classes], bias[classes] = coefficients.T, intercepts
    choice = SVMChoice(penalty, num_folds, len(classes), accuracy)
    return LinearHead(jnp.asarray(weight), jnp.asarray(bias)), choice


def _held_out_predictions(
    points: np.ndarray, labels: np.ndarray, fold_of: np.ndarray, num_folds: int
) -> dict[float, np.ndarray]:
    """Predict each row by the machines that have not seen it; for each C."""

    def predict(job: tuple[float, int]) -> np.ndarray:
        penalty, fold = job
        is_held = fold_of == fold
        machines = _machines(points[~is_held], labels[~is_held], penalty, is_kept=False)
        return machines.predict(points[is_held])

    predicted = {each: np.empty_like(labels) for each in PENALTIES}
    jobs = list(itertools.product(PENALTIES, range(num_folds)))
    for (penalty, fold), found in zip(jobs, map_in_threads(predict, jobs), strict=True):
        predicted[penalty][fold_of == fold] = found
    return predicted


def _machines(points: np.ndarray, labels: np.ndarray, penalty: float, *, is_kept: bool) -> Any:
    """Fit a machine for each class against the rest, one for two classes.

    With no more rows than columns by the dual: the primal takes longer, for a large C thirty times. By the primal where
    there are more, and where the dual comes to no end, as where rows of two classes are alike. The dual goes through
    the rows in an order that is drawn, here from the same seed always; by the primal nothing is drawn.
    """
    from sklearn.svm import LinearSVC

    def fit(is_dual: bool) -> Any:
        tolerance = TOLERANCE if is_kept else DUAL_TOLERANCE if is_dual else PRIMAL_TOLERANCE
        settings: dict[str, Any] = {"C": penalty, "dual": is_dual, "tol": tolerance, "max_iter": MAX_ITERATIONS}
        return LinearSVC(**settings, random_state=0).fit(points, labels)

    if len(points) <= points.shape[1]:
        with ONE_DUAL_AT_A_TIME:
            machines = fit(is_dual=True)
        if machines.n_iter_ < MAX_ITERATIONS:
            return machines
    machines = fit(is_dual=False)
    if is_kept and machines.n_iter_ >= MAX_ITERATIONS:
        warnings.warn(
            f"support vector machine: C = {penalty:g} has come to no end in {MAX_ITERATIONS} steps; what it has come to"
            " is kept",
            stacklevel=2,
        )
    return machines
