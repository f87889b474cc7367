"""A strategy given as a name, a table, a config, or words of the command line."""

import contextlib
import copy
import re

import msgspec
import numpy as np
import pytest
from config_documents import SAME_EXAMPLES, document_with, values
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxal.config import strategies as configs
from jaxal.config.reading import parse_study
from jaxal.config.strategy_table import STRATEGIES
from jaxal.config.strategy_words import MAX_DEPTH, parse_strategy, strategy_from_words
from jaxal.errors import ConfigError

COMPOSED = ("balanced", "budget_split")


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name not in COMPOSED])
def test_a_name_is_the_strategy_by_default_and_may_be_balanced(name):
    config = parse_strategy(name)
    assert config == STRATEGIES[name].config()
    assert parse_strategy(f"balanced({name})") == configs.BalancedConfig(base=config)
    assert strategy_from_words(name) == config


SPLIT = {
    "kind": "budget_split",
    "stages": [{"strategy": "entropy", "share": 0.25}, {"strategy": "mpps", "share": 0.75}],
}


def test_tables_may_hold_names_tables_and_configs():
    inner = configs.BalancedConfig(base=configs.AutoFMConfig(alpha="fixed", fixed_alphas=(0.5,)))
    base = {"kind": "auto_fm", "alpha": "fixed", "fixed_alphas": (0.5,)}
    for given_base in (base, inner.base, {**base, "fixed_alphas": [0.5]}):
        assert parse_strategy({"kind": "balanced", "base": given_base}) == inner
    nested = {"kind": "balanced", "base": "balanced(entropy)"}
    assert parse_strategy(nested).base == parse_strategy("balanced(entropy)")
    assert nested == {"kind": "balanced", "base": "balanced(entropy)"}
    assert [stage.strategy for stage in parse_strategy(SPLIT).stages] == [configs.EntropyConfig(), configs.MPPSConfig()]
    assert isinstance(hash(parse_strategy(SPLIT)), int)


def test_texts_and_numbers_of_numpy_are_plain_ones():
    assert parse_strategy(np.array(["margin", "entropy"])[1]) == configs.EntropyConfig()
    table = {"kind": np.str_("auto_fm"), "num_steps": np.int64(3), "step_size": np.float64(0.25)}
    assert parse_strategy(table) == configs.AutoFMConfig(num_steps=3, step_size=0.25)
    assert parse_strategy({"kind": "entropy", "inverted": np.True_}) == configs.EntropyConfig(inverted=True)


def test_a_config_is_checked_like_a_table():
    for config in (configs.CBDALConfig(auto_fm_share=0.7), parse_strategy(SPLIT), parse_strategy("balanced(badge)")):
        assert parse_strategy(config) == config
    with pytest.raises(ConfigError, match=re.escape("Expected `float` < 1.0 - at `$.auto_fm_share`")):
        parse_strategy(configs.CBDALConfig(auto_fm_share=1.5))


