"""Metrics against scikit-learn, over four shapes, and what happens where a metric is not defined."""

import itertools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp, softmax
from sklearn import metrics as reference

from jaxal.errors import InputError
from jaxal.evaluation.metrics import ClassMetrics, Metrics, accuracies, evaluate, is_better, selection_score, undefined
from jaxal.evaluation.ranking import auroc_one_vs_rest, average_precision_one_vs_rest

# N and C of every compiled case: rows not a multiple of anything, and more classes than rows.
SHAPES = [(61, 2), (40, 4), (3, 5)]


def random_case(seed, num_rows, num_classes):
    """Draws logits with tied rows, padding with garbage in it, and now and then an absent class or no signal."""
    rng = np.random.default_rng((seed, num_rows, num_classes))
    labels = rng.choice(num_classes, num_rows, p=rng.dirichlet(np.full(num_classes, 0.7))).astype(np.int32)
    logits = rng.normal(size=(num_rows, num_classes)).astype(np.float32) * rng.choice([0.1, 1.0, 30.0]).astype("f")
    logits[np.arange(num_rows), labels] += 1
    logits = logits[rng.integers(0, rng.integers(1, num_rows + 1), num_rows)]  # repeats rows; from one: constant
    if num_classes == 2 and seed % 2:
        logits = np.round(logits)  # ties between different rows: differences of small integers are exact
    is_counted = rng.random(num_rows) < rng.choice([0.3, 0.9, 1.0])
    logits[~is_counted] = rng.choice([np.nan, np.inf, 7.0])
    labels[~is_counted] = rng.choice([-2, 0, 99])
    return logits, labels, is_counted


def expected_sensitivity(is_class, scores, specificity):
    false_alarms, found, _ = reference.roc_curve(is_class, scores, drop_intermediate=False)
    return found[false_alarms <= 1 - specificity + 1e-9].max()


def expected_error(probabilities, predicted, labels):
    confidence = np.round(probabilities.max(1), 6)
    edges, error = np.arange(16) / 15, 0.0
    for low, high in itertools.pairwise(edges):
        inside = (confidence > low + 2e-6) & (confidence <= high + 2e-6)
        if inside.any():
            hit_share = (predicted == labels)[inside].mean()
            error += inside.mean() * abs(hit_share - probabilities.max(1)[inside].mean())
    return error


def expected_metrics(logits, labels, is_counted, positive_class):
    logits, labels, num_classes = logits[is_counted].astype(np.float64), labels[is_counted], logits.shape[1]
    predicted, num = logits.argmax(1), len(labels)
    rows = []
    for c in range(num_classes):
        scores = logits[:, c] - logsumexp(np.delete(logits, c, axis=1), axis=1)
        scores = np.round(scores, 9)  # equal rows tie, whatever the order of a float64 sum
        is_class = labels == c
        count, hits, num_predicted = is_class.sum(), (is_class & (predicted == c)).sum(), (predicted == c).sum()
        rows.append(
            ClassMetrics(
                auroc=reference.roc_auc_score(is_class, scores) if 0 < count < num else np.nan,
                average_precision=reference.average_precision_score(is_class, scores) if count else np.nan,
                recall=hits / count if count else np.nan,
                precision=hits / num_predicted if num_predicted else np.nan,
                f1=reference.f1_score(is_class, predicted == c) if count + num_predicted else np.nan,
                specificity=(~is_class & (predicted != c)).sum() / (num - count) if count < num else np.nan,
                **{
                    f"sensitivity_at_specificity_{percent}": (
                        expected_sensitivity(is_class, scores, percent / 100) if 0 < count < num else np.nan
                    )
                    for percent in (90, 95)
                },
                count=count,
                prevalence=count / num,
            )
        )
    per_class = ClassMetrics(*map(np.array, zip(*rows, strict=True)))
    headline = per_class if num_classes > 2 else jax.tree.map(lambda values: values[positive_class], per_class)
    return Metrics(
        auroc=np.mean(headline.auroc),
        average_precision=np.mean(headline.average_precision),
        balanced_accuracy=reference.balanced_accuracy_score(labels, predicted),
        accuracy=reference.accuracy_score(labels, predicted),
        loss=-log_softmax(logits, axis=1)[np.arange(num), labels].mean(),
        calibration_error=expected_error(softmax(logits, axis=1), predicted, labels),
        per_class=per_class,
    )


