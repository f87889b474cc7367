import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import balancing as reference

from jaxal.config import strategies as configs
from jaxal.kernels.masking import lowest
from jaxal.pool import EXCLUDED, UNLABELED, PoolState, Query, enter_labels, is_selectable
from jaxal.strategies import balanced as module
from jaxal.strategies.balanced import balanced
from jaxal.strategies.registry import make_strategy
from jaxal.strategies.strategy import AcquisitionInfo, AcquisitionInputs, Strategy, num_to_pick
from jaxal.typing import LinearHead

from .pools import acquire as acquire_afresh
from .pools import picks

N, D, C = 40, 3, 4
BUDGET = 20
BASES = {
    "entropy": configs.EntropyConfig(),
    "core_set": configs.CoreSetConfig(),
    "random": configs.RandomConfig(),
    "cb_dal": configs.CBDALConfig(auto_fm=configs.AutoFMConfig(alpha_init="half")),
}


def strategies(base, denominator="max"):
    """The balanced strategy and its base alone."""
    config = configs.BalancedConfig(base=BASES[base], denominator=denominator)
    return make_strategy(config, num_classes=C), make_strategy(BASES[base], num_classes=C)


def imbalanced(seed, num_labeled=14):
    """A pool of clusters, the classes' frequencies far apart; class 3 has no label yet. Returns (inputs, truth)."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(C, N, p=[0.55, 0.25, 0.15, 0.05]).astype(np.int32)
    embeddings = (1.5 * rng.normal(size=(C, D))[truth] + rng.normal(size=(N, D))).astype(np.float32)
    weight = rng.normal(size=(D, C)).astype(np.float32)
    labels = np.full(N, UNLABELED, np.int32)
    known = rng.permutation(np.flatnonzero(truth != 3))[:num_labeled]
    labels[known] = truth[known]
    labels[rng.permutation(np.flatnonzero(labels == UNLABELED))[:2]] = EXCLUDED
    pool = PoolState(jnp.asarray(labels), jnp.asarray(np.where(labels >= 0, 0, -1).astype(np.int32)), jnp.int32(2))
    inputs = AcquisitionInputs(
        pool=pool,
        embeddings=jnp.asarray(embeddings),
        sample_ids=jnp.asarray(rng.permutation(1000)[:N].astype(np.int32)),
        labels_left=jnp.asarray(BUDGET, jnp.int32),
        logits=jnp.asarray(embeddings @ weight),
        head=LinearHead(jnp.asarray(weight), jnp.zeros(C)),
    )
    return inputs, truth


@functools.partial(jax.jit, static_argnums=(0, 4))
def step(strategy, key, state, inputs, query_size):
    return strategy.acquire(key, state, inputs, query_size)


KEY = jax.random.key(5)


def base_list(base, inputs, budget=BUDGET):
    query, _, info = step(base, KEY, base.init(inputs), inputs._replace(labels_left=jnp.int32(budget)), BUDGET)
    return picks(jax.device_get(query)), np.asarray(info.score), np.asarray(info.reason)


def answers(rows, truth, size):
    """Labels of the rows, padded as a query is; everything for Query and enter_labels."""
    labels = np.full(size, UNLABELED, np.int32)
    labels[: len(rows)] = truth[rows]
    return jnp.asarray(labels)


def play(strategy, inputs, truth, piece, state=None, budget=BUDGET):
    """Ask the budget in pieces with feedback; yields (rows, info, state after, inputs after) of each."""
    state = strategy.init(inputs) if state is None else state
    inputs = inputs._replace(labels_left=jnp.int32(budget))
    while int(inputs.labels_left) > 0:
        query, state, info = step(strategy, KEY, state, inputs, piece)
        rows = np.asarray(query.indices)[np.asarray(query.is_valid)]
        if len(rows) == 0:
            return
        inputs = inputs._replace(
            pool=enter_labels(inputs.pool, query, answers(rows, truth, piece)),
            labels_left=inputs.labels_left - len(rows),
        )
        yield rows, jax.device_get(info), state, inputs


@pytest.mark.parametrize(
    ("base", "denominator", "piece"),
    [
        ("entropy", "max", 1),
        pytest.param("entropy", "max", 3, marks=pytest.mark.slow),
        ("entropy", "max", BUDGET),
        *(pytest.param("core_set", "none", piece, marks=pytest.mark.slow) for piece in (1, BUDGET)),
        pytest.param("cb_dal", "max", 1, marks=pytest.mark.slow),
    ],
)
def test_every_pick_is_that_of_the_loop_over_labels(base, denominator, piece):
    strategy, alone = strategies(base, denominator)
    switches = []
    for seed in range(6):
        inputs, truth = imbalanced(seed)
        listed, scores, why = base_list(alone, inputs)
        game = reference.Game(inputs.embeddings, inputs.pool.labels, C, listed, BUDGET, denominator)
        switched_at, num_picks = None, 0
        for rows, info, *_ in play(strategy, inputs, truth, piece):
            for place, row in enumerate(rows):
                wanted = game.pick()
                assert row == wanted.row, f"seed {seed}, pick {num_picks}"
                reason = strategy.reasons[info.reason[place]]
                if wanted.entry >= 0:
                    assert reason == f"{alone.name}.{alone.reasons[why[wanted.entry]]}"
                    np.testing.assert_array_equal(info.score[place], scores[wanted.entry])
                else:
                    assert reason == "balancing"
                    np.testing.assert_allclose(info.score[place], wanted.value, rtol=1e-5)
                    switched_at = num_picks if switched_at is None else switched_at
                num_picks += 1
            game.reveal(rows, truth[rows])
        assert num_picks == BUDGET
        assert switched_at == game.switched_at
        switches.append(switched_at)
    assert len(set(switches)) > 2
    assert any(at not in (None, 0) for at in switches), "switches in the middle"


def test_feedback_changes_the_choice():
    strategy, _ = strategies("entropy")
    different = 0
    for seed in range(6):
        inputs, truth = imbalanced(seed)
        together, singly = (
            np.concatenate([rows for rows, *_ in play(strategy, inputs, truth, piece)]) for piece in (BUDGET, 1)
        )
        different += together.tolist() != singly.tolist()
    assert different >= 3


@pytest.mark.slow
def test_a_call_that_cannot_return_the_whole_query_still_lists_it_whole():
    """Auto-FM takes the first half of CB-DAL's query; asked for one at a time it would take every one."""
    strategy, alone = strategies("cb_dal")
    inputs, truth = imbalanced(0)
    reasons = []
    for _, info, *_ in play(strategy, inputs, truth, 1):
        reasons.append(strategy.reasons[info.reason[0]])
        if reasons[-1] == "balancing":
            break
    _, _, why = base_list(alone, inputs)
    listed = [f"cb_dal.{alone.reasons[reason]}" for reason in why]
    assert len({reason.split(".")[1] for reason in listed}) == 2
    assert reasons[:-1] == listed[: len(reasons) - 1]


