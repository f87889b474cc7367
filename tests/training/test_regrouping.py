"""Regrouping: how many clusters a class is split into, what they are, and what classes their logits come to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax
from small_models import linear_model

from jaxal.config.training import TrainingConfig
from jaxal.models.grouped_head import class_logits, grouped_head, with_groups
from jaxal.training.regrouping import max_pseudo_classes, pseudo_classes_per_class, regroup
from jaxal.training.trainer import EvaluationSet, fit

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("counts", "split"),
    [
        ((6705, 1113, 1099, 514, 327, 142, 115), [58, 10, 10, 4, 3, 1, 1]),  # HAM10000 whole
        ((10, 1000), [1, 64]),  # two classes: only the larger is split, up to the limit
        ((30, 20, 0), [2, 1, 1]),  # 1.5 goes up; a class without labels keeps its column
        ((0, 0, 0), [1, 1, 1]),
        ((0, 7, 0), [1, 1, 1]),
    ],
)
def test_clusters_go_by_the_count_of_the_rarest_class(counts, split):
    assert pseudo_classes_per_class(jnp.asarray(counts, jnp.int32), 64).tolist() == split


def test_no_labeled_set_makes_more_pseudo_classes_than_are_planned():
    for limit in (1, 2, 3, 64):
        for counts in np.ndindex(7, 7, 7):
            split = pseudo_classes_per_class_of(counts, limit)
            assert sum(split) <= max_pseudo_classes(sum(counts), 3, limit)
    assert max_pseudo_classes(10_015, 7, 64) == 1 + 6 * 64


def pseudo_classes_per_class_of(counts, limit):
    rarest = min((n for n in counts if n), default=1)
    return [min(limit, max(1, int(n / rarest + 0.5))) for n in counts]


CLASS_OF = np.array([0, 0, 0, 1, 2, 2, 3, 3])  # the last two are of no class


def test_the_sum_is_that_of_probabilities_and_the_argmax_that_of_the_pseudo_classes():
    logits = RNG.normal(size=(50, 8)).astype(np.float32)
    logits[0] *= 1e3
    used = CLASS_OF < 3
    of_pseudo = softmax(logits[:, used].astype(np.float64), axis=1)
    expected = np.stack([of_pseudo[:, CLASS_OF[used] == c].sum(axis=1) for c in range(3)], axis=1)
    summed, largest = (
        class_logits(jnp.asarray(logits), jnp.asarray(CLASS_OF), num_classes=3, decision=each)
        for each in ("sum", "argmax")
    )
    assert np.isfinite(summed).all()
    np.testing.assert_allclose(softmax(summed, axis=1), expected, atol=1e-6)
    np.testing.assert_array_equal(np.argmax(largest, axis=1), CLASS_OF[np.argmax(of_pseudo, axis=1)])
    assert np.any(np.argmax(largest, axis=1) != np.argmax(summed, axis=1))  # they are two decisions


# Class 0 in three far clusters of four, class 1 in one of four between two of them: no line parts the two.
CENTERS = np.array([[0, 0], [9, 9], [0, 9], [4.5, 4.5]])
POINTS = np.clip(CENTERS.repeat(4, axis=0) * 20 + RNG.integers(0, 9, (16, 2)) + 20, 0, 255).astype(np.uint8)
IMAGES = jnp.asarray(POINTS.reshape(16, 2, 1, 1))
TRUTH = np.repeat([0, 0, 0, 1], 4)
NETWORK = linear_model(num_pixels=2, num_classes=max_pseudo_classes(20, 2, 5))
IDS = jnp.arange(16, dtype=jnp.int32)


def grouped(decision="sum"):
    return grouped_head(NETWORK, 2, decision)


def split(labels, max_labeled=20):
    model = grouped()
    variables = model.init(jax.random.key(0))
    labels = jnp.asarray(labels, jnp.int32)
    settings = {"max_labeled": max_labeled, "limit": 5, "batch_size": 8}
    return model, regroup(model, variables, jax.random.key(1), IMAGES, labels, IDS, **settings)


def test_labeled_rows_are_split_by_their_embeddings_and_no_shape_changes():
    _, (variables, targets) = split(TRUTH)
    assert variables.batch_stats["class_of"].tolist() == [0, 0, 0, 1, 2, 2]
    groups = np.asarray(targets).reshape(4, 4)
    assert (groups == groups[:, :1]).all()
    assert sorted(groups[:3, 0]) == [0, 1, 2]
    assert groups[3, 0] == 3
    fewer = np.where(np.arange(16) % 4 < 2, TRUTH, -1)
    fewer[12:14] = -2
    _, (variables, targets) = split(fewer)
    assert variables.batch_stats["class_of"].tolist() == [0, 1, 2, 2, 2, 2]  # class 1 has no label, and its column
    assert np.array_equal(np.asarray(targets) >= 0, fewer >= 0)
    assert set(np.asarray(targets)[fewer >= 0]) == {0}


def test_a_linear_model_of_clusters_learns_what_one_of_classes_cannot():
    model, (variables, targets) = split(TRUTH)
    nothing = EvaluationSet(IMAGES[:2], jnp.zeros(2, jnp.int32), jnp.zeros(2, bool))
    config = TrainingConfig(num_epochs=60, batch_size=16, learning_rate=0.3, validate_every=60)

    def accuracy(model, begin=None, targets=None):
        labels = jnp.asarray(TRUTH, jnp.int32)
        settings = {"positive_class": 1, "max_labeled": 20, "begin": begin, "targets": targets}
        fitted = fit(model, config, jax.random.key(0), IMAGES, labels, nothing, **settings)
        return fitted, np.mean(np.argmax(model.apply(fitted.variables, IMAGES), axis=1) == TRUTH)

    fitted, share = accuracy(model, variables, targets)
    assert share == 1
    assert accuracy(linear_model(num_pixels=2))[1] < 1
    kept = fitted.variables.batch_stats["class_of"]
    assert kept.tolist() == variables.batch_stats["class_of"].tolist()
    assert set(fitted.variables.batch_stats["network"]) == {"noise"}
    columns = fitted.variables.params["classifier"]["kernel"][:, 4:]
    np.testing.assert_array_equal(columns, variables.params["classifier"]["kernel"][:, 4:])  # of no class: untrained


def test_a_grouped_model_is_one_of_classes_but_for_its_training():
    model = grouped("argmax")
    assert model is grouped("argmax")
    variables = model.init(jax.random.key(0))
    assert model.spec.num_classes == 2
    assert model.linear_head(variables) is None
    regrouped = with_groups(variables, jnp.array([1, 0, 0, 2, 2, 2], jnp.int32))
    logits = NETWORK.apply(variables._replace(batch_stats={}), IMAGES)
    expected = np.stack([np.maximum(logits[:, 1], logits[:, 2]), logits[:, 0]], axis=1)
    np.testing.assert_allclose(model.apply(regrouped, IMAGES), expected, rtol=1e-6)
    trained, _ = model.apply_train(regrouped, jax.random.key(0), IMAGES)
    assert trained.shape == (16, 6)
    assert np.all(trained[:, 3:] == -1e9)