@pytest.mark.parametrize(("num_rows", "num_classes"), SHAPES)
def test_equals_scikit_learn(num_rows, num_classes):
    num_undefined = num_tied = num_compared = 0
    for seed in range(80):
        logits, labels, is_counted = random_case(seed, num_rows, num_classes)
        if not is_counted.any():
            continue
        actual = evaluate(jnp.asarray(logits), jnp.asarray(labels), jnp.asarray(is_counted), positive_class=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn warns about absent classes
            expected = expected_metrics(logits, labels, is_counted, positive_class=1)
        jax.tree.map(lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-6, atol=1e-6), actual, expected)
        alone = accuracies(jnp.asarray(logits), jnp.asarray(labels), jnp.asarray(is_counted))
        np.testing.assert_array_equal(alone, (actual.balanced_accuracy, actual.accuracy))
        num_compared += 1
        num_undefined += bool(np.isnan(expected.auroc))
        num_tied += len(np.unique(logits[is_counted], axis=0)) < is_counted.sum()
    assert num_compared >= 70
    assert min(num_undefined, num_tied) >= 5  # the drawing does reach the cases that it is meant for


def test_positive_class_is_the_headline_of_two_classes():
    logits, labels, is_counted = map(jnp.asarray, random_case(0, 61, 2))
    rare = evaluate(logits, labels, is_counted, positive_class=0)
    assert float(rare.auroc) == float(rare.per_class.auroc[0])
    assert float(rare.average_precision) == float(rare.per_class.average_precision[0])
    assert float(rare.average_precision) != pytest.approx(float(rare.per_class.average_precision[1]))
    assert float(rare.auroc) == pytest.approx(float(rare.per_class.auroc[1]), abs=1e-6)  # symmetric for two classes


def test_the_confusion_table_of_peng_et_al():
    """70 hits, 30 misses, 1000 false alarms, 9000 rejections: high accuracy, useless precision."""
    labels = np.repeat([1, 1, 0, 0], [70, 30, 1000, 9000]).astype(np.int32)
    predicted = np.repeat([1, 0, 1, 0], [70, 30, 1000, 9000])
    logits = jnp.asarray(np.eye(2, dtype=np.float32)[predicted])
    metrics = evaluate(logits, jnp.asarray(labels), jnp.ones(10_100, bool), positive_class=1)
    minority = [float(field[1]) for field in (metrics.per_class.recall, metrics.per_class.specificity)]
    assert minority == pytest.approx([0.7, 0.9])
    assert float(metrics.accuracy) == pytest.approx(0.898, abs=5e-4)
    assert float(metrics.balanced_accuracy) == pytest.approx(0.80)
    assert float(metrics.per_class.precision[1]) == pytest.approx(0.065, abs=5e-4)
    # The figure's F1 of .119 combines rounded precision and recall; the counts give 140/1170 = .1197.
    assert float(metrics.per_class.f1[1]) == pytest.approx(140 / 1170)


def test_sensitivity_at_a_specificity_that_no_threshold_meets_exactly():
    """Twenty negatives, .9 and .95 let two and one of them pass; the third best row is tied with a negative."""
    scores = np.r_[5.0, 4.0, 3.0, 2.0, 4.5, 3.0, np.zeros(18)]
    labels = np.r_[np.ones(4), np.zeros(20)].astype(np.int32)
    logits = jnp.asarray(np.stack([np.zeros(24), scores], axis=1), jnp.float32)
    metrics = evaluate(logits, jnp.asarray(labels), jnp.ones(24, bool), positive_class=1)
    assert float(metrics.per_class.sensitivity_at_specificity_90[1]) == 1
    assert float(metrics.per_class.sensitivity_at_specificity_95[1]) == 0.5


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_non_finite_logit_makes_every_metric_nan(bad):
    logits, labels, is_counted = random_case(2, 61, 2)
    logits[np.flatnonzero(is_counted)[0], 1] = bad
    metrics = evaluate(jnp.asarray(logits), jnp.asarray(labels), jnp.asarray(is_counted), positive_class=1)
    assert all(np.isnan(value).all() for value in floats(metrics))
    assert int(metrics.per_class.count.sum()) == is_counted.sum()
    assert [float(part) for part in selection_score(metrics)] == [-np.inf, -np.inf]


def test_a_label_that_is_no_class_makes_every_metric_nan():
    logits, labels, is_counted = random_case(2, 61, 2)
    labels[np.flatnonzero(is_counted)[0]] = -1
    metrics = evaluate(jnp.asarray(logits), jnp.asarray(labels), jnp.asarray(is_counted), positive_class=1)
    assert all(np.isnan(value).all() for value in floats(metrics))
    assert np.isnan(metrics.per_class.prevalence).all()


def test_an_empty_split_is_all_nan():
    logits, labels, _ = map(jnp.asarray, random_case(2, 61, 2))
    metrics = evaluate(logits, labels, jnp.zeros(61, bool), positive_class=1)
    assert all(np.isnan(value).all() for value in floats(metrics))
    assert np.isnan(metrics.per_class.prevalence).all()
    assert metrics.per_class.count.tolist() == [0, 0]


