"""Shipped and random weights through this reader give what PyTorch gives, on photos."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from jaxal.config.models import EfficientNetConfig, ModelConfig, ResNetConfig
from jaxal.models.pretrained import Normalization, find_weights, initial_variables, input_normalization
from jaxal.models.registry import make_model
from jaxal.models.weights import load_weights, parse_weights, to_variables

pytestmark = pytest.mark.peers
SIDES = {"lite0": 224, "lite1": 240, "lite2": 260}


def photos(side: int) -> np.ndarray:
    """Return crops of two photos, whole and in part, uint8 [6, side, side, 3]."""
    crops = []
    for photo in load_sample_images().images:
        image = Image.fromarray(photo)
        boxes = [(0, 0, *image.size), (100, 50, 400, 350), (300, 100, 300 + side, 100 + side)]
        crops += [np.asarray(image.resize((side, side), box=box)) for box in boxes]
    return np.stack(crops)


def jaxal_logits(model_config: ModelConfig, images: np.ndarray, scaling: Normalization, named, num_classes=1000):
    model = make_model(
        model_config,
        image_shape=images.shape[1:],
        num_classes=num_classes,
        mean=scaling.mean,
        std=scaling.std,
    )
    template = jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(model.init, jax.random.key(0))
    )
    variables, report = to_variables(named, template, model_config)
    assert not report.fresh
    assert not report.notes
    return np.asarray(jax.jit(model.apply)(variables, images))


def torch_logits(module, images: np.ndarray, scaling: Normalization) -> np.ndarray:
    import torch

    x = (images.astype(np.float32) / 255 - np.float32(scaling.mean)) / np.float32(scaling.std)
    with torch.inference_mode():
        return module.eval()(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy()


def relative_difference(found: np.ndarray, expected: np.ndarray) -> float:
    print(f"max|Δ|/max|logit| {np.abs(found - expected).max() / np.abs(expected).max():.1e}")
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("variant", SIDES)
def test_lite_with_shipped_weights(variant):
    from efficientnet_lite_pytorch import EfficientNet

    config = EfficientNetConfig(variant=variant, init="imagenet")
    images, path, scaling = photos(SIDES[variant]), find_weights(config), input_normalization(config, 3)
    assert path is not None
    assert scaling is not None
    module = EfficientNet.from_pretrained(f"efficientnet-{variant}", weights_path=str(path))
    expected = torch_logits(module, images, scaling)
    found = jaxal_logits(config, images, scaling, load_weights(path))
    assert relative_difference(found, expected) <= 1e-4
    assert (found.argmax(1) == expected.argmax(1)).all()


def test_gray_photos_are_repeated_ones():
    config = EfficientNetConfig(variant="lite0", init="imagenet")
    gray = photos(96).mean(3, keepdims=True).round().astype(np.uint8)
    logits = []
    for images in (gray, gray.repeat(3, 3)):
        scaling = input_normalization(config, images.shape[3])
        assert scaling is not None
        model = make_model(config, image_shape=images.shape[1:], num_classes=1000, mean=scaling.mean, std=scaling.std)
        variables, _ = initial_variables(model, config, jax.random.key(0))
        logits.append(np.asarray(jax.jit(model.apply)(variables, images)))
    assert relative_difference(*logits) <= 1e-5


def shaken(module):
    """Give a network weights and statistics unlike its initial ones, of a usual size."""
    import torch

    torch.manual_seed(0)
    for name, value in module.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            value.normal_(0, 0.1)
        elif name.endswith("running_var") or (name.endswith("weight") and value.ndim == 1):
            value.uniform_(0.7, 1.3)
    return module


def timm_model(name):
    import timm

    return timm.create_model(name, num_classes=7)


def torchvision_model(name):
    import torchvision

    return torchvision.models.get_model(name, num_classes=7)


TF_B0 = EfficientNetConfig(variant="b0", convention="tf_efficientnet")
RANDOM = {
    "timm b0": (timm_model, "efficientnet_b0", EfficientNetConfig(variant="b0")),
    "timm tf b0": (timm_model, "tf_efficientnet_b0", TF_B0),
    "timm b1": (timm_model, "efficientnet_b1", EfficientNetConfig(variant="b1")),
    "timm lite0": (timm_model, "tf_efficientnet_lite0", EfficientNetConfig(variant="lite0")),
    "timm resnet18": (timm_model, "resnet18", ResNetConfig(depth=18)),
    "torchvision b0": (torchvision_model, "efficientnet_b0", EfficientNetConfig(variant="b0")),
    "torchvision resnet18": (torchvision_model, "resnet18", ResNetConfig(depth=18)),
    "torchvision resnet34": (torchvision_model, "resnet34", ResNetConfig(depth=34)),
}


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", RANDOM)
def test_random_weights_saved_by_pytorch(name, is_zip):
    import torch

    make, source, config = RANDOM[name]
    module, images, scaling = shaken(make(source)), photos(64), Normalization((0.5,) * 3, (0.25,) * 3)
    stream = io.BytesIO()
    torch.save(module.state_dict(), stream, _use_new_zipfile_serialization=is_zip)
    named = parse_weights(stream.getvalue(), "made by PyTorch")
    expected = torch_logits(module, images, scaling)
    assert relative_difference(jaxal_logits(config, images, scaling, named, 7), expected) <= 1e-4


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
def test_what_pytorch_saves_is_read(is_zip):
    import torch

    base = torch.arange(24.0)
    held = {
        "a": base.reshape(4, 6).T,
        "b": base[3:9],
        "c": base[::5],
        "half": torch.randn(3).half(),
        "bfloat16": torch.randn(300).bfloat16(),
        "double": torch.randn(2, 3).double(),
        "long": torch.tensor(5),
        "int": torch.arange(3, dtype=torch.int32),
        "bool": torch.tensor([True, False]),
        "parameter": torch.nn.Parameter(torch.randn(2, 2)),
        "empty": torch.zeros(0, 4),
    }
    for protocol in (2, 3, 4, 5):
        stream = io.BytesIO()
        torch.save(
            {"state_dict": held, "epoch": 3, "rate": 0.1},
            stream,
            pickle_protocol=protocol,
            _use_new_zipfile_serialization=is_zip,
        )
        found = parse_weights(stream.getvalue(), "made by PyTorch")
        assert list(found) == list(held)
        for name, tensor in held.items():
            value = tensor.detach()
            value = value.float() if name == "bfloat16" else value
            assert np.array_equal(found[name], value.numpy())