def counting():
    """A base that counts how often it was asked: the score of its picks; the last three of them are fallbacks."""

    def acquire(key, state, inputs, query_size):
        rows = jnp.arange(inputs.sample_ids.shape[0], dtype=jnp.int32)
        rotated = (rows + 7 * state) % rows.shape[0]
        num_wanted = num_to_pick(inputs, query_size)
        query = Query(*lowest((rotated,), is_selectable(inputs.pool), num_wanted, query_size))
        score = jnp.where(query.is_valid, state.astype(jnp.float32), jnp.nan)
        return query, state + 1, AcquisitionInfo(score, jnp.zeros_like(query.indices), jnp.minimum(num_wanted, 3))

    return Strategy("counting", frozenset(), ("first", "second"), lambda inputs: jnp.asarray(0, jnp.int32), acquire)


def with_counts(inputs, *counts):
    """The pool with the last rows labeled, so many of each class."""
    labels = np.full(N, UNLABELED, np.int32)
    labels[N - sum(counts) :] = np.repeat(np.arange(len(counts)), counts)
    return inputs._replace(pool=inputs.pool._replace(labels=jnp.asarray(labels)))


def asked(strategy, state, inputs, labels_left):
    """One pick; returns (reason, score, state)."""
    inputs = inputs._replace(labels_left=jnp.int32(labels_left))
    _, state, info = step(strategy, KEY, state, inputs, 1)
    return strategy.reasons[int(info.reason[0])], float(info.score[0]), state


