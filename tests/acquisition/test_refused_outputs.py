"""What `jaxal.select` refuses of heads and logits, by the argument's name."""

import numpy as np
import pytest
from refusals import at, check_refused
from select_pools import C, D, Q, X, pool_arrays, select

from jaxal.errors import InputError


def square(arrays):
    """A pool whose width is its number of classes: no shape tells a transposed head."""
    embeddings = arrays["embeddings"][:, :C]
    weight = arrays["head"][0][:C]
    return embeddings, weight, embeddings @ weight + arrays["head"][1]


REFUSALS = {
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
}


@pytest.mark.parametrize("case", REFUSALS)
def test_an_output_that_is_none_is_refused(case):
    check_refused(*REFUSALS[case])


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
