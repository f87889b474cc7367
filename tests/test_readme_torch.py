"""The README's example for a model of PyTorch's, run as it stands there: with a stand-in, and with torch itself."""

import re
import types
from pathlib import Path

import numpy as np
import pytest
from stand_in_tensor import Tensor

import jaxal

README = Path(__file__).parents[1] / "README.md"


def blocks() -> list[str]:
    section = README.read_text(encoding="utf-8").split("## Select for your own model")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def expected_rows(embeddings, labels, weight, bias):
    return jaxal.select("cb_dal", embeddings=embeddings, labels=labels, head=(weight.T, bias), budget=20)


def test_the_three_lines_select_from_tensors_that_speak_dlpack():
    _, three_lines = blocks()
    assert three_lines.count("\n") == 3
    rng = np.random.default_rng(0)
    embeddings, weight, bias = (rng.normal(size=size).astype(np.float32) for size in ((500, 64), (3, 64), (3,)))
    images = rng.random((500, 1, 28, 28)).astype(np.float32)
    labels = np.where(np.arange(500) < 60, np.arange(500) % 3, -1)

    def body(given):
        assert given.array is images
        return Tensor(embeddings, requires_grad=True)

    names = {
        "jaxal": jaxal,
        "torch": types.SimpleNamespace(from_numpy=Tensor),
        "body": body,
        "last": types.SimpleNamespace(weight=Tensor(weight, requires_grad=True), bias=Tensor(bias, requires_grad=True)),
        "images": Tensor(images),
        "labels": Tensor(labels),
    }
    exec(three_lines, names)
    np.testing.assert_array_equal(names["rows"], expected_rows(embeddings, labels, weight, bias))
    np.testing.assert_array_equal(names["to_label"].array, images[names["rows"]])
    assert set(labels[names["rows"]]) == {-1}


@pytest.mark.peers
def test_the_example_runs_with_pytorch():
    names: dict = {}
    for block in blocks():
        exec(block, names)
    embeddings, weight, bias, labels = (
        each.detach().numpy()
        for each in (names["embeddings"], names["last"].weight, names["last"].bias, names["labels"])
    )
    assert names["embeddings"].requires_grad
    np.testing.assert_array_equal(names["rows"], expected_rows(embeddings, labels, weight, bias))
    assert names["to_label"].shape == (20, 1, 28, 28)


@pytest.mark.peers
def test_every_type_that_pytorch_has_gives_the_picks_of_numpy():
    import torch

    rng = np.random.default_rng(1)
    embeddings, weight, bias = (rng.normal(size=size).astype(np.float32) for size in ((90, 6), (6, 3), (3,)))
    labels = np.where(np.arange(90) < 12, np.arange(90) % 3, -1)
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        tensors = [torch.from_numpy(each).to(dtype) for each in (embeddings, weight, bias)]
        rounded = [each.to(torch.float32).numpy() for each in tensors]
        for label_type in (torch.int8, torch.int16, torch.int32, torch.int64):
            picks = jaxal.select(
                "margin",
                embeddings=tensors[0].requires_grad_(),
                head=(torch.nn.Parameter(tensors[1]), tensors[2]),
                labels=torch.from_numpy(labels).to(label_type),
                budget=7,
            )
            expected = jaxal.select("margin", embeddings=rounded[0], head=rounded[1:], labels=labels, budget=7)
            np.testing.assert_array_equal(picks, expected)
    for wrong in (torch.float32, torch.bool):
        with pytest.raises(jaxal.InputError, match=r"^labels: expected integers"):
            jaxal.select("random", embeddings=embeddings, labels=torch.zeros(90, dtype=wrong), budget=1)
    with pytest.raises(jaxal.InputError, match=r"^embeddings: "):
        jaxal.select("random", embeddings=torch.zeros(90, 6, dtype=torch.complex64), labels=labels, budget=1)
    with pytest.raises(jaxal.InputError, match=r"^embeddings: cannot be read as an array"):
        jaxal.select("random", embeddings=torch.zeros(90, 6).to_sparse(), labels=labels, budget=1)
