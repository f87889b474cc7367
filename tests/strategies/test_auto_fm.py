import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels.content import examples, kinds, seeds
from reference.k_center import k_center as reference_k_center
from reference.uncertainty import margin, margin_log_odds

from jaxal.config.strategies import AutoFMConfig
from jaxal.pool import UNLABELED
from jaxal.strategies.auto_fm import auto_fm

from .content_pools import LABELINGS, content_pool
from .greedy import assert_smallest_first
from .mixing_references import expected_of
from .pools import C, D, N, Q, acquire, make_inputs, picks
from .variants import AUTO_FM

MIXING, MARGIN = range(2)
HALF = AutoFMConfig(alpha_init="half")
CLOSED_FORM, FIXED = AutoFMConfig(alpha="closed_form"), AutoFMConfig(alpha="fixed")
BY_RANK = {name: config for name, config in AUTO_FM.items() if config.diversify == "none"} | {
    "auto_fm, closed_form, loss_change": AutoFMConfig(alpha="closed_form", rank="loss_change"),
    "auto_fm, fixed, loss_change": AutoFMConfig(alpha="fixed", rank="loss_change"),
}


def ascending_of(config, expected, log_odds):
    """What candidates are ordered by, the smallest first."""
    if config.rank == "loss_change":
        return -expected.loss_change
    return log_odds if config.alpha == "fixed" else expected.norm


def check_choice(config, inputs, seed=0, query_size=Q):
    """Candidates by rank first, then the smallest margins; returns how many of each."""
    query, _, info = acquire(
        auto_fm(config, num_classes=inputs.logits.shape[1]), inputs, seed=seed, query_size=query_size
    )
    expected = expected_of(config, inputs, seed)
    log_odds, margins = margin_log_odds(np.asarray(inputs.logits)), margin(np.asarray(inputs.logits))
    is_free = np.asarray(inputs.pool.labels) == UNLABELED
    assert np.all(expected.clearance[is_free] > 1e-6), "rounding decides; choose another seed"
    is_candidate = np.isfinite(expected.norm)
    chosen = picks(query)
    assert len(chosen) == min(query_size, is_free.sum())
    num_mixed = min(int(np.sum(is_candidate & is_free)), len(chosen))
    mixed, filled = chosen[:num_mixed], chosen[num_mixed:]

    assert_smallest_first(ascending_of(config, expected, log_odds), mixed, is_free & is_candidate)
    score = expected.norm if config.rank == "mixing_norm" else expected.loss_change
    np.testing.assert_allclose(info.score[:num_mixed], score[mixed], rtol=1e-5)
    assert_smallest_first(log_odds, filled, is_free & ~is_candidate)
    num_picks = len(chosen)
    np.testing.assert_allclose(info.score[num_mixed:num_picks], margins[filled], rtol=1e-5)
    np.testing.assert_array_equal(info.reason[:num_picks], [MIXING] * num_mixed + [MARGIN] * len(filled))
    assert info.num_fallback == len(filled)
    return num_mixed, len(filled)


@pytest.mark.parametrize("name", BY_RANK)
@pytest.mark.parametrize("labels", ["every class labeled", "a class without labels"])
@pytest.mark.parametrize("weight_scale", [0.5, 1.0])
def test_the_smallest_mixes_come_first(name, labels, weight_scale):
    num_mixed = 0
    for seed in range(3):
        inputs = make_inputs(seed, labels, weight_scale=weight_scale, is_exact=False)
        num_mixed += check_choice(BY_RANK[name], inputs, seed)[0]
    assert num_mixed > Q, "the pools must hold samples that flip"


@pytest.mark.parametrize("config", [HALF, FIXED, AUTO_FM["auto_fm, loss_change, larger steps"]])
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
    for config in (HALF, CLOSED_FORM, FIXED, AUTO_FM["auto_fm, global_mean, no penalty"]):
        assert check_choice(config, make_inputs(2, "nothing labeled", is_exact=False)) == (0, Q)


def test_one_labeled_class_is_an_anchor_enough():
    num_mixed, _ = check_choice(HALF, make_inputs(2, "one class labeled", is_exact=False))
    assert num_mixed > 0


