"""What `jaxal.select` refuses: each with the one message that names the argument and says what is wrong with it."""

import re

import numpy as np
import pytest
from select_pools import C, D, N, Q, U, X, pool_arrays, select

import jaxal
from jaxal.config import strategies as configs
from jaxal.errors import InputError
from jaxal.strategies.registry import make_strategy


def at(array, rows, value):
    changed = np.array(array)
    changed[..., rows, :] = value
    return changed


def labels_at(arrays, rows, value):
    labels = arrays["labels"].copy()
    labels[rows] = value
    return {"labels": labels}


def square(arrays):
    """A pool whose width is its number of classes: no shape tells a transposed head."""
    embeddings = arrays["embeddings"][:, :C]
    weight = arrays["head"][0][:C]
    return embeddings, weight, embeddings @ weight + arrays["head"][1]


class Unfathomable:
    def __array__(self, *arguments, **keywords):
        raise OSError("gone")


REFUSALS = {
    # strategy
    "an unknown name": (
        "entropie",
        {},
        "strategy: unknown kind 'entropie' (did you mean entropy?); known are alfa_mix, ",
    ),
    "an unknown base": ("balanced(entropie)", {}, "strategy: base: unknown kind 'entropie' (did you mean entropy?)"),
    "two levels in a name": (
        "balanced(balanced(entropy))",
        {},
        "strategy: unknown kind 'balanced(balanced(entropy))' (a n",
    ),
    "an unknown field": ({"kind": "auto_fm", "alpa": 1}, {}, "strategy: unknown key alpa (did you mean alpha?)"),
    "a field out of range": (
        {"kind": "auto_fm", "num_steps": -1},
        {},
        "strategy: Expected `int` >= 0 - at `$.num_steps`",
    ),
    "no kind": ({"alpha": "fixed"}, {}, "strategy: kind is missing; known are "),
    "a config out of range": (configs.AutoFMConfig(num_steps=-1), {}, "strategy: Expected `int` >= 0"),
    "a balanced without base": ("balanced", {}, "strategy: Object missing required field `base`"),
    "shares that do not add up": (
        {"kind": "balanced", "base": {"kind": "budget_split", "stages": [{"strategy": "random", "share": 0.5}]}},
        {},
        "strategy.base: the stages' shares sum to 0.5, not 1",
    ),
    "no strategy": (None, {}, "strategy: expected a name, a table (dict) or a strategy's config, got NoneType"),
    "a made strategy": (make_strategy(configs.RandomConfig(), num_classes=C), {}, "strategy: expected a name, a table"),
    # budget, num_classes, seed, memory
    **{
        f"{name} {value!r}": ("random", {name: value}, f"{name}: expected a whole number, {wanted}, got {value!r}")
        for name, wanted, values in (
            ("budget", "1 or more", (0, -1, 2.0, "3", True, None)),
            ("num_classes", "2 … 100000", (1, 0, -3, 3.0, True, 10**9)),
            ("seed", "0 … 4294967295", (-1, 2**32, 0.5, "0", False, None)),
            ("memory", "1 or more", (0, -1, 1e6, True)),
        )
        for value in values
    },
    # embeddings
    "no rows": ("random", lambda a: {"embeddings": a["embeddings"][:0]}, "embeddings: the pool is empty, shape [0, 5]"),
    "no columns": (
        "random",
        lambda a: {"embeddings": a["embeddings"][:, :0], "head": None},
        "embeddings: expected shape [N, D], N and D at least 1, got [60, 0]",
    ),
    "one dimension": (
        "random",
        lambda a: {"embeddings": a["embeddings"][:, 0]},
        "embeddings: expected shape [N, D], got [60]",
    ),
    "images": (
        "random",
        lambda a: {"embeddings": a["embeddings"][:, None]},
        "embeddings: expected shape [N, D], got [60, 1, 5]",
    ),
    "none at all": ("random", {"embeddings": None}, "embeddings: expected floating-point numbers, got object"),
    "NaN": (
        "random",
        lambda a: {"embeddings": at(a["embeddings"], [30, 31, 40, 41, 50, 51], np.nan)},
        "embeddings: 6 of 60 rows hold NaN or infinity (or numbers beyond float32); the first are 30, 31, 40, 41, 50",
    ),
    "infinity in a labeled row": (
        "random",
        lambda a: {"embeddings": at(a["embeddings"], 0, np.inf)},
        "embeddings: 1 of 60 rows hold NaN or infinity",
    ),
    "beyond float32": (
        "random",
        lambda a: {"embeddings": at(a["embeddings"].astype(np.float64), 33, 1e39)},
        "embeddings: 1 of 60 rows hold NaN or infinity (or numbers beyond float32); the first are 33",
    ),
    "strings": (
        "random",
        lambda a: {"embeddings": a["embeddings"].astype(str)},
        "embeddings: expected floating-point numbers, got <U",
    ),
    "objects": (
        "random",
        lambda a: {"embeddings": a["embeddings"].astype(object)},
        "embeddings: expected floating-point numbers, got object",
    ),
    "complex": (
        "random",
        lambda a: {"embeddings": a["embeddings"] * 1j},
        "embeddings: expected floating-point numbers, got complex",
    ),
    "integers": (
        "random",
        lambda a: {"embeddings": a["embeddings"].astype(int)},
        "embeddings: expected floating-point numbers, got int64",
    ),
    "booleans": (
        "random",
        lambda a: {"embeddings": a["embeddings"] > 0},
        "embeddings: expected floating-point numbers, got bool",
    ),
    "ragged lists": (
        "random",
        {"embeddings": [[1.0], [1.0, 2.0]]},
        "embeddings: cannot be read as an array: ValueError",
    ),
    "masked": (
        "random",
        lambda a: {"embeddings": np.ma.masked_array(a["embeddings"], a["embeddings"] > 0)},
        "embeddings: is a masked array",
    ),
    "an array that fails": (
        "random",
        {"embeddings": Unfathomable()},
        "embeddings: cannot be read as an array: OSError: gone",
    ),
    # labels
    "a label short": ("random", lambda a: {"labels": a["labels"][:-1]}, "labels: expected shape [N] = [60], got [59]"),
    "labels in a column": (
        "random",
        lambda a: {"labels": a["labels"][:, None]},
        "labels: expected shape [N] = [60], got [60, 1]",
    ),
    "one-hot labels": (
        "random",
        lambda a: {"labels": np.eye(C, dtype=int)[a["labels"]]},
        "labels: expected shape [N] = [60], got",
    ),
    "float labels": (
        "random",
        lambda a: {"labels": a["labels"].astype(float)},
        "labels: expected integers, got float64",
    ),
    "NaN labels": ("random", {"labels": np.full(N, np.nan)}, "labels: expected integers, got float64"),
    "boolean labels": ("random", {"labels": np.zeros(N, bool)}, "labels: expected integers, got bool"),
    "text labels": ("random", {"labels": np.full(N, "cat")}, "labels: expected integers, got <U3"),
    "object labels": ("random", {"labels": np.full(N, None)}, "labels: expected integers, got object"),
    "a class beyond": (
        "random",
        lambda a: labels_at(a, [3, 9], C),
        "labels: 2 of 60 rows lie outside -2 … 2; the first are 3, 9",
    ),
    "a label below": (
        "random",
        lambda a: labels_at(a, [5], -3),
        "labels: 1 of 60 rows lie outside -2 … 2; the first are 5",
    ),
    "255 for unlabeled": (
        "random",
        lambda a: {"labels": a["labels"].astype(np.uint8)},
        "labels: 51 of 60 rows lie outside -2 … 2; the first are 9, 10, 11, 12, 13",
    ),
    "uint64 for unlabeled": (
        "random",
        lambda a: {"labels": a["labels"].astype(np.uint64)},
        "labels: 51 of 60 rows lie outside",
    ),
    "a label far beyond int32": (
        "random",
        lambda a: labels_at(a, [7], 2**32),
        "labels: 1 of 60 rows lie outside -2 … 2; the first are 7",
    ),
    "a stray label alone": (
        "random",
        lambda a: {**labels_at(a, [7], 10**9), **dict.fromkeys(("logits", "head", "mc_logits"))},
        "labels: the largest is 1000000000, but there are at most 100000 classes",
    ),
    "nothing unlabeled": (
        "random",
        lambda a: {"labels": np.where(a["labels"] == U, 1, a["labels"])},
        "labels: nothing is unlabeled (57 rows are labeled, 3 never to be asked); -1 marks",
    ),
    "everything excluded": (
        "random",
        {"labels": np.full(N, X)},
        "labels: nothing is unlabeled (0 rows are labeled, 60 never",
    ),
    # number of classes
    "fewer classes than the head": (
        "random",
        {"num_classes": 2, "labels": np.full(N, U)},
        "head.weight: expected shape [D, C] = [5, 2], got [5, 3]",
    ),
    "fewer classes than the labels": (
        "random",
        {"num_classes": 2},
        "labels: 3 of 60 rows lie outside -2 … 1; the first are 2, 5, 8",
    ),
    "more classes than the logits": (
        "random",
        {"num_classes": 4, "head": None},
        "logits: expected shape [N, C] = [60, 4], got [60, 3]",
    ),
    "one column of logits": (
        "random",
        lambda a: {"head": None, "logits": a["logits"][:, :1]},
        "logits: one column; two classes have two",
    ),
    # head
    "a transposed head": (
        "auto_fm",
        lambda a: {"head": (a["head"][0].T, a["head"][1])},
        "head.weight: expected shape [D, C] = [5, 3], got [3, 5], its transpose: give weight.T",
    ),
    "a transposed square head": (
        "auto_fm",
        lambda a: {"embeddings": square(a)[0], "head": (square(a)[1].T, a["head"][1]), "logits": square(a)[2]},
        "head.weight: not as it is, but with its transpose embeddings @ weight + bias gives the logits: give weight.T",
    ),
    "a head of another width": (
        "auto_fm",
        lambda a: {"head": (a["head"][0][:4], a["head"][1])},
        "head.weight: expected shape [D, C] = [5, 3], got [4, 3]",
    ),
    "a column for a bias": (
        "auto_fm",
        lambda a: {"head": (a["head"][0], a["head"][1][:, None]), "num_classes": C},
        "head.bias: expected shape [C] = [3], got [3, 1]",
    ),
    "no bias": (
        "auto_fm",
        lambda a: {"head": (a["head"][0], None)},
        "head: expected (weight [D, C], bias [C]) or a LinearHead, got None for one of them",
    ),
    "the weight alone": (
        "auto_fm",
        lambda a: {"head": a["head"][0]},
        "head: expected (weight [D, C], bias [C]) or a LinearHead, got ndarray",
    ),
    "three parts": (
        "auto_fm",
        lambda a: {"head": (*a["head"], 1)},
        "head: expected (weight [D, C], bias [C]) or a LinearHead, got 3 of them",
    ),
    "NaN in the weight": (
        "auto_fm",
        lambda a: {"head": (a["head"][0] * np.nan, a["head"][1])},
        "head.weight: holds NaN or infinity",
    ),
    "text for a bias": (
        "auto_fm",
        lambda a: {"head": (a["head"][0], "bias")},
        "head.bias: expected floating-point numbers, got <U4",
    ),
    "a head that overflows": (
        "auto_fm",
        lambda a: {
            "embeddings": a["embeddings"] * 1000,
            "head": (np.full((D, C), 3e38, np.float32), a["head"][1]),
            "logits": None,
        },
        "head: 57 of 60 rows give logits that are not finite in float32",
    ),
    # logits
    "a row of logits short": (
        "entropy",
        lambda a: {"logits": a["logits"][:-1]},
        "logits: expected shape [N, C] = [60, 3], got [59, 3]",
    ),
    "an infinite logit": (
        "entropy",
        lambda a: {"logits": at(a["logits"], 59, np.inf)},
        "logits: 1 of 60 rows hold NaN or infinity",
    ),
    "logits of another model": (
        "random",  # refused whether the strategy looks at them or not
        lambda a: {"logits": at(a["logits"], [12, 33], 0.25)},
        "logits: 2 of 60 rows contradict the head: embeddings @ weight + bias differs by up to ",
    ),
    "logits all zero": ("random", lambda a: {"logits": a["logits"] * 0}, "logits: 57 of 60 rows contradict the head"),
    "probabilities for logits": (
        "entropy",
        lambda a: {"logits": np.exp(a["logits"]) / np.exp(a["logits"]).sum(1, keepdims=True)},
        "logits: 57 of 60 rows contradict the head",
    ),
    "logits against a head that overflows": (
        "auto_fm",
        lambda a: {"embeddings": a["embeddings"] * 1000, "head": (np.full((D, C), 3e38, np.float32), a["head"][1])},
        "logits: 57 of 60 rows contradict the head",
    ),
    "Monte-Carlo logits without draws": (
        "bald",
        lambda a: {"mc_logits": a["logits"]},
        "mc_logits: expected shape [M, N, C], M at least 1 = [M, 60, 3], got [60, 3]",
    ),
    "no draws": (
        "bald",
        lambda a: {"mc_logits": a["mc_logits"][:0]},
        "mc_logits: expected shape [M, N, C], M at least 1 = [M, 60, 3], got [0, 60, 3]",
    ),
    "draws behind the rows": (
        "bald",
        lambda a: {"mc_logits": np.swapaxes(a["mc_logits"], 0, 1)},
        "mc_logits: expected shape [M, N, C]",
    ),
    "NaN in a draw": (
        "bald",
        lambda a: {"mc_logits": at(a["mc_logits"], [4, 8], np.nan)},
        "mc_logits: 2 of 60 rows hold NaN or infinity (or numbers beyond float32); the first are 4, 8",
    ),
    "one source class": (
        "diversified_margin",
        lambda a: {"source_logits": a["source_logits"][:, :1]},
        "source_logits: expected shape [N, S], S at least 2",
    ),
    "NaN in a source logit": (
        "diversified_margin",
        lambda a: {"source_logits": at(a["source_logits"], 30, np.nan)},
        "source_logits: 1 of 60 rows hold NaN",
    ),
    # needs
    "no head": (
        "cb_dal",
        {"head": None},
        "head: cb_dal needs it, but it is not given. Give the last linear layer, head=(weight [D, C], bias [C])",
    ),
    "neither": ("cb_dal", {"head": None, "logits": None}, "head: cb_dal needs it, but it is not given."),
    "no logits": (
        "entropy",
        {"head": None, "logits": None},
        "logits: entropy needs it, but it is not given. Give the model's outputs, logits=[N, C]",
    ),
    "no draws at all": (
        "bald",
        {"mc_logits": None},
        "mc_logits: bald needs it, but it is not given. Give the outputs of M passes with dropout on",
    ),
    "no source": (
        "diversified_entropy",
        {"head": None, "logits": None, "source_logits": None},
        "source_logits: diversified_entropy needs it, but it is not given.",
    ),
    "the base's": ("balanced(bald)", {"mc_logits": None}, "mc_logits: "),
    # sample_ids
    "an id short": ("random", {"sample_ids": np.arange(N - 1)}, "sample_ids: expected shape [N] = [60], got [59]"),
    "ids in a column": ("random", {"sample_ids": np.arange(N)[:, None]}, "sample_ids: expected shape [N], got [60, 1]"),
    "ids twice": (
        "random",
        {"sample_ids": ["a", "b"] * (N // 2)},
        "sample_ids: 55 of 57 rows have the id of an earlier row; the first are 2, 3, 4, 5, 6",
    ),
    "float ids": (
        "random",
        {"sample_ids": np.arange(N) / 2},
        "sample_ids: expected integers or text, got float in row 0",
    ),
    "boolean ids": (
        "random",
        {"sample_ids": np.zeros(N, bool)},
        "sample_ids: expected integers or text, got bool in row 0",
    ),
    "an id missing": (
        "random",
        {"sample_ids": [*range(30), None, *range(31, N)]},
        "sample_ids: expected integers or text, got NoneType in row 30",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_selected_from_is_refused_by_the_argument_s_name(case):
    strategy, changes, message = REFUSALS[case]
    arrays = pool_arrays()
    arguments = {"budget": Q, **arrays, **(changes(arrays) if callable(changes) else changes)}
    with pytest.raises(InputError, match="^" + re.escape(message)) as caught:
        jaxal.select(strategy, **arguments)
    assert isinstance(caught.value, ValueError)
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)


def test_a_small_difference_between_logits_and_head_is_none():
    arrays = pool_arrays()
    scale = np.abs(arrays["logits"][arrays["labels"] != X]).max()
    for factor, is_refused in ((0.9e-3, False), (1.1e-3, True), (np.nan, True)):
        logits = arrays["logits"].copy()
        logits[30, 1] += np.float32(factor) * scale
        given = {**arrays, "logits": logits}
        if is_refused:
            with pytest.raises(InputError, match=r"^logits: 1 of 60 rows"):
                select("random", **given)
        else:
            assert len(select("random", **given)) == Q
    assert (
        len(
            select(
                "random",
                **{**arrays, "logits": arrays["logits"] * 0, "head": tuple(part * 0 for part in arrays["head"])},
            )
        )
        == Q
    )


def test_a_strategy_in_itself_or_too_deep_is_refused():
    deep: dict = {"kind": "entropy"}
    for _ in range(15):
        deep = {"kind": "balanced", "base": deep}
    arrays = pool_arrays()
    with pytest.raises(InputError, match=r"^strategy(\.base)+: nested deeper than 16 levels$"):
        select({"kind": "balanced", "base": deep}, **arrays)
    deep["base"] = deep
    with pytest.raises(InputError, match=r"^strategy: nested deeper than 16 levels, or in itself$"):
        select(deep, **arrays)
