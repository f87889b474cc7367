"""What `jaxal.select` refuses of embeddings, labels and ids, by the argument's name."""

import jax.numpy as jnp
import numpy as np
import pytest
from refusals import at, check_refused, labels_at
from select_pools import C, N, U, X


class Unfathomable:
    def __array__(self, *arguments, **keywords):
        raise OSError("gone")


def deleted(array):
    copy = jnp.array(array)
    copy.delete()
    return copy


REFUSALS = {
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
    "rows so long that their distances overflow": (
        "random",  # refused whether the strategy looks at distances or not
        lambda a: {"embeddings": at(a["embeddings"], [0, 33], 1e19)},
        "embeddings: 2 of 60 rows are so long (9e18 or more) that squared distances leave float32; scale them down; the"
        " first are 0, 33",
    ),
    "deleted": ("random", lambda a: {"embeddings": deleted(a["embeddings"])}, "embeddings: is a jax array that was"),
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
    "logits that tell no number of classes": (
        "entropy",
        lambda a: {"head": None, "mc_logits": None, "logits": a["logits"][:, 0]},
        "logits: expected shape [N, C] = [60, 3], got [60]",
    ),
    "turned logits, which tell none either": (
        "entropy",
        lambda a: {"head": None, "mc_logits": None, "logits": a["logits"].T},
        "logits: expected shape [N, C] = [60, 3], got [3, 60]",
    ),
    "a column for a bias": (
        "random",
        lambda a: {"head": (a["head"][0], a["head"][1][:, None])},
        "head.bias: expected shape [C] = [3], got [3, 1]",
    ),
    "one column of logits": (
        "random",
        lambda a: {"head": None, "logits": a["logits"][:, :1]},
        "logits: one column; two classes have two",
    ),
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
def test_a_pool_that_is_none_is_refused(case):
    check_refused(*REFUSALS[case])
