"""`jaxal.select`: acquisition alone, for a model trained anywhere."""

import inspect
import itertools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from select_pools import C, N, Q, U, X, only, pool_arrays, select

import jaxal
from jaxal.acquisition import Selection, select_with_reasons
from jaxal.config import strategies as configs
from jaxal.config.strategy_table import STRATEGIES
from jaxal.errors import InputError, SelectionWarning
from jaxal.kernels import cached_blocks
from jaxal.kernels.blocks import DEFAULT_BLOCK_BYTES, block_budget, rows_per_block
from jaxal.pool import new_pool
from jaxal.strategies.registry import make_strategy
from jaxal.strategies.strategy import AcquisitionInputs
from jaxal.typing import LinearHead

NAMES = [
    *("random", "entropy", "margin", "least_confidence", "bald", "batch_bald", "core_set", "badge", "alfa_mix"),
    *("auto_fm", "mpps", "cb_dal", "diversified_entropy", "diversified_margin", "diversified_least_confidence"),
    "typiclust",
]


def test_the_signature_is_the_contract():
    parameters = inspect.signature(jaxal.select).parameters
    assert list(parameters) == [
        *("strategy", "embeddings", "labels", "budget", "num_classes", "logits", "head", "mc_logits", "source_logits"),
        *("sample_ids", "seed", "memory", "devices"),
    ]
    assert {each.kind.name for name, each in parameters.items() if name != "strategy"} == {"KEYWORD_ONLY"}
    needed = [name for name, each in parameters.items() if each.default is inspect.Parameter.empty]
    assert needed == ["strategy", "embeddings", "labels", "budget"]
    assert parameters["strategy"].annotation == str | dict | configs.StrategyConfig
    assert parameters["seed"].default == 0
    assert inspect.signature(select_with_reasons).parameters == parameters


# What it gives

BY_NAME = {name: configs_type.config() for name, configs_type in STRATEGIES.items() if name in NAMES}


# A third of them: each is compiled anew, as in the tests of strategies; -m slow has the others.
@pytest.mark.parametrize(
    "name", [name if place % 3 == 0 else pytest.param(name, marks=pytest.mark.slow) for place, name in enumerate(NAMES)]
)
def test_every_strategy_selects_with_only_what_it_needs(name):
    arrays = pool_arrays(1)
    needs = STRATEGIES[name].needs
    given = only(arrays, *needs)
    picks = select(name, num_classes=C, seed=3, **given)
    assert picks.dtype == np.int64
    assert picks.shape == (Q,)
    assert len(set(picks.tolist())) == Q
    assert set(arrays["labels"][picks]) == {U}
    np.testing.assert_array_equal(select(BY_NAME[name], num_classes=C, seed=3, **given), picks)
    if "head" in needs or "logits" in needs:  # logits follow from the head
        derived = only(arrays, *({"head", *needs} - {"logits"}))
        np.testing.assert_array_equal(select(name, seed=3, **derived), picks)


def direct(config, arrays, seed, budget, ids):
    """The same query by calling the strategy itself."""
    strategy = make_strategy(config, num_classes=C)
    inputs = AcquisitionInputs(
        pool=new_pool(jnp.asarray(arrays["labels"], jnp.int32)),
        embeddings=jnp.asarray(arrays["embeddings"]),
        sample_ids=jnp.asarray(ids, jnp.int32),
        labels_left=jnp.asarray(budget, jnp.int32),
        logits=jnp.asarray(arrays["logits"]),
        head=LinearHead(*map(jnp.asarray, arrays["head"])),
        mc_logits=jnp.asarray(arrays["mc_logits"]),
        source_logits=jnp.asarray(arrays["source_logits"]),
    )
    assert int(inputs.pool.round) == 0
    query, _, info = jax.jit(strategy.acquire, static_argnums=3)(
        jax.random.key(seed), strategy.init(inputs), inputs, budget
    )
    is_valid = np.asarray(query.is_valid)
    reasons = tuple(strategy.reasons[reason] for reason in np.asarray(info.reason)[is_valid])
    return Selection(np.asarray(query.indices)[is_valid], np.asarray(info.score)[is_valid], reasons, info.num_fallback)


