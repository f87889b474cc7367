import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import feature_mixing as reference
from reference.centroids import class_centroids
from reference.uncertainty import margin, margin_log_odds

from jaxal.config.strategies import AutoFMConfig
from jaxal.pool import UNLABELED
from jaxal.strategies.auto_fm import auto_fm

from .greedy import assert_smallest_first
from .pools import C, D, N, Q, acquire, make_inputs, picks
from .variants import AUTO_FM

MIXING, MARGIN = range(2)
HALF = AutoFMConfig(alpha_init="half")


def starting_alpha(config, sample_ids, seed):
    """[N C D]: a half, or clip(N(0.5, 0.5), 0, 1) drawn for each sample id and anchor."""
    if config.alpha_init == "half":
        return np.full((N, C, D), 0.5)
    key = jax.random.key(seed)
    alpha = np.empty((N, C, D))
    for i, sample_id in enumerate(sample_ids.tolist()):
        for c in range(C):
            noise_key = jax.random.fold_in(jax.random.fold_in(key, sample_id), c)
            alpha[i, c] = np.clip(0.5 + 0.5 * np.asarray(jax.random.normal(noise_key, (D,), jnp.float32)), 0, 1)
    return alpha


def reference_of(config, inputs, seed=0):
    """Norm and loss change of every sample, in float64."""
    embeddings, labels = np.asarray(inputs.embeddings), np.asarray(inputs.pool.labels)
    anchors, counts = class_centroids(embeddings, labels, C)
    is_anchor = counts > 0
    if config.missing_anchor == "global_mean" and counts.any():
        anchors[~is_anchor] = np.mean(embeddings[labels >= 0], axis=0, dtype=np.float64)
        is_anchor = np.full(C, True)
    start = starting_alpha(config, inputs.sample_ids, seed)
    return reference.mix_features(
        embeddings,
        inputs.logits,
        inputs.head.weight,
        anchors,
        is_anchor,
        start,
        config.num_steps,
        config.step_size,
        config.penalty_weight,
    )


def check_choice(config, inputs, seed=0):
    """Candidates by rank first, then the smallest margins; returns how many of each."""
    query, _, info = acquire(auto_fm(config, num_classes=C), inputs, seed=seed)
    mixing = reference_of(config, inputs, seed)
    is_free = np.asarray(inputs.pool.labels) == UNLABELED
    assert mixing.clearance[is_free].min() > 1e-6, "rounding decides; choose another seed"
    is_candidate = np.isfinite(mixing.norm)
    chosen = picks(query)
    num_mixed = min(int(np.sum(is_candidate & is_free)), len(chosen))
    mixed, filled = chosen[:num_mixed], chosen[num_mixed:]

    score, sign = (mixing.norm, 1) if config.rank == "mixing_norm" else (mixing.loss_change, -1)
    assert_smallest_first(sign * score, mixed, is_free & is_candidate)
    np.testing.assert_allclose(info.score[:num_mixed], score[mixed], rtol=1e-5)
    log_odds = margin_log_odds(np.asarray(inputs.logits))
    assert_smallest_first(log_odds, filled, is_free & ~is_candidate)
    num_picks = len(chosen)
    np.testing.assert_allclose(info.score[num_mixed:num_picks], margin(np.asarray(inputs.logits))[filled], rtol=1e-5)
    np.testing.assert_array_equal(info.reason[:num_picks], [MIXING] * num_mixed + [MARGIN] * len(filled))
    assert info.num_fallback == len(filled)
    return num_mixed, len(filled)


@pytest.mark.parametrize("name", AUTO_FM)
@pytest.mark.parametrize("labels", ["every class labeled", "a class without labels"])
@pytest.mark.parametrize("weight_scale", [0.5, 1.0])
def test_the_smallest_mixes_come_first(name, labels, weight_scale):
    num_mixed = 0
    for seed in range(3):
        inputs = make_inputs(seed, labels, weight_scale=weight_scale, is_exact=False)
        num_mixed += check_choice(AUTO_FM[name], inputs, seed)[0]
    assert num_mixed > Q, "the pools must hold samples that flip"


