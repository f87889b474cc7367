"""Weights of another library become a safetensors file of jaxal's own names, and nothing is ever replaced."""

import functools
import hashlib
import sys
from pathlib import Path

import convert_weights
import jax
import numpy as np
import pytest
from safetensors.numpy import save

from jaxal.config.models import ResNetConfig
from jaxal.models.registry import make_model
from jaxal.models.weights import load_weights, named_leaves, to_variables

LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
LAYERS = {"shortcut": "downsample.0", "shortcut_norm": "downsample.1", "norm1": "bn1", "norm2": "bn2"}


@functools.cache
def resnet18(num_classes: int, channels: int = 3):
    """Return a model's shapes and drawn arrays of it, as torchvision names and lays them out."""
    normalization = (0.5,) * channels
    config = ResNetConfig(depth=18)
    shape = (224, 224, channels)
    model = make_model(config, image_shape=shape, num_classes=num_classes, mean=normalization, std=normalization)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    rng, named = np.random.default_rng(0), {}
    for name, leaf in named_leaves(shapes).items():
        *path, last = name.split("/")
        if path[0] == "blocks":
            number = int(path[1])
            layer = f"layer{number // 2 + 1}.{number % 2}.{LAYERS.get(path[2], path[2])}"
        else:
            layer = {"stem/conv": "conv1", "stem/norm": "bn1", "classifier": "fc"}["/".join(path)]
        array = rng.standard_normal(leaf.shape, np.float32)
        turned = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
        named[f"{layer}.{LEAVES[last]}"] = np.ascontiguousarray(turned)
    return shapes, named


@pytest.fixture
def source(tmp_path) -> Path:
    path = tmp_path / "in.safetensors"
    path.write_bytes(save(resnet18(5)[1]))
    return path


def test_a_converted_file_holds_the_same_weights(source, tmp_path, capsys, monkeypatch):
    target = tmp_path / "out.safetensors"
    monkeypatch.setattr(sys, "argv", ["convert_weights.py", str(source), str(target), "--model", "resnet18"])
    assert convert_weights.main() == 0
    out = capsys.readouterr().out
    for path in (source, target):
        assert hashlib.sha256(path.read_bytes()).hexdigest() in out
    assert "torchvision's ResNet" in out
    shapes, named = resnet18(5)
    template = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    direct, _ = to_variables(named, template, ResNetConfig(depth=18))
    again, report = to_variables(load_weights(target), template, ResNetConfig(depth=18))
    assert report.names == "jaxal"
    assert report.num_loaded == len(named)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), direct, again))
    assert not list(tmp_path.glob("*.part"))
    assert convert_weights.main() == 1
    assert "exists" in capsys.readouterr().err


def test_a_file_of_another_channel_count_and_no_head(tmp_path):
    named = resnet18(5, channels=1)[1]
    source, target = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    source.write_bytes(save({name: each for name, each in named.items() if not name.startswith("fc.")}))
    report = convert_weights.convert(source, target, "resnet18")
    assert report.fresh == ("classifier/bias", "classifier/kernel")
    found = load_weights(target)
    assert found["stem/conv/kernel"].shape == (7, 7, 1, 64)
    assert not [name for name in found if name.startswith("classifier")]


def test_another_model_is_refused(source, tmp_path, capsys, monkeypatch):
    words = ["convert_weights.py", str(source), str(tmp_path / "out.safetensors"), "--model", "resnet34"]
    monkeypatch.setattr(sys, "argv", words)
    assert convert_weights.main() == 1
    said = capsys.readouterr().err
    assert "missing: blocks/" in said
    assert "Traceback" not in said
    assert not (tmp_path / "out.safetensors").exists()