@pytest.mark.parametrize(
    "config",
    [
        configs.RandomConfig(),
        configs.CoreSetConfig(),
        configs.CBDALConfig(),
        configs.BudgetSplitConfig(
            stages=(
                configs.StageConfig(strategy=configs.EntropyConfig(), share=0.4),
                configs.StageConfig(strategy=configs.RandomConfig(), share=0.6),
            )
        ),
    ],
    ids=lambda config: config.__struct_config__.tag,
)
def test_a_selection_is_what_the_strategy_itself_acquires(config):
    arrays = pool_arrays(2)
    ids = np.random.default_rng(2).choice(10**6, N, replace=False)
    for seed in (0, 5, 2**32 - 1):
        expected = direct(config, arrays, seed, Q, ids)
        found = select_with_reasons(config, budget=Q, seed=seed, sample_ids=ids, **arrays)
        np.testing.assert_array_equal(found.indices, expected.indices)
        np.testing.assert_array_equal(found.scores, expected.scores)
        assert found.reasons == expected.reasons
        assert found.num_fallback == expected.num_fallback == 0
        np.testing.assert_array_equal(select(config, seed=seed, sample_ids=ids, **arrays), found.indices)


def test_a_table_a_name_and_a_config_are_the_same_strategy():
    arrays = pool_arrays(3)
    expected = select(configs.MPPSConfig(normalize="l2"), **arrays)
    np.testing.assert_array_equal(select({"kind": "mpps", "normalize": "l2"}, **arrays), expected)
    table = {"kind": "budget_split", "stages": [{"strategy": "entropy", "share": 1}]}
    np.testing.assert_array_equal(select(table, **arrays), select("entropy", **arrays))
    nested = {"kind": "balanced", "base": {"kind": "entropy"}}
    np.testing.assert_array_equal(select("balanced(entropy)", **arrays), select(nested, **arrays))


def test_scores_and_reasons_stand_beside_the_picks():
    arrays = pool_arrays(4)
    found = select_with_reasons("entropy", budget=Q, **arrays)
    logits = arrays["logits"].astype(np.float64)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(found.scores, -(p * np.log(p)).sum(1)[found.indices], rtol=1e-5)
    assert np.all(np.diff(found.scores) <= 0)
    assert found.reasons == ("entropy",) * Q
    by_chance = select_with_reasons("random", budget=Q, **arrays)
    assert np.all(np.isnan(by_chance.scores))
    both = select_with_reasons("cb_dal", budget=5, **arrays)
    assert [reason.partition(".")[0] for reason in both.reasons] == ["auto_fm"] * 3 + ["mpps"] * 2


def test_the_caller_s_precision_changes_nothing():
    arrays = pool_arrays(15)
    expected = [select(strategy, **arrays) for strategy in ("random", "mpps")]
    with jax.enable_x64(True):
        wide = {name: jax.tree.map(lambda each: jnp.asarray(each.astype(np.float64)), arrays[name]) for name in arrays}
        wide["labels"] = jnp.asarray(arrays["labels"])
        assert wide["embeddings"].dtype == np.float64
        assert wide["labels"].dtype == np.int64
        for strategy, picks in zip(("random", "mpps"), expected, strict=True):
            np.testing.assert_array_equal(select(strategy, **wide), picks)
        beyond = wide["embeddings"].at[30].set(1e39)
        with pytest.raises(InputError, match=r"^embeddings: 1 of 60 rows hold NaN or infinity \(or numbers beyond"):
            select("random", **{**wide, "embeddings": beyond})


def test_seeds_draw_differently_and_each_always_the_same():
    arrays = only(pool_arrays(), "head")
    picks = [tuple(select("random", seed=seed, **arrays)) for seed in (0, 1, 2, 0, np.int64(1))]
    assert len(set(picks[:3])) == 3
    assert picks[3:] == picks[:2]


def test_a_budget_beyond_the_unlabeled_takes_them_all_and_warns():
    arrays = pool_arrays()
    with pytest.warns(SelectionWarning, match=r"^budget: 1000 asked for, but only 48 are unlabeled") as caught:
        picks = jaxal.select("entropy", budget=1000, **arrays)
    assert len(caught) == 1
    assert caught[0].filename == __file__  # it points to who called, not into the package
    np.testing.assert_array_equal(np.sort(picks), np.flatnonzero(arrays["labels"] == U))
    np.testing.assert_array_equal(select("entropy", budget=48, **arrays), picks)
    with pytest.warns(SelectionWarning, match=r"^budget: "):
        np.testing.assert_array_equal(select("entropy", budget=2**70, **arrays), picks)


def test_fallbacks_warn_with_their_number():
    arrays = pool_arrays()
    arrays["labels"] = np.where(arrays["labels"] == 2, U, arrays["labels"])
    with pytest.warns(
        SelectionWarning, match=r"^strategy: 6 of 6 picks could not be made by mpps's own rule .*\(6 by k_center\)"
    ):
        found = select_with_reasons("mpps", budget=Q, **only(arrays, "head"))
    assert found.num_fallback == Q
    assert found.reasons == ("k_center",) * Q


