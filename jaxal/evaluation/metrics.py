"""Classification metrics on the device: exact counts, ties counted as scikit-learn does, undefined = NaN.

Every function has fixed shapes and a mask of the rows that count, so that validation compiles once per experiment.
"""

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxal.errors import InputError
from jaxal.evaluation.calibration_error import expected_calibration_error
from jaxal.evaluation.ranking import (
    auroc_one_vs_rest,
    average_precision_one_vs_rest,
    mean_where,
    sensitivity_at_specificity,
)
from jaxal.typing import Array, Bool, Float, Int32


class ClassMetrics(NamedTuple):
    """One-vs-rest metrics of every class; NaN where the class, its opposite or its predictions are absent."""

    auroc: Float[Array, " C"]
    average_precision: Float[Array, " C"]
    recall: Float[Array, " C"]
    precision: Float[Array, " C"]
    f1: Float[Array, " C"]
    specificity: Float[Array, " C"]
    sensitivity_at_specificity_90: Float[Array, " C"]
    sensitivity_at_specificity_95: Float[Array, " C"]
    count: Int32[Array, " C"]  # pyright: ignore[reportIncompatibleMethodOverride]  (samples, not tuple.count)
    prevalence: Float[Array, " C"]


class Metrics(NamedTuple):
    """The metrics of one split; NaN where undefined."""

    auroc: Float[Array, ""]
    average_precision: Float[Array, ""]
    balanced_accuracy: Float[Array, ""]
    accuracy: Float[Array, ""]
    loss: Float[Array, ""]
    calibration_error: Float[Array, ""]
    per_class: ClassMetrics


@functools.partial(jax.jit, static_argnames=("positive_class",))
def evaluate(
    logits: Float[Array, "N C"], labels: Int32[Array, " N"], is_counted: Bool[Array, " N"], *, positive_class: int
) -> Metrics:
    """Computes every metric of one split from its logits.

    Class c is ranked by its log-odds l_c - logsumexp of the other logits, which is monotone in p_c and does not tie
    where the softmax saturates. The prediction is the largest logit, ties to the lowest class. Undefined is NaN:
    precision of a class never predicted, F1 = 2TP / (2TP + FP + FN) of 0/0, and everything for an empty split.

    Args:
      logits: Unnormalized log-probabilities, C ≥ 2 columns.
      labels: True classes in [0, C); rows that do not count may hold anything.
      is_counted: False for padding rows. A non-finite logit or a label outside [0, C) in a row that counts makes
        every metric NaN (only `count`, and `prevalence` of sound labels, stay): a NaN never becomes class 0.
      positive_class: For C = 2, the class whose AUROC and average precision are the headline; for C > 2 both are the
        macro average over one-vs-rest, NaN if a class is absent, and this argument only has to be in range.

    Returns:
      Metrics: balanced accuracy is the mean recall over the classes present, those that the model has never seen
      included (top-1 averaged over classes), loss the mean cross-entropy in nats, calibration_error the ECE.

    Raises:
      InputError: fewer than two columns, or a positive class outside [0, C).

    Cost: C sorts of N, O(N C) otherwise.
    """
    num_classes = logits.shape[1]
    if num_classes < 2:
        raise InputError(f"logits: {num_classes} column(s), but metrics need one for each of at least 2 classes")
    if not 0 <= positive_class < num_classes:
        raise InputError(f"positive_class: {positive_class} is not a class; use one in 0..{num_classes - 1}")
    is_known = (labels >= 0) & (labels < num_classes)
    has_sound_labels = jnp.all(is_known | ~is_counted)
    has_sound_logits = jnp.all(jnp.isfinite(logits) | ~is_counted[:, None])
    logits = jnp.where(is_counted[:, None], logits, 0).astype(jnp.promote_types(logits.dtype, jnp.float32))

    classes = jnp.arange(num_classes)[None]
    is_class = (labels[:, None] == classes) & is_counted[:, None]
    is_predicted = (jnp.argmax(logits, axis=1)[:, None] == classes) & is_counted[:, None]
    num_counted = _count(is_counted)
    count, predicted, hits = _count(is_class), _count(is_predicted), _count(is_class & is_predicted)
    true_negatives = num_counted - count - predicted + hits

    one_vs_rest = functools.partial(jax.vmap, in_axes=(1, 1, None))
    scores = _log_odds(logits)
    at_specificity = [functools.partial(sensitivity_at_specificity, percent=percent) for percent in (90, 95)]
    recall = _ratio(hits, count)
    per_class = ClassMetrics(
        auroc=one_vs_rest(auroc_one_vs_rest)(scores, is_class, is_counted),
        average_precision=one_vs_rest(average_precision_one_vs_rest)(scores, is_class, is_counted),
        recall=recall,
        precision=_ratio(hits, predicted),
        f1=_ratio(2 * hits, predicted + count),
        specificity=_ratio(true_negatives, num_counted - count),
        sensitivity_at_specificity_90=one_vs_rest(at_specificity[0])(scores, is_class, is_counted),
        sensitivity_at_specificity_95=one_vs_rest(at_specificity[1])(scores, is_class, is_counted),
        count=count,
        prevalence=_ratio(count, num_counted),
    )
    own_class = jnp.clip(labels, 0, num_classes - 1)[:, None]
    log_p = jax.nn.log_softmax(logits)
    cross_entropy = -jnp.take_along_axis(log_p, own_class, axis=1)[:, 0]
    metrics = Metrics(
        auroc=per_class.auroc[positive_class] if num_classes == 2 else jnp.mean(per_class.auroc),
        average_precision=(
            per_class.average_precision[positive_class] if num_classes == 2 else jnp.mean(per_class.average_precision)
        ),
        balanced_accuracy=mean_where(recall, count > 0),
        accuracy=_ratio(jnp.sum(hits, dtype=jnp.int32), num_counted),
        loss=mean_where(cross_entropy, is_counted),
        calibration_error=expected_calibration_error(
            jnp.exp(jnp.max(log_p, axis=1)), jnp.argmax(logits, axis=1) == own_class[:, 0], is_counted
        ),
        per_class=per_class,
    )
    sound = jax.tree.map(lambda value: jnp.where(has_sound_labels & has_sound_logits, value, jnp.nan), metrics)
    prevalence = jnp.where(has_sound_labels, per_class.prevalence, jnp.nan)
    return sound._replace(per_class=sound.per_class._replace(count=count, prevalence=prevalence))