REFUSALS = {
    "a typing error": ("entropi", "unknown kind 'entropi' (did you mean entropy?); known are alfa_mix, "),
    "in capitals, as in its paper": ("BADGE", "unknown kind 'BADGE' (did you mean badge?); known are alfa_mix, "),
    "nothing like it": ("zzz", "unknown kind 'zzz'; known are alfa_mix, "),
    "no name": ("", "unknown kind ''; known are "),
    "two levels": (
        "balanced(balanced(mpps))",
        "unknown kind 'balanced(balanced(mpps))' (a name is NAME or balanced(NAME);",
    ),
    "an open bracket": ("balanced(mpps", "unknown kind 'balanced(mpps' (a name is NAME or balanced(NAME);"),
    "another combination": ("inverted(mpps)", "unknown kind 'inverted(mpps)' (a name is NAME or balanced(NAME);"),
    "an unknown base": ("balanced(mps)", "base: unknown kind 'mps' (did you mean mpps?)"),
    "a base that is none": ("balanced(balanced)", "Object missing required field `base` - at `$.base`"),
    "an unknown field": ({"kind": "mpps", "normalise": "l2"}, "unknown key normalise (did you mean normalize?)"),
    "a field inside": (
        {"kind": "cb_dal", "mpps": {"normalise": "l2"}},
        "unknown key mpps.normalise (did you mean normalize?)",
    ),
    "where there are none": ({"kind": "random", "seed": 3}, "unknown key seed (there is nothing to set here)"),
    "a field that is no text": ({"kind": "mpps", 3: "l2"}, "unknown key 3"),
    "a wrong type": ({"kind": "cb_dal", "auto_fm_share": "half"}, "Expected `float`, got `str` - at `$.auto_fm_share`"),
    "a wrong choice": ({"kind": "mpps", "normalize": "l1"}, "Invalid enum value 'l1' - at `$.normalize`"),
    "no kind": ({}, "kind is missing; known are "),
    "something foreign inside": (
        {"kind": "mpps", "normalize": object()},
        "a value of type object is no setting",
    ),
    "a number": (3, "expected a name, a table (dict) or a strategy's config, got int"),
    "another config": (configs.StageConfig(strategy=configs.RandomConfig(), share=1.0), "expected a name, a table"),
    "a class": (configs.MPPSConfig, "expected a name, a table (dict) or a strategy's config, got StructMeta"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_no_strategy_is_refused(case):
    given, message = REFUSALS[case]
    with pytest.raises(ConfigError, match="^" + re.escape(f"strategy: {message}")):
        parse_strategy(given)


def test_contradictions_are_found_at_any_depth_in_a_study_too():
    wrong = copy.deepcopy(SPLIT)
    wrong["stages"][1]["share"] = 0.5
    for path, table in (
        ("", wrong),
        (".base", {"kind": "balanced", "base": wrong}),
        (".stages.0", {"kind": "budget_split", "stages": [{"strategy": wrong, "share": 1}]}),
    ):
        expected = f"strategy{path}: the stages' shares sum to 0.75, not 1"
        with pytest.raises(ConfigError, match=f"^{re.escape(expected)}$"):
            parse_strategy(table)
        with pytest.raises(ConfigError, match=re.escape(f"arms.0 (random).{expected}")):
            parse_study(document_with(("arms.0.strategy", table)))


def nested(depth):
    table = {"kind": "entropy"}
    for _ in range(depth - 1):
        table = {"kind": "balanced", "base": table}
    return table


def test_nesting_has_an_end():
    parse_strategy(nested(MAX_DEPTH))
    for depth in (MAX_DEPTH + 1, 300, 100_000):
        with pytest.raises(ConfigError, match=r"^strategy.*: nested deeper than 16 levels"):
            parse_strategy(nested(depth))


def test_words_are_set_in_their_order():
    pairs = [
        ("strategy.mpps.normalize", "l2"),
        ("strategy.auto_fm.num_steps", "3"),
        ("strategy.mpps.normalize", "none"),
    ]
    config = strategy_from_words("cb_dal", pairs)
    assert (config.mpps.normalize, config.auto_fm.num_steps) == ("none", 3)
    assert strategy_from_words("balanced(entropy)", [("strategy.base.inverted", "true")]).base.inverted
    assert strategy_from_words("balanced(entropy)", [("strategy.base", "mpps"), ("strategy.base.normalize", "l2")]) == (
        configs.BalancedConfig(base=configs.MPPSConfig(normalize="l2"))
    )
    table = '{kind = "balanced", base = {kind = "auto_fm", alpha = "fixed"}}'
    assert strategy_from_words(table).base.alpha == "fixed"
    shares = [("strategy.stages.0.share", "0.5"), ("strategy.stages.1.share", "0.5")]
    text = '{kind = "budget_split", stages = [{strategy = "entropy", share = 1}, {strategy = "mpps", share = 1}]}'
    assert [stage.share for stage in strategy_from_words(text, shares).stages] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("text", "pairs", "message"),
    [
        (
            "cb_dal",
            [("strategy.auto_fm.alpha_int", "half")],
            "strategy: unknown key auto_fm.alpha_int (did you mean alpha_init?)",
        ),
        ("cb_dal", [("strategy.auto_fm.alpha_init.x", "1")], "strategy: Expected `str`, got `object`"),
        ("random", [("strategy.kind.x", "1")], "--strategy.kind.x: strategy.kind is 'random', not a table"),
        (
            "budget_split",
            [("strategy.stages.0.share", "1")],
            "strategy: Expected `array`, got `object` - at `$.stages`",
        ),
        ("3", [], "strategy: expected a name, a table (dict) or a strategy's config, got int"),
        ("3", [("strategy.x", "1")], "--strategy.x: strategy is 3, not a table"),
        ("[1]", [], "strategy: expected a name, a table (dict) or a strategy's config, got list"),
    ],
)
def test_words_that_lead_nowhere_are_refused(text, pairs, message):
    with pytest.raises(ConfigError, match="^" + re.escape(message)):
        strategy_from_words(text, pairs)


@given(st.dictionaries(st.sampled_from(["kind", "base", "stages", "auto_fm", "share", 1]), values, max_size=3) | values)
@settings(SAME_EXAMPLES)
def test_garbage_is_a_strategy_or_refused_as_a_config_error(garbage):
    accepted = None
    with contextlib.suppress(ConfigError):
        accepted = parse_strategy(garbage)
    assert accepted is None or parse_strategy(msgspec.to_builtins(accepted)) == accepted