def test_a_missing_anchor_is_skipped_or_taken_from_all_labeled_samples():
    """Where the missing class stands at the mean of all labeled samples, more predictions flip, and by less."""
    inputs = make_inputs(3, "a class without labels", is_exact=False)
    skipped, taken = (
        expected_of(AutoFMConfig(alpha_init="half", missing_anchor=missing_anchor), inputs)
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


DETERMINISTIC = {
    "half": HALF,
    "half, loss_change": AutoFMConfig(alpha_init="half", rank="loss_change"),
    "closed_form": AutoFMConfig(alpha="closed_form", missing_anchor="global_mean"),
    "closed_form, loss_change": BY_RANK["auto_fm, closed_form, loss_change"],
    "fixed": FIXED,
    "fixed, loss_change": BY_RANK["auto_fm, fixed, loss_change"],
}


def check_best_at_each_step(config, inputs, query_size):
    """Each pick is within 1e-5 of the best left; samples at which rounding may decide are not judged."""
    query, _, _ = acquire(auto_fm(config, num_classes=inputs.logits.shape[1]), inputs, query_size=query_size)
    expected = expected_of(config, inputs)
    log_odds = margin_log_odds(np.asarray(inputs.logits))
    ascending = ascending_of(config, expected, log_odds)
    is_clear, is_candidate = expected.clearance > 1e-5, np.isfinite(expected.norm)
    free = np.asarray(inputs.pool.labels) == UNLABELED
    scale = np.abs(ascending[free & is_candidate]).max(initial=0) if config.rank == "loss_change" else 0
    for row in picks(query):
        assert free[row]
        judged = free & is_clear
        if is_clear[row]:
            assert is_candidate[row] or not np.any(is_candidate & judged)
            values = ascending if is_candidate[row] else log_odds
            best = values[judged & (is_candidate == is_candidate[row])].min()
            # A loss change is a sum of products that may cancel.
            assert values[row] <= best + 1e-5 * abs(best) + 1e-6 * scale
        free[row] = False
    return np.mean(is_clear)


@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize(
    ("num_rows", "dim", "num_classes", "query_size", "num_examples"), [(1, 3, 2, 1, 10), (31, 5, 10, 9, 30)]
)
def test_on_unseen_pools_each_pick_is_the_best(name, num_rows, dim, num_classes, query_size, num_examples):
    @examples(num_examples)
    @given(seed=seeds, kind=kinds, labeling=st.sampled_from(LABELINGS), weight_scale=st.sampled_from([0.1, 1.0, 1e3]))
    def check(seed, kind, labeling, weight_scale):
        inputs = content_pool(seed, kind, labeling, num_rows, dim, num_classes, query_size, weight_scale)
        check_best_at_each_step(DETERMINISTIC[name], inputs, query_size)

    check()


@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize("kind", ["normal", "clustered"])
def test_on_a_large_unseen_pool_each_pick_is_the_best(name, kind):
    inputs = content_pool(7, kind, "an empty class", 1500, 6, 3, 40)
    assert check_best_at_each_step(DETERMINISTIC[name], inputs, 40) > 0.9


@pytest.mark.parametrize("config", [config for config in BY_RANK.values() if config.rank == "loss_change"])
def test_changes_too_small_for_float32_keep_their_order(config):
    """At logit gaps of hundreds the change is 1e-50 or 1e-200: no float32, but float64 tells them apart."""
    inputs = content_pool(3, "normal", "every class", 300, 5, 4, 200, weight_scale=40.0)
    query, _, info = acquire(auto_fm(config, num_classes=4), inputs, query_size=200)
    expected = expected_of(config, inputs)
    is_clear = (expected.clearance > 1e-3) & (np.asarray(inputs.pool.labels) == UNLABELED)
    chosen = picks(query)
    mixed = [row for row in chosen if is_clear[row] and np.isfinite(expected.norm[row])]
    changes = expected.loss_change[mixed]
    is_tiny = (np.abs(changes) < 1e-45) & (changes != 0)
    assert is_tiny.sum() > 10
    # Logarithms in the hundreds are off by 3e-5 in float32.
    assert np.all(np.diff(changes) <= 1e-3 * np.abs(changes[1:]))
    np.testing.assert_allclose(info.score[: len(chosen)][np.isin(chosen, np.array(mixed)[is_tiny])], 0, atol=1e-37)


def test_changes_of_nothing_tie_and_go_by_margin():
    """A penalty that drives every α from a half to 0, in five steps of 0.1, leaves no residue to order by."""
    config = AutoFMConfig(alpha_init="half", rank="loss_change", penalty_weight=1e6)
    inputs = make_inputs(0, labels_left=N, is_exact=False)
    query, _, info = acquire(auto_fm(config, num_classes=C), inputs, query_size=N)
    by_mixing = picks(query)[info.reason[query.is_valid] == MIXING]
    assert len(by_mixing) > 3
    np.testing.assert_array_equal(info.score[: len(by_mixing)], 0)
    log_odds = margin_log_odds(np.asarray(inputs.logits))[by_mixing]
    assert np.all(np.diff(log_odds) > 0)


def test_fixed_alphas_order_candidates_by_margin_whichever_scalar_flips_them():
    inputs = make_inputs(3, is_exact=False)
    query, _, info = acquire(auto_fm(FIXED, num_classes=C), inputs)
    margins = margin(np.asarray(inputs.logits))[query.indices]
    assert np.all(np.diff(margins) > 0)
    assert np.any(np.diff(info.score) < 0), "the pool must hold a smaller scalar behind a larger one"
    assert set(info.score.tolist()) <= set(np.float32(FIXED.fixed_alphas).tolist())


@pytest.mark.parametrize(
    ("config", "ignored"),
    [
        (
            CLOSED_FORM,
            AutoFMConfig(alpha="closed_form", alpha_init="half", num_steps=0, step_size=1.0, penalty_weight=9),
        ),
        (FIXED, AutoFMConfig(alpha="fixed", alpha_init="half", num_steps=0, step_size=1.0, penalty_weight=9)),
        (FIXED, AutoFMConfig(alpha="fixed", fixed_alphas=FIXED.fixed_alphas[::-1])),
    ],
)
def test_options_of_another_alpha_change_nothing(config, ignored):
    inputs = make_inputs(4)
    chosen = [acquire(auto_fm(each, num_classes=C), inputs, seed=seed) for seed, each in enumerate((config, ignored))]
    np.testing.assert_array_equal(chosen[0][0].indices, chosen[1][0].indices)
    np.testing.assert_array_equal(chosen[0][2].score, chosen[1][2].score)


def ranked_rows(config, inputs):
    """(free candidates, the other free rows), each from the best rank to the worst."""
    expected = expected_of(config, inputs)
    log_odds = margin_log_odds(np.asarray(inputs.logits))
    ascending, is_candidate = ascending_of(config, expected, log_odds), np.isfinite(expected.norm)
    free = np.flatnonzero(np.asarray(inputs.pool.labels) == UNLABELED)
    candidates = sorted(free[is_candidate[free]], key=lambda row: (ascending[row], log_odds[row], row))
    return candidates, sorted(free[~is_candidate[free]], key=lambda row: (log_odds[row], row))


@pytest.mark.parametrize("labels", ["every class labeled", "one class labeled", "nothing labeled"])
@pytest.mark.parametrize("seed", range(4))
def test_k_center_spreads_the_best_candidates_and_rank_fills_the_rest(labels, seed):
    config = AUTO_FM["auto_fm, half, k_center"]
    inputs = make_inputs(seed, labels, labels_left=4, is_exact=False)
    query, _, info = acquire(auto_fm(config, num_classes=C), inputs, seed=seed)
    candidates, others = ranked_rows(config, inputs)
    spread = candidates[: 4 * config.candidates_per_pick]
    chosen = picks(query).tolist()
    num_spread = min(4, len(spread))
    known = np.asarray(inputs.pool.labels)
    greedy = reference_k_center(
        inputs.embeddings, known >= 0, np.isin(np.arange(N), spread), np.zeros(N), num_spread, follow=chosen
    )
    np.testing.assert_allclose(greedy.distance, greedy.best, rtol=1e-5)
    left = [row for row in candidates + others if row not in chosen[:num_spread]]
    assert chosen[num_spread:] == left[: 4 - num_spread]
    np.testing.assert_array_equal(info.reason[:4], [MIXING if row in candidates else MARGIN for row in chosen])
    assert info.num_fallback == sum(row in others for row in chosen)


def pool_in_places(num_places):
    """Every sample near one of a few places far apart in dimensions that the head does not see; some mix flips all."""
    inputs = make_inputs(5, is_exact=False)
    is_free = np.asarray(inputs.pool.labels) == UNLABELED
    place = np.cumsum(is_free) % num_places
    rng = np.random.default_rng(5)
    embeddings = 0.1 * rng.normal(size=(N, D))
    embeddings[:, 2:] += 50 * rng.normal(size=(num_places, D - 2))[place]
    weight = np.asarray(inputs.head.weight).copy()
    weight[2:] = 0
    logits = (embeddings @ weight + np.asarray(inputs.head.bias)).astype(np.float32)
    return inputs._replace(
        embeddings=jnp.asarray(embeddings.astype(np.float32)),
        logits=jnp.asarray(logits),
        head=inputs.head._replace(weight=jnp.asarray(weight)),
    ), place


def test_k_means_takes_the_candidate_nearest_the_middle_of_each_cluster():
    num_places = 4  # three samples or four at each
    inputs, place = pool_in_places(num_places)
    inputs = inputs._replace(labels_left=jnp.asarray(num_places, jnp.int32))
    config = AutoFMConfig(alpha="closed_form", diversify="k_means")
    candidates, others = ranked_rows(config, inputs)
    assert not others
    query, _, info = acquire(auto_fm(config, num_classes=C), inputs)
    embeddings, labels = np.asarray(inputs.embeddings, np.float64), np.asarray(inputs.pool.labels)
    nearest = []
    for each in range(num_places):
        members = np.flatnonzero((place == each) & (labels == UNLABELED))
        distances = np.linalg.norm(embeddings[members] - embeddings[members].mean(axis=0), axis=1)
        nearest.append(members[np.argmin(distances)])
    assert picks(query).tolist() == sorted(nearest, key=candidates.index), "ordered by rank"
    alone, _, _ = acquire(auto_fm(CLOSED_FORM, num_classes=C), inputs)
    assert len(set(place[picks(alone)])) < num_places, "by rank alone some places are asked twice"
    assert info.num_fallback == 0


@pytest.mark.slow
def test_only_the_best_candidates_are_spread():
    inputs, _ = pool_in_places(Q)
    for diversify in ("k_means", "k_center"):
        config = AutoFMConfig(alpha="closed_form", diversify=diversify, candidates_per_pick=1)
        candidates, _ = ranked_rows(config, inputs)
        query, _, _ = acquire(auto_fm(config, num_classes=C), inputs)
        assert set(query.indices.tolist()) == set(candidates[:Q])


def test_clusters_left_empty_by_coinciding_samples_are_filled_by_rank():
    inputs, place = pool_in_places(Q // 2)
    is_free = np.asarray(inputs.pool.labels) == UNLABELED
    first = np.array([np.flatnonzero(is_free & (place == each))[0] for each in place])
    embeddings = jnp.where(is_free[:, None], inputs.embeddings[first], inputs.embeddings)
    logits = jnp.where(is_free[:, None], inputs.logits[first], inputs.logits)
    inputs = inputs._replace(embeddings=embeddings, logits=logits)
    config = AutoFMConfig(alpha="closed_form", diversify="k_means")
    candidates, _ = ranked_rows(config, inputs)
    query, _, info = acquire(auto_fm(config, num_classes=C), inputs)
    one_each = sorted(set(first[is_free]), key=candidates.index)
    assert query.indices.tolist() == one_each + [row for row in candidates if row not in one_each][: Q // 2]
    np.testing.assert_array_equal(info.reason, MIXING)
    assert info.num_fallback == 0