def test_the_latch_holds_to_the_end_of_the_query_and_no_longer():
    strategy = balanced(counting(), denominator="max", num_classes=C)
    inputs, _ = imbalanced(0)
    reason, _, switched = asked(strategy, strategy.init(inputs), with_counts(inputs, 9, 1), 8)
    assert reason == "balancing", "8 ≤ 1·(9 - 1)"
    reason, _, state = asked(strategy, switched, with_counts(inputs, 9, 8), 7)
    assert reason == "balancing", "7 > 1·(9 - 8), but it stays true"
    reason, score, state = asked(strategy, state, with_counts(inputs, 9, 9), 6)
    assert (reason, score) == ("counting.first", 0), "nothing to even out: the list asked at first goes on"
    reason, _, state = asked(strategy, state, with_counts(inputs, 10, 9), 5)
    assert reason == "balancing"

    later = with_counts(inputs, 9, 8)
    later = later._replace(pool=later.pool._replace(round=later.pool.round + 1))
    assert asked(strategy, switched, later, 7)[:2] == ("counting.first", 1), "after a fit"
    for labels_left in (8, 6):
        again = asked(strategy, switched, with_counts(inputs, 9, 8), labels_left)
        assert again[:2] == ("counting.first", 1), "not what a query that goes on is given"


def test_the_base_is_asked_once_a_query_and_its_state_goes_on():
    strategy = balanced(counting(), denominator="max", num_classes=C)
    inputs, truth = with_counts(imbalanced(1)[0], 3, 3, 3), np.arange(N, dtype=np.int32) % 3
    state = strategy.init(inputs)
    for number in range(3):
        pieces = list(play(strategy, inputs, truth, 2, state, budget=5))
        assert [len(rows) for rows, *_ in pieces] == [2, 2, 1]
        assert {int(after.base) for *_, after, _ in pieces} == {number + 1}
        scores = np.concatenate([info.score[info.reason == 0] for _, info, *_ in pieces])
        assert set(scores[np.isfinite(scores)].tolist()) == {number}
        *_, state, inputs = pieces[-1]
        inputs = inputs._replace(pool=inputs.pool._replace(round=inputs.pool.round + 1))


def test_a_list_with_too_few_rows_left_is_asked_again_and_the_latch_stays():
    strategy = balanced(counting(), denominator="max", num_classes=C)
    inputs, _ = imbalanced(0)
    _, _, state = asked(strategy, strategy.init(inputs), with_counts(inputs, 9, 1), 8)
    even = with_counts(inputs, 9, 9)
    gone = even.pool.labels.at[:8].set(EXCLUDED)  # the whole list
    reason, score, state = asked(strategy, state, even._replace(pool=even.pool._replace(labels=gone)), 7)
    assert (reason, score) == ("counting.first", 1)
    reason, _, _ = asked(strategy, state, with_counts(inputs, 9, 8), 6)
    assert reason == "balancing"


def test_a_list_asked_again_is_taken_from_its_start():
    strategy = balanced(counting(), denominator="max", num_classes=C)
    inputs = with_counts(imbalanced(0)[0], 3, 3)._replace(labels_left=jnp.int32(8))
    first, state, _ = step(strategy, KEY, strategy.init(inputs), inputs, 1)
    assert picks(jax.device_get(first)).tolist() == [0]
    gone = inputs.pool._replace(labels=inputs.pool.labels.at[:8].set(EXCLUDED))
    again, _, _ = step(strategy, KEY, state, inputs._replace(pool=gone, labels_left=jnp.int32(7)), 1)
    assert picks(jax.device_get(again)).tolist() == [33], "where the base, asked for the second time, begins"