def test_saturated_logits_still_rank():
    """Softmax gives 1.0 for every row here; log-odds keep their order."""
    margins = np.linspace(200, 2e4, 40, dtype=np.float32)
    logits = np.stack([margins, *np.zeros((3, 40), np.float32)], axis=1)
    labels = np.where(margins > 1e4, 0, 1 + np.arange(40) % 3).astype(np.int32)
    metrics = evaluate(jnp.asarray(logits), jnp.asarray(labels), jnp.ones(40, bool), positive_class=1)
    assert float(metrics.per_class.auroc[0]) == 1
    assert float(metrics.per_class.average_precision[0]) == 1


def test_argmax_ties_go_to_the_lowest_class():
    metrics = evaluate(jnp.zeros((40, 4)), jnp.arange(40, dtype=jnp.int32) % 4, jnp.ones(40, bool), positive_class=1)
    assert metrics.per_class.recall.tolist() == [1, 0, 0, 0]
    assert metrics.per_class.auroc.tolist() == [0.5] * 4


def test_one_class_scores_may_be_infinite_but_not_nan():
    mask = jnp.asarray([True, True, True, False])
    is_positive = jnp.asarray([True, False, True, False])
    scores = jnp.asarray([jnp.inf, jnp.inf, -1.0, jnp.nan])
    assert float(auroc_one_vs_rest(scores, is_positive, mask)) == 0.25
    assert float(average_precision_one_vs_rest(scores, is_positive, mask)) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert np.isnan(auroc_one_vs_rest(scores, is_positive, ~mask | mask))
    assert np.isnan(average_precision_one_vs_rest(scores, is_positive, ~mask | mask))
    assert np.isnan(auroc_one_vs_rest(scores, ~is_positive & is_positive, mask))  # no positive
    assert np.isnan(auroc_one_vs_rest(scores, is_positive | ~is_positive, mask))  # no negative


def test_selection_compares_auroc_first_and_falls_back_to_the_loss():
    def score(auroc, loss):
        blank = jnp.full((), jnp.nan)
        per_class = ClassMetrics(*[jnp.zeros(2)] * len(ClassMetrics._fields))
        return selection_score(Metrics(jnp.asarray(auroc), blank, blank, blank, jnp.asarray(loss), blank, per_class))

    assert is_better(score(0.9, 2.0), score(0.8, 1.0))
    assert is_better(score(0.9, 1.0), score(0.9, 2.0))
    assert is_better(score(jnp.nan, 1.0), score(jnp.nan, 2.0))
    assert is_better(score(0.1, 9.0), score(jnp.nan, 0.1))
    assert is_better(score(jnp.nan, 9.0), score(jnp.nan, jnp.nan))
    assert not is_better(score(0.8, 1.0), score(0.9, 2.0))
    assert not is_better(score(0.9, 1.0), score(0.9, 1.0))
    assert not is_better(score(jnp.nan, jnp.nan), score(jnp.nan, jnp.nan))


def test_refusals_name_the_argument():
    labels, mask = jnp.zeros(3, jnp.int32), jnp.ones(3, bool)
    with pytest.raises(InputError, match="positive_class: 2 is not a class"):
        evaluate(jnp.zeros((3, 2)), labels, mask, positive_class=2)
    with pytest.raises(InputError, match=r"logits: 1 column"):
        evaluate(jnp.zeros((3, 1)), labels, mask, positive_class=0)


def floats(metrics):
    """Returns every metric that is undefined when the logits are: all but what labels alone determine."""
    per_class = metrics.per_class._asdict()
    return [*metrics[:-1], *(per_class[name] for name in per_class if name not in ("count", "prevalence"))]


def test_without_a_score_counts_and_prevalence_are_those_of_any_logits():
    labels, is_counted = np.array([2, 0, 2, 1, 2], np.int32), np.array([True, True, True, False, True])
    scored = evaluate(jnp.ones((5, 4)), jnp.asarray(labels), jnp.asarray(is_counted), positive_class=0)
    blank = undefined(labels, is_counted, 4)
    assert np.array_equal(blank.per_class.count, scored.per_class.count)
    assert np.array_equal(blank.per_class.prevalence, scored.per_class.prevalence)
    others = blank._replace(per_class=blank.per_class._replace(count=np.nan, prevalence=np.nan))
    assert all(np.all(np.isnan(leaf)) for leaf in jax.tree.leaves(others))
    assert jax.tree.structure(blank) == jax.tree.structure(scored)
    assert np.all(np.isnan(undefined(labels, np.zeros(5, bool), 4).per_class.prevalence))
