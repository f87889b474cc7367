"""A support vector machine as a last layer: scikit-learn's decisions, and classes that have few labels or none."""

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from jaxal.training.shallow import COSTS, fit_linear_svm

RNG = np.random.default_rng(0)
CENTERS = RNG.normal(size=(4, 6)) * 3


def samples(*counts):
    classes = np.repeat(np.arange(len(counts)), counts)
    return (CENTERS[classes] + RNG.normal(size=(len(classes), 6))).astype(np.float32), classes


def decide(fitted, features):
    layer = fitted.variables.params["classifier"]
    return features @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])


@pytest.mark.parametrize("counts", [(12, 0, 11, 13), (12, 0, 11, 0)])
def test_decision_values_are_scikit_learn_s(counts):
    features, classes = samples(*counts)
    fitted = fit_linear_svm(features, classes, 4, seed=0)
    centered = features.astype(float) - features.astype(float).mean(axis=0)
    centered /= np.sqrt(np.mean(np.sum(centered**2, axis=1)))
    machine = LinearSVC(C=fitted.cost, max_iter=20_000, random_state=0).fit(centered, classes)
    values, known = decide(fitted, features), np.flatnonzero(counts)
    expected = machine.decision_function(centered)
    expected = np.stack([-expected, expected], axis=1) if len(known) == 2 else expected
    np.testing.assert_allclose(values[:, known], expected, atol=1e-4)
    assert np.all(values[:, np.array(counts) == 0] == -1)
    assert fitted.cost in COSTS
    assert fitted.num_folds == 10
    assert np.mean(np.argmax(values, axis=1) == classes) > 0.9


@pytest.mark.parametrize(("counts", "folds"), [((12, 3), 3), ((12, 1), 0), ((5, 0), 0)])
def test_folds_are_as_many_as_the_rarest_class_allows(counts, folds):
    features, classes = samples(*counts)
    fitted = fit_linear_svm(features, classes, 2, seed=0)
    assert fitted.num_folds == folds
    assert np.mean(np.argmax(decide(fitted, features), axis=1) == classes) > 0.9
