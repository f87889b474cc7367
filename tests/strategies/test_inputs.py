import re

import jax.numpy as jnp
import numpy as np
import pytest

from jaxal.config.strategies import AutoFMConfig, EntropyConfig, RandomConfig
from jaxal.errors import InputError
from jaxal.pool import EXCLUDED, UNLABELED
from jaxal.strategies.inputs import check_inputs
from jaxal.strategies.registry import make_strategy

from .pools import C, D, N, make_inputs, with_garbage

AUTO_FM, ENTROPY, RANDOM = (
    make_strategy(config, num_classes=C) for config in (AutoFMConfig(), EntropyConfig(), RandomConfig())
)


def with_labels(inputs, rows, label):
    labels = inputs.pool.labels.at[jnp.asarray(rows)].set(label)
    return inputs._replace(pool=inputs.pool._replace(labels=labels))


def bad_values(inputs, name, rows, value):
    return inputs._replace(**{name: getattr(inputs, name).at[jnp.asarray(rows), 1].set(value)})


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
        f"pool.labels: expected shape [{N}], got [{N - 1}]",
    ),
    "an id short": (RANDOM, lambda i: cut(i, "sample_ids"), f"sample_ids: expected shape [{N}], got [{N - 1}]"),
    "a row of logits short": (
        RANDOM,
        lambda i: cut(i, "logits"),
        f"logits: expected shape [{N}, {C}], got [{N - 1}, {C}]",
    ),
    "a class too many": (
        RANDOM,
        lambda i: i._replace(logits=wide(i.logits)),
        f"logits: expected shape [{N}, {C}], got [{N}, {C + 1}]",
    ),
    "a transposed head": (
        AUTO_FM,
        lambda i: i._replace(head=i.head._replace(weight=i.head.weight.T)),
        f"head.weight: expected shape [{D}, {C}], got [{C}, {D}]",
    ),
    "a long bias": (
        AUTO_FM,
        lambda i: i._replace(head=i.head._replace(bias=wide(i.head.bias))),
        f"head.bias: expected shape [{C}], got [{C + 1}]",
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
        f"embeddings: 7 of {N} rows hold NaN or infinity; the first are 1, 2, 3, 4, 5",
    ),
    "an infinite embedding of a labeled row": (
        RANDOM,
        lambda i: bad_values(i, "embeddings", [0], -np.inf),
        f"embeddings: 1 of {N} rows hold NaN or infinity; the first are 0",
    ),
    "an infinite logit": (
        ENTROPY,
        lambda i: bad_values(i, "logits", [20], np.inf),
        f"logits: 1 of {N} rows hold NaN or infinity; the first are 20",
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
        for strategy in (AUTO_FM, ENTROPY, RANDOM):
            check_inputs(strategy, with_garbage(inputs, value), C)


def test_an_excluded_row_does_not_hide_the_others():
    inputs = bad_values(with_garbage(make_inputs(), np.nan), "embeddings", [23], np.nan)
    with pytest.raises(InputError, match=rf"^embeddings: 1 of {N} rows .* first are 23$"):
        check_inputs(RANDOM, inputs, C)


def test_what_a_strategy_does_not_need_may_be_missing():
    check_inputs(RANDOM, make_inputs()._replace(logits=None, head=None), C)
    check_inputs(ENTROPY, make_inputs()._replace(head=None), C)