@pytest.mark.slow
def test_the_number_of_classes_comes_from_the_first_that_tells_it():
    arrays = pool_arrays()
    arrays["labels"] = np.where(arrays["labels"] == 2, U, arrays["labels"])  # class 2 is known to the model alone
    with pytest.warns(SelectionWarning, match="k_center"):  # mpps sees the class without a label
        expected = select("mpps", num_classes=C, **only(arrays))
    for name in ("head", "logits", "mc_logits"):
        with pytest.warns(SelectionWarning, match="k_center"):
            np.testing.assert_array_equal(select("mpps", **only(arrays, name)), expected)
    with pytest.warns(SelectionWarning, match=r"^num_classes: not given, taken to be 2 \(the largest label is 1\)"):
        np.testing.assert_array_equal(select("mpps", **only(arrays)), select("mpps", num_classes=2, **only(arrays)))
    arrays["labels"] = np.full(N, U)
    with pytest.warns(SelectionWarning, match=r"taken to be 2 \(nothing is labeled\)"):
        assert len(select("core_set", **only(arrays))) == Q


def test_source_logits_give_way_to_the_model_s_own_with_a_warning():
    arrays = pool_arrays()
    own = select("diversified_entropy", **only(arrays, "head"), source_logits=arrays["logits"])
    for name in ("logits", "head"):
        with pytest.warns(
            SelectionWarning, match=r"^source_logits: not given; diversified_entropy uses the model's own"
        ):
            np.testing.assert_array_equal(select("diversified_entropy", **only(arrays, name)), own)


def test_rows_that_are_never_asked_may_hold_anything():
    arrays = pool_arrays(6)
    ids = np.arange(N)
    expected = select("cb_dal", **arrays)
    is_excluded = arrays["labels"] == X
    for garbage, repeated in itertools.product((np.nan, np.inf, 1e300), (0, -1)):
        spoiled = {
            name: np.where(is_excluded.reshape(-1, 1), garbage, arrays[name].astype(np.float64))
            for name in ("embeddings", "logits", "mc_logits", "source_logits")
        }
        some_ids = np.where(is_excluded, repeated, ids)
        given = {**arrays, **spoiled, "sample_ids": some_ids}
        np.testing.assert_array_equal(select("cb_dal", **given), expected)
        given.pop("logits")
        np.testing.assert_array_equal(select("cb_dal", **given), expected)


def test_memory_sets_the_blocks_and_changes_no_pick(monkeypatch):
    seen = []

    def spying(*arguments):
        seen.append(rows_per_block(*arguments))
        return seen[-1]

    monkeypatch.setattr(cached_blocks, "rows_per_block", spying)
    arrays = pool_arrays(11)
    config = configs.AutoFMConfig(num_steps=1, step_size=0.123)
    expected = select(config, **arrays)
    assert set(seen) == {N}
    seen.clear()
    # What is compiled for one budget must not be used for another.
    np.testing.assert_array_equal(select(config, memory=np.int32(400), **arrays), expected)
    assert 1 <= min(seen) < 8


def test_the_budget_of_blocks_is_that_of_the_innermost_that_sets_one():
    assert rows_per_block(2**20, 1000) == DEFAULT_BLOCK_BYTES // 2**20
    with block_budget(5 * 2**20):
        assert rows_per_block(2**20, 1000) == 4
        assert rows_per_block(2**20, 1000, 2**20) == 1
        with block_budget(None):
            assert rows_per_block(2**20, 1000) == 4
        with block_budget(1):
            assert rows_per_block(2**20, 1000) == 1
    assert rows_per_block(2**20, 1000) == DEFAULT_BLOCK_BYTES // 2**20


def test_a_second_selection_compiles_nothing():
    compiled = []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    first, second = pool_arrays(13), pool_arrays(14)
    select("cb_dal", **first)
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        select("cb_dal", seed=9, **second)
        assert not compiled
        jax.jit(lambda x: x * 3 + 1)(jnp.arange(3)).block_until_ready()
        assert compiled, "the listener hears compilations"
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def test_nothing_is_warned_of_when_nothing_was_assumed():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        select("cb_dal", **pool_arrays())


def test_the_arguments_are_left_as_they_were():
    arrays, before = pool_arrays(), pool_arrays()
    table = {"kind": "balanced", "base": "entropy"}
    select(table, **arrays)
    assert table == {"kind": "balanced", "base": "entropy"}
    for name, array in arrays.items():
        for one, other in zip(jax.tree.leaves(array), jax.tree.leaves(before[name]), strict=True):
            np.testing.assert_array_equal(one, other)
