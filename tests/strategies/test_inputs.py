import re

import jax.numpy as jnp
import numpy as np
import pytest

from jaxal.config.strategies import AutoFMConfig, BALDConfig, EntropyConfig, RandomConfig
from jaxal.errors import InputError
from jaxal.pool import EXCLUDED, UNLABELED
from jaxal.strategies.inputs import check_inputs
from jaxal.strategies.registry import make_strategy

from .pools import C, D, M, N, S, make_inputs, with_garbage

AUTO_FM, BALD, ENTROPY, RANDOM = (
    make_strategy(config, num_classes=C) for config in (AutoFMConfig(), BALDConfig(), EntropyConfig(), RandomConfig())
)


def with_labels(inputs, rows, label):
    labels = inputs.pool.labels.at[jnp.asarray(rows)].set(label)
    return inputs._replace(pool=inputs.pool._replace(labels=labels))


def bad_values(inputs, name, rows, value):
    return inputs._replace(**{name: getattr(inputs, name).at[..., jnp.asarray(rows), 1].set(value)})


def with_array(inputs, name, change):
    return inputs._replace(**{name: change(getattr(inputs, name))})


def with_head(inputs, **parts):
    return inputs._replace(head=inputs.head._replace(**parts))


def cut(inputs, name):
    return inputs._replace(**{name: getattr(inputs, name)[:-1]})


def wide(array):
    return jnp.concatenate([array, array[..., :1]], axis=-1)


