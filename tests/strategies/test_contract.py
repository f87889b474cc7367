"""What every strategy of the table owes its caller, whatever its rule is."""

import typing

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from jaxal.config.strategies import AutoFMConfig, BalancedConfig, BudgetSplitConfig, MPPSConfig
from jaxal.config.strategy_table import STRATEGIES
from jaxal.errors import InputError
from jaxal.pool import EXCLUDED, UNLABELED, PoolState
from jaxal.strategies.inputs import check_inputs
from jaxal.strategies.registry import make_strategy
from jaxal.strategies.strategy import AcquisitionInputs

from .pools import LABELS, NUM_PADDING, C, D, N, Q, acquire, make_inputs, padded, picks, with_garbage, with_rows
from .variants import VARIANTS, each_variant, few_variants

every_strategy = pytest.mark.parametrize("name", each_variant())
OPTIONAL = ("logits", "head", "mc_logits", "source_logits")
# Where all samples are equal no mix flips any of them: ALFA-Mix has no candidate and by definition fills by chance.
# BADGE opens with the lowest row, of which all others are duplicates: those it draws uniformly.
BY_CHANCE = {"random", "budget_split, two stages", "alfa_mix", "alfa_mix, finer caps", "alfa_mix, fixed", "badge"}
COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"


def strategy_of(name):
    return make_strategy(VARIANTS[name], num_classes=C)


def is_random_at(strategy, info):
    """Which picks a stage made by chance, and so without a score."""
    return np.array([reason.endswith("random") for reason in strategy.reasons])[info.reason]


def check_query(strategy, inputs, query, state, info, query_size):
    """The contract of Query and AcquisitionInfo, for one query."""
    labels = np.asarray(inputs.pool.labels)
    num_rows, num_left = len(labels), int(inputs.labels_left)
    num_picks = min(query_size, num_left, int(np.sum(labels == UNLABELED)))
    chosen = picks(query)

    assert query.indices.shape == query.is_valid.shape == info.score.shape == info.reason.shape == (query_size,)
    assert query.indices.dtype == info.reason.dtype == info.num_fallback.dtype == np.int32
    np.testing.assert_array_equal(query.is_valid, np.arange(query_size) < num_picks)
    np.testing.assert_array_equal(query.indices[num_picks:], num_rows)
    assert len(set(chosen.tolist())) == num_picks
    assert np.all((chosen >= 0) & (chosen < num_rows))
    assert np.all(labels[chosen] == UNLABELED)

    assert np.all((info.reason >= 0) & (info.reason < len(strategy.reasons)))
    np.testing.assert_array_equal(info.reason[num_picks:], 0)
    np.testing.assert_array_equal(np.isnan(info.score), ~query.is_valid | is_random_at(strategy, info))
    assert 0 <= info.num_fallback <= num_picks
    assert jax.tree.structure(state) == jax.tree.structure(strategy.init(inputs))


def test_every_strategy_of_the_table_and_every_option_is_tried():
    kinds = {config.__struct_config__.tag for config in VARIANTS.values()}
    assert kinds == set(STRATEGIES)
    for config_type in (AutoFMConfig, MPPSConfig):
        tried = [config for config in VARIANTS.values() if isinstance(config, config_type)]
        for field in msgspec.structs.fields(config_type):
            values = {getattr(config, field.name) for config in tried}
            options = typing.get_args(field.type) if typing.get_origin(field.type) is typing.Literal else ()
            assert values >= set(options), f"{config_type.__name__}.{field.name} has an option that no variant takes"
            assert len(values) > 1, f"{config_type.__name__}.{field.name} is never changed"


@every_strategy
@pytest.mark.parametrize("labels", LABELS)
def test_a_query_holds_what_may_be_asked_and_no_more(name, labels):
    strategy = strategy_of(name)
    for labels_left in (0, 1, Q - 1, Q, 1000):
        inputs = make_inputs(labels=labels, labels_left=labels_left)
        check_inputs(strategy, inputs, C)
        check_query(strategy, inputs, *acquire(strategy, inputs), Q)


@pytest.mark.parametrize("name", few_variants())
@pytest.mark.parametrize("labels", ["every class labeled", "a class without labels"])
def test_a_larger_query_size_only_adds_padding(name, labels):
    strategy = strategy_of(name)
    largest = N + 7  # more than the pool holds
    for labels_left in (1, Q - 1, Q):
        inputs = make_inputs(labels=labels, labels_left=labels_left)
        query, _, info = acquire(strategy, inputs)
        wide_query, wide_state, wide_info = acquire(strategy, inputs, query_size=largest)
        check_query(strategy, inputs, wide_query, wide_state, wide_info, largest)
        np.testing.assert_array_equal(picks(wide_query), picks(query))
        np.testing.assert_array_equal(wide_info.reason[:Q], info.reason)
        assert wide_info.num_fallback == info.num_fallback