@jax.jit
def accuracies(
    logits: Float[Array, "N C"], labels: Int32[Array, " N"], is_counted: Bool[Array, " N"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Returns balanced accuracy and accuracy alone, as `evaluate` has them.

    Cost: O(N C); the compiler leaves out the sorts, whose results nobody takes.
    """
    metrics = evaluate(logits, labels, is_counted, positive_class=0)
    return metrics.balanced_accuracy, metrics.accuracy


def undefined(labels: np.ndarray, is_counted: np.ndarray, num_classes: int) -> Metrics:
    """Return what `evaluate` gives where there is no score: all NaN but `count` and `prevalence`, which need no model.

    Args:
      labels: True classes in [0, C) of the rows that count.
      is_counted: False for padding rows.
      num_classes: C.
    """
    count = np.bincount(labels[is_counted], minlength=num_classes).astype(np.int32)
    num_counted = np.float32(count.sum())
    prevalence = count.astype(np.float32) / num_counted if num_counted else np.full(num_classes, np.nan, np.float32)
    of_all: dict[str, Any] = dict.fromkeys(Metrics._fields, np.float32(np.nan))
    of_class: dict[str, Any] = dict.fromkeys(ClassMetrics._fields, np.full(num_classes, np.nan, np.float32))
    of_class["count"], of_class["prevalence"] = count, prevalence
    of_all["per_class"] = ClassMetrics(**of_class)
    return Metrics(**of_all)


def selection_score(
    metrics: Metrics, metric: Literal["auroc", "accuracy"] = "auroc"
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Returns what model selection maximizes: (the metric, -loss), compared in that order by `is_better`.

    An undefined metric (for AUROC, no positive in validation) is -inf, so that the loss decides; a NaN loss is -inf as
    well, so that a diverged model never wins.
    """
    value = metrics.auroc if metric == "auroc" else metrics.accuracy
    value = jnp.where(jnp.isnan(value), -jnp.inf, value)
    return value, jnp.where(jnp.isnan(metrics.loss), -jnp.inf, -metrics.loss)


def is_better(
    score: tuple[Float[Array, ""], Float[Array, ""]], best: tuple[Float[Array, ""], Float[Array, ""]]
) -> Bool[Array, ""]:
    """Tells whether `score` is strictly above `best` in lexicographic order (a tie keeps the earlier model)."""
    return (score[0] > best[0]) | ((score[0] == best[0]) & (score[1] > best[1]))


def _log_odds(logits: Float[Array, "N C"]) -> Float[Array, "N C"]:
    """Returns log p_c - log(1 - p_c) = l_c - logsumexp of the others, without the cancellation of 1 - p_c."""
    if logits.shape[1] == 2:
        return logits - logits[:, ::-1]
    no_class = jnp.full((logits.shape[0], 1), -jnp.inf, logits.dtype)
    below = jnp.concatenate([no_class, lax.cumlogsumexp(logits, axis=1)[:, :-1]], axis=1)
    above = jnp.concatenate([lax.cumlogsumexp(logits, axis=1, reverse=True)[:, 1:], no_class], axis=1)
    return logits - jnp.logaddexp(below, above)


def _count(mask: Bool[Array, "N *C"]) -> Int32[Array, "*C"]:
    return jnp.sum(mask, axis=0, dtype=jnp.int32)


def _ratio(numerator: Int32[Array, "*C"], denominator: Int32[Array, "*#C"]) -> Float[Array, "*C"]:
    """Divides counts; NaN where the denominator is 0."""
    return jnp.where(denominator > 0, numerator / jnp.maximum(denominator, 1), jnp.nan)