def test_long_queries_are_listed_in_parts(monkeypatch):
    monkeypatch.setattr(module, "MOST_LISTED", 4)
    strategy = balanced(counting(), denominator="max", num_classes=C)
    inputs = with_counts(imbalanced(0)[0], 2, 2)
    state, told = strategy.init(inputs), []
    for number in range(10):
        labels = jnp.where(jnp.arange(N) < 4 + 2 * (number // 2), jnp.arange(N) % 2, UNLABELED).astype(jnp.int32)
        reason, score, state = asked(
            strategy, state, inputs._replace(pool=inputs.pool._replace(labels=labels)), 30 - number
        )
        assert reason == "counting.first"
        told.append(score)
    assert told == sorted(told)
    assert len(set(told)) > 2


@pytest.mark.parametrize("piece", [1, BUDGET])
def test_fallbacks_are_counted_where_they_are_used(piece):
    base = counting()
    strategy = balanced(base, denominator="max", num_classes=C)
    inputs, truth = imbalanced(3)
    listed, *_ = base_list(base, inputs)
    used = 0
    for rows, info, *_ in play(strategy, inputs, truth, piece):
        is_listed = info.reason[: len(rows)] < len(base.reasons)
        assert info.num_fallback == np.isin(rows[is_listed], listed[-3:]).sum()
        used += is_listed.sum()
    assert 0 < used < BUDGET
    nothing_known = with_counts(inputs)
    query, _, info = acquire_afresh(strategy, nothing_known._replace(labels_left=jnp.int32(5)), query_size=BUDGET)
    assert len(picks(query)) == 5
    assert info.num_fallback == 3


@pytest.mark.parametrize("counts", [(), (6,), (0, 6), (3, 3), (2, 2, 2)])
def test_without_an_over_represented_class_the_base_chooses_alone(counts):
    strategy, alone = strategies("entropy")
    inputs = with_counts(imbalanced(2)[0], *counts)._replace(labels_left=jnp.int32(1))
    query, _, info = acquire_afresh(strategy, inputs, query_size=1)
    expected, _, told = acquire_afresh(alone, inputs, query_size=1)
    np.testing.assert_array_equal(query.indices, expected.indices)
    np.testing.assert_array_equal(info.score, told.score)
    assert info.reason[0] == 0


def test_the_state_keeps_its_shapes():
    strategy, _ = strategies("cb_dal")
    inputs, _ = imbalanced(0)
    before = strategy.init(inputs)
    for query_size in (0, 1, BUDGET, N + 7):
        _, after, _ = jax.eval_shape(
            lambda key, *given, size=query_size: strategy.acquire(key, *given, size), KEY, before, inputs
        )
        kinds = [jax.tree.map(lambda array: (array.shape, array.dtype), state) for state in (before, after)]
        assert kinds[0] == kinds[1]


def test_it_composes_with_itself_and_in_stages():
    inner = configs.BalancedConfig(base=configs.EntropyConfig())
    inputs, _ = imbalanced(0)
    twice = make_strategy(configs.BalancedConfig(base=inner), num_classes=C)
    assert twice.needs == {"logits"}
    assert twice.reasons == ("balanced(entropy).entropy.entropy", "balanced(entropy).balancing", "balancing")
    stages = (
        configs.StageConfig(strategy=configs.CoreSetConfig(), share=0.5),
        configs.StageConfig(strategy=inner, share=0.5),
    )
    for strategy in (twice, make_strategy(configs.BudgetSplitConfig(stages=stages), num_classes=C)):
        query, _, info = acquire_afresh(strategy, inputs, query_size=BUDGET)
        assert len(set(picks(query).tolist())) == BUDGET
        assert any(strategy.reasons[reason].endswith("balancing") for reason in info.reason)