@pytest.mark.parametrize("config", [HALF, AUTO_FM["auto_fm, loss_change, larger steps"]])
def test_a_shortfall_is_filled_by_the_smallest_margin(config):
    """A bias of one class over all others lets few predictions flip."""
    inputs = make_inputs(1, is_exact=False)
    favored = inputs.head.bias.at[0].add(jnp.asarray(6.0, jnp.float32))
    favored_logits = inputs.logits + (favored - inputs.head.bias)[None]
    inputs = inputs._replace(head=inputs.head._replace(bias=favored), logits=favored_logits)
    num_mixed, num_filled = check_choice(config, inputs)
    assert num_mixed > 0
    assert num_filled > 0


def test_without_any_label_there_is_nothing_to_mix_with():
    for config in (HALF, AUTO_FM["auto_fm, global_mean, no penalty"]):
        assert check_choice(config, make_inputs(2, "nothing labeled", is_exact=False)) == (0, Q)


def test_one_labeled_class_is_an_anchor_enough():
    num_mixed, _ = check_choice(HALF, make_inputs(2, "one class labeled", is_exact=False))
    assert num_mixed > 0


def test_a_missing_anchor_is_skipped_or_taken_from_all_labeled_samples():
    """Where the missing class stands at the mean of all labeled samples, more predictions flip, and by less."""
    inputs = make_inputs(3, "a class without labels", is_exact=False)
    skipped, taken = (
        reference_of(AutoFMConfig(alpha_init="half", missing_anchor=missing_anchor), inputs)
        for missing_anchor in ("skip", "global_mean")
    )
    assert np.any(taken.norm < skipped.norm)
    shown = [
        acquire(auto_fm(AutoFMConfig(alpha_init="half", missing_anchor=each), num_classes=C), inputs)
        for each in ("skip", "global_mean")
    ]
    for mixing, (query, _, info) in zip((skipped, taken), shown, strict=True):
        by_mixing = (info.reason == MIXING) & query.is_valid
        np.testing.assert_allclose(info.score[by_mixing], mixing.norm[query.indices[by_mixing]], rtol=1e-5)
        assert by_mixing.any()


def test_equal_mixes_go_by_margin():
    """Samples whose distance to the anchor grows with their lead flip at the same t; the smallest margin goes first."""
    inputs = make_inputs(4, "one class labeled")
    lead = (1 + np.random.default_rng(0).permutation(N)) / np.float32(64)
    is_labeled = np.asarray(inputs.pool.labels) >= 0
    embeddings = np.zeros((N, D), np.float32)
    embeddings[:, 0] = np.where(is_labeled, 0, 4 * lead)  # the anchor is the origin
    logits = np.full((N, C), -1000, np.float32)
    logits[:, 0], logits[:, 1] = lead, 0
    weight = np.zeros((D, C), np.float32)
    weight[0, 1] = -1
    inputs = inputs._replace(
        embeddings=jnp.asarray(embeddings),
        logits=jnp.asarray(logits),
        head=inputs.head._replace(weight=jnp.asarray(weight)),
    )
    config = AutoFMConfig(alpha_init="half", num_steps=0)
    query, _, info = acquire(auto_fm(config, num_classes=C), inputs)
    np.testing.assert_array_equal(info.score, 0.25)  # t = lead / (4·lead / 2), times mean α = 1/2
    is_free = np.asarray(inputs.pool.labels) == UNLABELED
    order = np.argsort(lead)
    np.testing.assert_array_equal(query.indices, order[is_free[order]][:Q])


def test_half_does_not_depend_on_the_seed_and_normal_does():
    inputs = make_inputs(5)
    for config, is_deterministic in ((HALF, True), (AutoFMConfig(), False)):
        scores = [acquire(auto_fm(config, num_classes=C), inputs, seed=seed)[2].score for seed in (0, 1)]
        assert np.array_equal(*scores) is is_deterministic
