"""Random weights of timm, torchvision and the Lite package give the same logits and training steps here as there."""

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
import pytest

from jaxal.config.models import MODEL_WORDS, ModelConfig
from jaxal.models.model import Variables
from jaxal.models.registry import make_model
from jaxal.models.weights import to_variables

pytestmark = pytest.mark.peers

BATCH = 8
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# A word here, the library, the side of the images: even and odd ones.
CASES = [
    ("efficientnet_b0", "timm", 65),
    ("tf_efficientnet_b0", "timm", 64),
    ("tf_efficientnet_b0", "timm", 75),
    ("efficientnet_b6", "timm", 96),
    ("tf_efficientnet_b6", "timm", 63),
    ("efficientnet_lite0", "lite", 64),
    ("efficientnet_lite1", "lite", 61),
    ("efficientnet_lite2", "lite", 70),
    ("tf_efficientnet_lite0", "timm", 63),
    ("resnet18", "torchvision", 64),
    ("resnet34", "torchvision", 57),
    ("resnet34", "timm", 64),
]


def torch_model(word, library, side):
    """A network of PyTorch's with random weights, scales and shifts."""
    import torch

    torch.manual_seed(0)
    if library == "timm":
        import timm

        model = timm.create_model(word, num_classes=11)
    elif library == "torchvision":
        import torchvision

        model = getattr(torchvision.models, word)(num_classes=11)
    else:
        from efficientnet_lite_pytorch import EfficientNet

        # Its padding is laid out for images of one size, the published one if none is named.
        model = EfficientNet.from_name(word.replace("_", "-"), image_size=side, drop_connect_rate=0.0)
        model._fc = torch.nn.Linear(model._fc.in_features, 11)
    with torch.no_grad():
        for norm in norms_of(model):
            norm.weight.uniform_(0.8, 1.2)
            norm.bias.uniform_(-0.2, 0.2)
    return model


def norms_of(model):
    import torch

    return [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]


def take_statistics(model, x):
    """Set the running statistics to those of a batch: with others, activations would die or explode on their way."""
    import torch

    momenta = [norm.momentum for norm in norms_of(model)]
    with torch.no_grad():
        for norm in norms_of(model):
            norm.momentum = 1.0
        model.train()(x)
    for norm, momentum in zip(norms_of(model), momenta, strict=True):
        norm.momentum = momentum


def both(word, library, side, **settings):
    """Model here, its variables, model there, images, and their normalized form for PyTorch."""
    import torch

    images = np.random.default_rng(2).integers(0, 256, (BATCH, side, side, 3), dtype=np.uint8)
    pixels = (images.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    normalized = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())
    peer = torch_model(word, library, side)
    take_statistics(peer, normalized)
    config = msgspec.convert({**MODEL_WORDS[word], **settings}, ModelConfig)
    model = make_model(config, image_shape=(side, side, 3), num_classes=11, mean=MEAN, std=STD)
    template = model.init(jax.random.key(0))
    # Copies: training there renews running statistics in place.
    named = {name: tensor.numpy().copy() for name, tensor in peer.state_dict().items()}
    variables, _ = to_variables(named, template, config)
    return model, variables, peer, jnp.asarray(images), normalized


@pytest.mark.parametrize(("word", "library", "side"), CASES)
def test_logits_are_the_same(word, library, side):
    import torch

    model, variables, peer, images, normalized = both(word, library, side)
    with torch.inference_mode():
        expected = peer.eval()(normalized).numpy()
    logits = np.asarray(jax.jit(model.apply)(variables, images))
    # It is the images that count, not the last layer's bias.
    assert np.max(np.abs(expected[0] - expected[1])) > 0.1 * np.max(np.abs(expected))
    assert np.max(np.abs(logits - expected)) <= 1e-4 * np.max(np.abs(expected))


@pytest.mark.parametrize(
    ("word", "library", "settings"),
    [
        ("efficientnet_b0", "timm", {"dropout": 0.0, "drop_path": 0.0}),
        ("tf_efficientnet_b0", "timm", {"dropout": 0.0, "drop_path": 0.0, "batch_norm_momentum": 0.1}),
        ("resnet18", "torchvision", {}),
    ],
)
def test_a_training_step_is_the_same(word, library, settings):
    import torch

    model, variables, peer, images, normalized = both(word, library, 64, **settings)
    labels = np.arange(BATCH) % 11
    loss = torch.nn.functional.cross_entropy(peer.train()(normalized), torch.from_numpy(labels))
    loss.backward()

    @jax.jit
    def step(params):
        def value(params):
            logits, stats = model.apply_train(Variables(params, variables.batch_stats), jax.random.key(0), images)
            return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(BATCH), labels]), stats

        return jax.value_and_grad(value, has_aux=True)(params)

    (own_loss, batch_stats), gradients = step(variables.params)
    np.testing.assert_allclose(own_loss, loss.item(), rtol=1e-4)
    named = {name: np.asarray(tensor) for name, tensor in peer.state_dict().items()}
    named |= {name: parameter.grad.numpy() for name, parameter in peer.named_parameters()}
    config = msgspec.convert({**MODEL_WORDS[word], **settings}, ModelConfig)
    expected, _ = to_variables(named, variables, config)
    for one, other in zip(jax.tree.leaves(batch_stats), jax.tree.leaves(expected.batch_stats), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    for (path, one), other in zip(
        jax.tree_util.tree_leaves_with_path(gradients), jax.tree.leaves(expected.params), strict=True
    ):
        # As whole arrays: a ReLU within rounding of zero may open here and not there, which changes single numbers.
        error = np.linalg.norm(one - other) / max(np.linalg.norm(other), 1e-3)
        assert error < 0.02, (path, error)
