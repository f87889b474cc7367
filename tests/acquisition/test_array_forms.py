"""Arrays of every library, order and precision are taken, and say the same."""

import jax.numpy as jnp
import numpy as np
import pytest
from select_pools import Q, pool_arrays, select
from stand_in_tensor import Tensor

from jaxal.typing import LinearHead

FORMS = {
    "float64": lambda array: array.astype(np.float64),
    "big-endian": lambda array: array.astype(array.dtype.newbyteorder()),
    "column by column": np.asfortranarray,
    "every second of a larger one": lambda array: np.repeat(array, 2, axis=0)[::2],
    "read only": lambda array: jnp.asarray(array).__array__(),
    "nested lists": lambda array: array.tolist(),
    "jax": jnp.asarray,
    "tensor": Tensor,
    "tensor with gradients": lambda array: Tensor(array, requires_grad=True),
    "tensor on another device": lambda array: Tensor(array, requires_grad=True, device="cuda:0"),
    "tensor of float64": lambda array: Tensor(array.astype(np.float64)),
    "tensor in an odd order": lambda array: Tensor(np.asfortranarray(array)),
}


@pytest.mark.parametrize("form", FORMS)
def test_arrays_of_every_kind_give_the_same_picks(form):
    arrays = pool_arrays(7)
    expected = select("cb_dal", **arrays)
    make = FORMS[form]
    given = {name: make(array) for name, array in arrays.items() if name != "head"}
    given["labels"] = arrays["labels"] if "float64" in form else given["labels"]
    heads = (tuple(make(part) for part in arrays["head"]), [make(part) for part in arrays["head"]])
    for head in (*heads, LinearHead(*heads[0])):
        np.testing.assert_array_equal(select("cb_dal", **{**given, "head": head}), expected)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_floats_are_widened(dtype):
    arrays = pool_arrays(8)
    narrow = {name: jnp.asarray(arrays[name], dtype) for name in ("embeddings", "logits")}
    wide = {name: np.asarray(array, np.float32) for name, array in narrow.items()}
    expected = select("margin", labels=arrays["labels"], **wide)
    np.testing.assert_array_equal(select("margin", labels=arrays["labels"], **narrow), expected)
    tensors = {name: Tensor(array, requires_grad=True) for name, array in narrow.items()}
    np.testing.assert_array_equal(select("margin", labels=arrays["labels"], **tensors), expected)
    # A bfloat16 model's logits are rounded by up to 0.4 %: that is no contradiction.
    exact = wide["embeddings"].astype(np.float64) @ arrays["head"][0] + arrays["head"][1]
    rounded = jnp.asarray(exact, dtype)
    picks = select(
        "margin", labels=arrays["labels"], embeddings=narrow["embeddings"], head=arrays["head"], logits=rounded
    )
    assert len(picks) == Q


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_labels_may_be_of_any_integer_type(dtype):
    arrays = pool_arrays(9)
    expected = select("mpps", **arrays)
    for form in (np.asarray, jnp.asarray, Tensor):
        labels = form(arrays["labels"].astype(dtype)) if dtype != np.int64 else arrays["labels"]
        np.testing.assert_array_equal(select("mpps", **{**arrays, "labels": labels}), expected)