@every_strategy
def test_a_query_larger_than_what_remains_takes_all_of_it(name):
    strategy = strategy_of(name)
    inputs = make_inputs(labels_left=1000)
    query, state, info = acquire(strategy, inputs, query_size=N + 7)
    check_query(strategy, inputs, query, state, info, N + 7)
    np.testing.assert_array_equal(np.sort(picks(query)), np.flatnonzero(np.asarray(inputs.pool.labels) == UNLABELED))


@every_strategy
def test_a_query_of_none_is_empty(name):
    strategy = strategy_of(name)
    inputs = make_inputs()
    check_query(strategy, inputs, *acquire(strategy, inputs, query_size=0), 0)


@every_strategy
def test_the_same_key_asks_the_same(name):
    strategy = strategy_of(name)
    first, second = (acquire(strategy, make_inputs(seed=4), seed=11) for _ in range(2))
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(one, other)


def assert_same_choice(inputs, result, other_inputs, other_result):
    """The same samples in the same order for the same reasons, whatever rows they stand in."""
    (query, _, info), (other_query, _, other_info) = result, other_result
    ids, other_ids = np.asarray(inputs.sample_ids), np.asarray(other_inputs.sample_ids)
    np.testing.assert_array_equal(other_ids[picks(other_query)], ids[picks(query)])
    np.testing.assert_array_equal(other_info.reason, info.reason)
    np.testing.assert_allclose(other_info.score, info.score, rtol=1e-5, atol=1e-6)
    assert other_info.num_fallback == info.num_fallback


@every_strategy
@pytest.mark.parametrize("labels", ["every class labeled", "a class without labels", "nothing labeled"])
def test_the_order_of_the_pool_changes_nothing(name, labels):
    strategy = strategy_of(name)
    for seed in range(4):
        inputs = make_inputs(seed, labels)
        shuffled = with_rows(inputs, np.random.default_rng(seed).permutation(N))
        assert_same_choice(inputs, acquire(strategy, inputs), shuffled, acquire(strategy, shuffled))


@pytest.mark.parametrize("name", few_variants())
@pytest.mark.parametrize(
    "garbage", [np.nan, -3e38, *(pytest.param(each, marks=pytest.mark.slow) for each in (np.inf, 1e4))]
)
@pytest.mark.parametrize("labels", ["every class labeled", "a class without labels", "nothing labeled"])
def test_what_excluded_rows_hold_changes_nothing(name, labels, garbage):
    strategy = strategy_of(name)
    inputs = make_inputs(5, labels)
    result = acquire(strategy, inputs)
    same_shape, longer = with_garbage(inputs, garbage), padded(inputs, garbage)
    for changed in (same_shape, longer):
        check_inputs(strategy, changed, C)
        changed_result = acquire(strategy, changed)
        check_query(strategy, changed, *changed_result, Q)
        assert_same_choice(inputs, result, changed, changed_result)
    assert longer.pool.labels.shape == (N + NUM_PADDING,)


@every_strategy
def test_an_excluded_row_in_front_changes_nothing(name):
    """The first row is what an overhanging block is filled with."""
    strategy = strategy_of(name)
    inputs = make_inputs(6)
    excluded_first = np.argsort(np.asarray(inputs.pool.labels) != EXCLUDED, kind="stable")
    rearranged = with_rows(with_garbage(inputs, np.nan), excluded_first)
    assert rearranged.pool.labels[0] == EXCLUDED
    assert_same_choice(inputs, acquire(strategy, inputs), rearranged, acquire(strategy, rearranged))


@every_strategy
@pytest.mark.parametrize("labels", ["every class labeled", "a class without labels"])
def test_huge_logits_stay_finite(name, labels):
    strategy = strategy_of(name)
    inputs = make_inputs(7, labels)
    rng = np.random.default_rng(7)
    unrelated = jnp.asarray(rng.choice([-1e4, 0.0, 1e4], (N, C)).astype(np.float32))
    factor = jnp.asarray(1e4, jnp.float32)
    head = jax.tree.map(lambda array: array * factor, inputs.head)
    for extreme in (
        inputs._replace(logits=unrelated),
        inputs._replace(head=head, logits=inputs.logits * factor),
        inputs._replace(mc_logits=inputs.mc_logits * factor, source_logits=inputs.source_logits * factor),
    ):
        query, state, info = acquire(strategy, extreme)
        check_query(strategy, extreme, query, state, info, Q)
        assert np.all(np.isfinite(info.score[query.is_valid & ~is_random_at(strategy, info)]))


