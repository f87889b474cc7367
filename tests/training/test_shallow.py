"""A linear support vector machine as a last layer, against scikit-learn's own decisions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.svm import LinearSVC

from jaxal.data.loading import Images
from jaxal.models.linear import linear
from jaxal.training import shallow
from jaxal.training.inference import head_logits
from jaxal.training.shallow import PENALTIES, UNSEEN, fit_linear_svm, linear_svm
from tests.training.small_models import linear_model


def blobs(counts, width=6, seed=0, spread=3.0):
    z, labels = make_blobs(list(counts), width, cluster_std=spread, random_state=seed)
    return z.astype(np.float32), labels.astype(np.int32)


def centered(z):
    moved = z.astype(np.float64) - z.mean(axis=0, dtype=np.float64)
    return moved / np.sqrt(np.mean(np.sum(moved**2, axis=1)))


def decisions(z, labels, penalty):
    """Return a machine's decision values in scikit-learn's own form."""
    scaled = centered(z)
    return LinearSVC(C=penalty, dual=False).fit(scaled, labels).decision_function(scaled)


def logits_of(head, z):
    return z @ np.asarray(head.weight) + np.asarray(head.bias)[None]


@pytest.mark.parametrize("classes", [(0, 1), (1, 3)])
def test_two_labeled_classes_have_one_decision_value_between_their_columns(classes):
    z, labels = blobs([30, 12])
    num_classes = 2 if classes == (0, 1) else 4
    head, choice = linear_svm(z, np.array(classes, np.int32)[labels], num_classes, seed=0)
    logits = logits_of(head, z)
    expected = decisions(z, labels, choice.penalty)
    np.testing.assert_allclose(logits[:, classes[1]] - logits[:, classes[0]], expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(logits[:, classes[1]], expected / 2, rtol=1e-3, atol=1e-3)
    others = [each for each in range(num_classes) if each not in classes]
    assert np.all(logits[:, others] == UNSEEN)
    assert choice[:3] == (choice.penalty, 10, 2)


def test_each_class_against_the_rest_and_a_class_without_labels_is_never_predicted():
    z, labels = blobs([20, 15, 10])
    head, choice = linear_svm(z, np.array([0, 1, 3], np.int32)[labels], 4, seed=0)
    logits = logits_of(head, z)
    np.testing.assert_allclose(logits[:, [0, 1, 3]], decisions(z, labels, choice.penalty), rtol=1e-3, atol=1e-3)
    assert choice.num_classes == 3
    assert np.all(np.argmax(logits, axis=1) != 2)
    assert np.all(np.isfinite(logits))


@pytest.mark.parametrize(("counts", "num_folds"), [((30, 3), 3), ((8, 1), 0), ((12, 11, 2), 2)])
def test_folds_are_as_many_as_the_rarest_class_has_labels_and_none_for_a_single_one(counts, num_folds):
    z, labels = blobs(counts)
    _, choice = linear_svm(z, labels, len(counts), seed=0)
    assert choice.num_folds == num_folds
    assert choice.penalty in PENALTIES if num_folds else choice.penalty == 1.0


def test_c_is_what_the_held_out_rows_like_best_and_where_embeddings_lie_does_not_matter():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 30).astype(np.int32)
    noise = rng.normal(size=(60, 200)).astype(np.float32)  # separable whatever it means: only little C generalizes
    noise[:, 0] += np.where(labels == 1, 1.5, -1.5)
    found, choice = linear_svm(noise, labels, 2, seed=0)
    scaled = centered(noise)
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    held_out = [cross_val_predict(LinearSVC(C=c, dual=False), scaled, labels, cv=folds) for c in PENALTIES]
    accuracies = [balanced_accuracy_score(labels, each) for each in held_out]
    assert choice.penalty == PENALTIES[int(np.argmax(accuracies))]
    assert choice.accuracy == max(accuracies)
    assert len(set(accuracies)) > 1
    easy = (np.eye(2)[labels] + 0.01 * rng.normal(size=(60, 2))).astype(np.float32)
    assert linear_svm(easy, labels, 2, seed=0)[1].penalty == PENALTIES[0]  # all are as good: the first
    moved = noise * 64 + 8
    other, same = linear_svm(moved, labels, 2, seed=0)
    assert same == choice
    np.testing.assert_allclose(logits_of(other, moved), logits_of(found, noise), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("num_rows", "width"), [(40, 300), (300, 12)])
def test_the_weights_are_scikit_learn_s_in_all_dimensions_for_every_cost(monkeypatch, num_rows, width):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, num_rows).astype(np.int32)
    z = (rng.normal(size=(num_rows, width)) + 0.3 * rng.normal(size=(3, width))[labels]).astype(np.float32)
    scaled = centered(z)
    for penalty in PENALTIES:
        monkeypatch.setattr(shallow, "PENALTIES", (penalty,))
        head, choice = linear_svm(z, labels, 3, seed=0)
        exact = LinearSVC(C=penalty, dual=False, tol=1e-10, max_iter=100_000).fit(scaled, labels)
        assert choice.penalty == penalty
        np.testing.assert_allclose(logits_of(head, z), exact.decision_function(scaled), atol=1e-4)
        scale = np.linalg.norm(z - z.mean(axis=0)) / np.sqrt(num_rows)
        np.testing.assert_allclose(head.weight.T * scale, exact.coef_, atol=1e-4)


def test_the_choice_is_the_same_again_where_two_costs_are_nearly_as_good():
    """liblinear's generator is one for all threads: fits side by side must not draw from each other's."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 150).astype(np.int32)
    z = (rng.normal(size=(150, 600)) + 0.25 * rng.normal(size=(10, 600))[labels]).astype(np.float32)
    head, choice = linear_svm(z, labels, 10, seed=0)
    for _ in range(6):
        other, same = linear_svm(z, labels, 10, seed=0)
        assert same == choice
        np.testing.assert_array_equal(other.weight, head.weight)