REFUSALS = {
    "both needs missing": (AUTO_FM, lambda i: i._replace(logits=None, head=None), "auto_fm needs head, logits"),
    "the head missing": (AUTO_FM, lambda i: i._replace(head=None), "auto_fm needs head, which"),
    "the logits missing": (ENTROPY, lambda i: i._replace(logits=None), "entropy needs logits, which"),
    "a label short": (
        RANDOM,
        lambda i: i._replace(pool=i.pool._replace(labels=i.pool.labels[:-1])),
        f"labels: expected shape [N] = [{N}], got [{N - 1}]",
    ),
    "an id short": (RANDOM, lambda i: cut(i, "sample_ids"), f"sample_ids: expected shape [N] = [{N}], got [{N - 1}]"),
    "a row of logits short": (
        RANDOM,
        lambda i: cut(i, "logits"),
        f"logits: expected shape [N, C] = [{N}, {C}], got [{N - 1}, {C}]",
    ),
    "a class too many": (
        RANDOM,
        lambda i: i._replace(logits=wide(i.logits)),
        f"logits: expected shape [N, C] = [{N}, {C}], got [{N}, {C + 1}]",
    ),
    "a transposed head": (
        AUTO_FM,
        lambda i: i._replace(head=i.head._replace(weight=i.head.weight.T)),
        f"head.weight: expected shape [D, C] = [{D}, {C}], got [{C}, {D}], its transpose: give weight.T",
    ),
    "a long bias": (
        AUTO_FM,
        lambda i: i._replace(head=i.head._replace(bias=wide(i.head.bias))),
        f"head.bias: expected shape [C] = [{C}], got [{C + 1}]",
    ),
    "a class beyond the last": (
        RANDOM,
        lambda i: with_labels(i, [3, 9], C),
        f"labels: 2 of {N} rows lie outside -2 … {C - 1}; the first are 3, 9",
    ),
    "a label below excluded": (
        RANDOM,
        lambda i: with_labels(i, [5], -3),
        f"labels: 1 of {N} rows lie outside -2 … {C - 1}; the first are 5",
    ),
    "a NaN embedding": (
        RANDOM,
        lambda i: bad_values(i, "embeddings", [1, 2, 3, 4, 5, 8, 9], np.nan),
        f"embeddings: 7 of {N} rows hold NaN or infinity (or numbers beyond float32); the first are 1, 2, 3, 4, 5",
    ),
    "an infinite embedding of a labeled row": (
        RANDOM,
        lambda i: bad_values(i, "embeddings", [0], -np.inf),
        f"embeddings: 1 of {N} rows hold NaN or infinity (or numbers beyond float32); the first are 0",
    ),
    "an infinite logit": (
        ENTROPY,
        lambda i: bad_values(i, "logits", [20], np.inf),
        f"logits: 1 of {N} rows hold NaN or infinity (or numbers beyond float32); the first are 20",
    ),
    "a head that is neither": (
        AUTO_FM,
        lambda i: with_head(i, weight=i.head.weight[:2]),
        f"head.weight: expected shape [D, C] = [{D}, {C}], got [2, {C}]",
    ),
    "NaN in the head's weight": (
        AUTO_FM,
        lambda i: with_head(i, weight=i.head.weight.at[0, 0].set(np.nan)),
        "head.weight: holds NaN or infinity",
    ),
    "an infinite bias": (
        AUTO_FM,
        lambda i: with_head(i, bias=i.head.bias.at[1].set(np.inf)),
        "head.bias: holds NaN or infinity",
    ),
    "embeddings of no width": (
        RANDOM,
        lambda i: with_array(i, "embeddings", lambda array: array[:, :0]),
        f"embeddings: expected shape [N, D], N and D at least 1, got [{N}, 0]",
    ),
    "embeddings in one dimension": (
        RANDOM,
        lambda i: with_array(i, "embeddings", lambda array: array[:, 0]),
        f"embeddings: expected shape [N, D], N and D at least 1, got [{N}]",
    ),
    "the draws missing": (BALD, lambda i: i._replace(mc_logits=None), "bald needs mc_logits, which"),
    "no draw": (
        BALD,
        lambda i: with_array(i, "mc_logits", lambda array: array[:0]),
        f"mc_logits: expected shape [M, N, C], M at least 1 = [M, {N}, {C}], got [0, {N}, {C}]",
    ),
    "one draw without its axis": (
        BALD,
        lambda i: with_array(i, "mc_logits", lambda array: array[0]),
        f"mc_logits: expected shape [M, N, C], M at least 1 = [M, {N}, {C}], got [{N}, {C}]",
    ),
    "a row of the draws short": (
        RANDOM,
        lambda i: with_array(i, "mc_logits", lambda array: array[:, :-1]),
        f"mc_logits: expected shape [M, N, C], M at least 1 = [M, {N}, {C}], got [{M}, {N - 1}, {C}]",
    ),
    "a class too many in the draws": (
        RANDOM,
        lambda i: with_array(i, "mc_logits", wide),
        f"mc_logits: expected shape [M, N, C], M at least 1 = [M, {N}, {C}], got [{M}, {N}, {C + 1}]",
    ),
    "NaN in one draw": (
        BALD,
        lambda i: i._replace(mc_logits=i.mc_logits.at[M - 1, 4, 2].set(np.nan)),
        f"mc_logits: 1 of {N} rows hold NaN or infinity (or numbers beyond float32); the first are 4",
    ),
    "one source class": (
        RANDOM,
        lambda i: with_array(i, "source_logits", lambda array: array[:, :1]),
        f"source_logits: expected shape [N, S], S at least 2 = [{N}, S], got [{N}, 1]",
    ),
    "a row of source logits short": (
        RANDOM,
        lambda i: cut(i, "source_logits"),
        f"source_logits: expected shape [N, S], S at least 2 = [{N}, S], got [{N - 1}, {S}]",
    ),
    "infinite source logits": (
        RANDOM,
        lambda i: bad_values(i, "source_logits", [7, 8], -np.inf),
        f"source_logits: 2 of {N} rows hold NaN or infinity (or numbers beyond float32); the first are 7, 8",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_ranked_is_refused_by_name(case):
    strategy, spoil, message = REFUSALS[case]
    with pytest.raises(InputError, match="^" + re.escape(message)):
        check_inputs(strategy, spoil(make_inputs()), C)


def test_good_inputs_pass_whatever_excluded_rows_hold():
    inputs = make_inputs()
    assert {UNLABELED, EXCLUDED, 0, C - 1} <= set(np.asarray(inputs.pool.labels).tolist())
    for value in (0.0, np.nan, np.inf):
        for strategy in (AUTO_FM, BALD, ENTROPY, RANDOM):
            check_inputs(strategy, with_garbage(inputs, value), C)


def test_an_excluded_row_does_not_hide_the_others():
    inputs = bad_values(with_garbage(make_inputs(), np.nan), "embeddings", [23], np.nan)
    with pytest.raises(InputError, match=rf"^embeddings: 1 of {N} rows .* first are 23$"):
        check_inputs(RANDOM, inputs, C)


def test_what_a_strategy_does_not_need_may_be_missing():
    check_inputs(RANDOM, make_inputs()._replace(logits=None, head=None, mc_logits=None, source_logits=None), C)
    check_inputs(ENTROPY, make_inputs()._replace(head=None), C)