@pytest.mark.parametrize("name", each_variant(*BY_CHANCE))  # chance has no ties
def test_ties_go_to_the_lowest_rows(name):
    strategy = strategy_of(name)
    inputs = make_inputs()
    equal = inputs._replace(
        embeddings=jnp.broadcast_to(inputs.embeddings[:1], (N, D)),
        logits=jnp.broadcast_to(inputs.logits[:1], (N, C)),
        mc_logits=jnp.broadcast_to(inputs.mc_logits[:, :1], inputs.mc_logits.shape),
        source_logits=jnp.broadcast_to(inputs.source_logits[:1], inputs.source_logits.shape),
    )
    query, _, _ = acquire(strategy, equal)
    np.testing.assert_array_equal(query.indices, np.flatnonzero(np.asarray(inputs.pool.labels) == UNLABELED)[:Q])


def avals(jaxpr):
    """The shapes of every value computed in a jaxpr and in the jaxprs inside it."""
    for equation in jaxpr.eqns:
        for variable in equation.outvars:
            yield variable.aval.shape
        for inner in jaxprs_in_params(equation.params):
            yield from avals(inner)


def primitives(jaxpr):
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for inner in jaxprs_in_params(equation.params):
            yield from primitives(inner)


@every_strategy
def test_the_whole_acquisition_is_one_traceable_function_of_modest_memory(name):
    strategy = strategy_of(name)

    def acquire_all(key, inputs):
        return strategy.acquire(key, strategy.init(inputs), inputs, Q)

    jaxpr = jax.make_jaxpr(acquire_all)(jax.random.key(0), make_inputs()).jaxpr
    assert not [primitive for primitive in primitives(jaxpr) if "callback" in primitive]
    shapes = set(avals(jaxpr))
    assert (N,) in shapes
    assert not [shape for shape in shapes if shape.count(N) > 1], "an N×N array"
    assert not [shape for shape in shapes if {N, C, D} <= set(shape)], "an N×C×D array"


@every_strategy
def test_only_what_a_strategy_needs_is_looked_at(name):
    strategy = strategy_of(name)
    assert strategy.needs <= set(OPTIONAL)
    bare = make_inputs()._replace(**dict.fromkeys(set(OPTIONAL) - strategy.needs))
    check_inputs(strategy, bare, C)
    jax.make_jaxpr(lambda key, inputs: strategy.acquire(key, strategy.init(inputs), inputs, Q))(jax.random.key(0), bare)
    config = VARIANTS[name]
    if not isinstance(config, BalancedConfig | BudgetSplitConfig):
        assert set(STRATEGIES[config.__struct_config__.tag].needs) == strategy.needs


@pytest.mark.parametrize("name", each_variant(*(name for name in VARIANTS if not strategy_of(name).needs)))
def test_without_what_it_needs_a_strategy_refuses_while_it_is_traced(name):
    strategy = strategy_of(name)

    def trace(inputs):
        jax.make_jaxpr(lambda key: strategy.acquire(key, strategy.init(inputs), inputs, Q))(jax.random.key(0))

    for need in sorted(strategy.needs):
        with pytest.raises(InputError, match=need):
            trace(make_inputs()._replace(**{need: None}))


@every_strategy
def test_the_same_config_is_the_same_strategy(name):
    config = VARIANTS[name]
    copy = msgspec.json.decode(msgspec.json.encode(config), type=type(config))
    assert copy is not config
    assert make_strategy(copy, num_classes=C) is make_strategy(config, num_classes=C)
    assert make_strategy(config, num_classes=C + 1) is not make_strategy(config, num_classes=C)
    assert hash(make_strategy(config, num_classes=C)) == hash(make_strategy(copy, num_classes=C))


@every_strategy
def test_a_second_query_compiles_nothing(name):
    strategy = strategy_of(name)
    inputs = [
        make_inputs(seed=8),
        make_inputs(seed=9, labels="a class without labels", labels_left=2),
        make_inputs(seed=10, labels="everything labeled", labels_left=0),
    ]
    acquire(strategy, inputs[0])
    compiled = []

    def listen(event, duration, **_):
        if event == COMPILE_EVENT:
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        for seed, each in enumerate(inputs):
            acquire(make_strategy(VARIANTS[name], num_classes=C), each, seed=seed)
        assert not compiled
        jax.jit(lambda x: x * 3 + len(name))(jnp.arange(3)).block_until_ready()
        assert compiled, "the listener hears compilations"
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def test_nothing_hidden_reaches_a_strategy():
    assert PoolState._fields == ("labels", "queried_at", "round")
    assert set(AcquisitionInputs._fields) == {"pool", "embeddings", "sample_ids", "labels_left", *OPTIONAL}