@pytest.mark.filterwarnings("ignore:Liblinear failed to converge")
def test_rows_of_two_classes_that_are_alike_have_a_machine_too():
    """The dual comes to no end for a large C, the primal does."""
    rng = np.random.default_rng(2)
    z = np.repeat(rng.normal(size=(12, 40)), 2, axis=0).astype(np.float32)
    labels = np.arange(24, dtype=np.int32) // 2 % 2
    labels[:6] = [0, 1, 0, 1, 0, 1]
    scaled = centered(z)
    left, lengths, _ = np.linalg.svd(scaled, full_matrices=False)
    machines = shallow._machines(left * lengths, labels, 1000.0, is_kept=True)
    exact = LinearSVC(C=1000.0, dual=False, tol=1e-10, max_iter=100_000).fit(scaled, labels)
    np.testing.assert_allclose(machines.decision_function(left * lengths), exact.decision_function(scaled), atol=1e-3)


def test_the_fitted_head_is_the_model_s_and_the_same_from_the_disk_and_again():
    z, labels = blobs([25, 15], width=4)
    hidden = labels.copy()
    hidden[::3] = -1
    model, key = linear(linear_model(), dropout_rate=0.0, is_drawn=True), jax.random.key(1)
    variables = model.init(key)
    fitted, choice = fit_linear_svm(model, variables, key, jnp.asarray(z), jnp.asarray(hidden), 16)
    on_disk = Images(lambda rows: z[rows], len(z), (4,), np.float32)
    streamed, _ = fit_linear_svm(model, variables, key, on_disk, jnp.asarray(hidden), 16)
    assert jax.tree.all(jax.tree.map(np.array_equal, fitted.variables, streamed.variables))
    logits = np.asarray(head_logits(model, fitted.variables, jnp.asarray(z)))
    labeled = hidden >= 0
    np.testing.assert_allclose(
        (logits[:, 1] - logits[:, 0])[labeled], decisions(z[labeled], hidden[labeled], choice.penalty), atol=1e-3
    )
    assert (fitted.best_epoch, fitted.num_epochs) == (1, 1)


@pytest.mark.parametrize("labels", [[-1] * 6, [1, 1, 1, -1, -1, -1]])
def test_without_two_classes_nothing_is_fitted_and_it_is_said(labels):
    model, key = linear_model(num_pixels=4), jax.random.key(0)
    images, variables = jnp.ones((6, 4, 1, 1), jnp.uint8), model.init(key)
    fitted, choice = fit_linear_svm(model, variables, key, images, jnp.asarray(labels, jnp.int32), 4)
    assert (fitted.best_epoch, fitted.num_epochs) == (0, 0)
    assert choice == (None, 0, len({*labels} - {-1}), None)
    assert fitted.variables is variables
