"""EfficientNet and ResNet: published sizes, what every model promises, noise by key, types."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_networks import BATCH, QUIET, images, lively, tiny

from jaxal.config.models import MODEL_WORDS, EfficientNetConfig, ModelConfig, OrganCNNConfig, ResNetConfig
from jaxal.models.efficientnet_table import VARIANTS, net_shape
from jaxal.models.layers import drop_path, dropout
from jaxal.models.model import Variables
from jaxal.models.organ_cnn import organ_cnn
from jaxal.models.registry import make_model

# At 1000 classes and three channels, as published and as timm, torchvision and efficientnet-lite-pytorch have them.
PUBLISHED = {
    "b0": 5_288_548,
    "b1": 7_794_184,
    "b2": 9_109_994,
    "b3": 12_233_232,
    "b4": 19_341_616,
    "b5": 30_389_784,
    "b6": 43_040_704,
    "b7": 66_347_960,
    "lite0": 4_652_008,
    "lite1": 5_416_680,
    "lite2": 6_092_072,
    18: 11_689_512,
    34: 21_797_672,
}
NAMES = ["b", "lite", "resnet"]


def make(config: ModelConfig, channels: int = 3, num_classes: int = 1000):
    return make_model(
        config, image_shape=(32, 32, channels), num_classes=num_classes, mean=(0.5,) * channels, std=(0.25,) * channels
    )


def config_of(which: str | int) -> ModelConfig:
    return ResNetConfig(depth=which) if isinstance(which, int) else EfficientNetConfig(variant=which)


SLOW = {"b1", "b2", "b3", "b4", "b5"}


@pytest.mark.parametrize(
    "which", [pytest.param(each, marks=pytest.mark.slow) if each in SLOW else each for each in PUBLISHED]
)
def test_it_has_as_many_parameters_as_published(which):
    shapes = jax.eval_shape(make(config_of(which)).init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes.params)) == PUBLISHED[which]


def test_the_table_covers_every_word():
    variants = {table["variant"] for table in MODEL_WORDS.values() if table["kind"] == "efficientnet"}
    assert variants == set(VARIANTS) == {which for which in PUBLISHED if isinstance(which, str)}
    assert [len(net_shape(VARIANTS[name]).blocks) for name in ("b0", "b6", "b7", "lite0", "lite1")] == [
        16,
        45,
        55,
        16,
        21,
    ]
    assert net_shape(VARIANTS["b6"]).head_maps == make(config_of("b6")).spec.embedding_width == 2304


def test_variables_have_the_names_that_weights_are_mapped_to():
    params, stats = jax.eval_shape(make(config_of("b0"), channels=1, num_classes=7).init, jax.random.key(0))
    norm = {"scale", "bias"}
    assert set(params) == {"stem", "blocks", "head_conv", "head_norm", "classifier"}
    assert params["stem"]["conv"]["kernel"].shape == (3, 3, 1, 32)
    assert set(params["stem"]["norm"]) == set(params["head_norm"]) == norm
    assert set(stats["stem"]["norm"]) == set(stats["head_norm"]) == {"mean", "var"}
    common = {"depthwise", "norm_depthwise", "reduce", "excite", "project", "norm_project"}
    assert set(params["blocks"][0]) == common
    assert set(params["blocks"][15]) == {*common, "expand", "norm_expand"}
    shapes = {name: params["blocks"][1][name]["kernel"].shape for name in ("expand", "depthwise", "reduce", "excite")}
    assert shapes == {
        "expand": (1, 1, 16, 96),
        "depthwise": (3, 3, 1, 96),
        "reduce": (1, 1, 96, 4),
        "excite": (1, 1, 4, 96),
    }
    assert params["classifier"]["kernel"].shape == (1280, 7)
    params, _ = jax.eval_shape(make(config_of("lite0")).init, jax.random.key(0))
    assert not {"reduce", "excite"} & set(params["blocks"][3])
    params, _ = jax.eval_shape(make(config_of(18)).init, jax.random.key(0))
    assert set(params["blocks"][0]) == {"conv1", "norm1", "conv2", "norm2"}
    assert set(params["blocks"][2]) == {"conv1", "norm1", "conv2", "norm2", "shortcut", "shortcut_norm"}
    assert params["stem"]["conv"]["kernel"].shape == (7, 7, 3, 64)


def test_the_registry_gives_the_same_model_for_the_same_settings():
    assert make(config_of("b0")) is make(EfficientNetConfig(variant="b0"))
    assert make(config_of("b0")) is not make(EfficientNetConfig(variant="b0", convention="tf_efficientnet"))
    small = {"image_shape": (28, 28, 1), "num_classes": 11, "mean": (0.5,), "std": (0.25,)}
    assert make_model(OrganCNNConfig(), **small) is organ_cnn(OrganCNNConfig(), **small)
    assert make_model(OrganCNNConfig(), **small) is make_model(OrganCNNConfig(), **small)


@pytest.fixture(scope="module", params=["b", pytest.param("lite", marks=pytest.mark.slow), "resnet"])
def network(request):
    model = tiny(request.param)
    return request.param, model, lively(model)


def test_apply_is_head_of_embed_and_rows_stand_alone(network):
    _, model, variables = network
    embed, apply = jax.jit(model.embed), jax.jit(model.apply)
    z, logits = embed(variables, images()), apply(variables, images())
    assert z.shape == (BATCH, model.spec.embedding_width)
    assert np.std(z) > 1e-3
    np.testing.assert_allclose(model.head(variables, z), logits, rtol=1e-5, atol=1e-6)
    weight, bias = model.linear_head(variables)
    np.testing.assert_allclose(z @ weight + bias[None], logits, rtol=1e-4, atol=1e-5)
    others = images().at[1:].set(255 - images()[1:])
    assert np.array_equal(apply(variables, others)[0], logits[0])
    assert not np.allclose(apply(variables, others)[1:], logits[1:])


def test_every_parameter_receives_a_gradient_and_every_statistic_moves(network):
    name, model, variables = network

    @jax.jit
    def step(variables):
        def loss(params):
            logits, batch_stats = model.apply_train(
                Variables(params, variables.batch_stats), jax.random.key(1), images()
            )
            return -jnp.sum(jax.nn.log_softmax(logits)[:, 0]), batch_stats

        return jax.grad(loss, has_aux=True)(variables.params)

    gradients, batch_stats = step(variables)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.all(np.isfinite(leaf)), path
        assert np.any(leaf != 0), path
    old, new = jax.tree.leaves(variables.batch_stats), jax.tree.leaves(batch_stats)
    assert len(new) == (12 if name == "resnet" else 20)
    assert not any(np.array_equal(one, other) for one, other in zip(old, new, strict=True))


@pytest.mark.slow
def test_variables_are_float32_in_bfloat16_compute_too(network):
    name, exact, variables = network
    model = tiny(name, compute="bfloat16")
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {jnp.dtype("float32")}
    z, expected = jax.jit(model.embed)(variables, images()), jax.jit(exact.embed)(variables, images())
    assert z.dtype == jax.eval_shape(model.apply, variables, images()).dtype == jnp.float32
    assert 1e-5 < np.max(np.abs(z - expected)) < 0.1 * np.max(np.abs(expected))
    logits, batch_stats = jax.jit(model.apply_train)(variables, jax.random.key(0), images())
    assert {leaf.dtype for leaf in jax.tree.leaves((logits, batch_stats))} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    "settings",
    [
        {"dropout": 0.5, "drop_path": 0.5},
        pytest.param({"dropout": 0.5, "drop_path": 0.0}, marks=pytest.mark.slow),
        pytest.param({"dropout": 0.0, "drop_path": 0.9}, marks=pytest.mark.slow),
        pytest.param(QUIET, marks=pytest.mark.slow),
    ],
)
def test_noise_is_the_key_s(settings):
    model = tiny("lite", **settings)
    variables = lively(model)
    train = jax.jit(model.apply_train)
    logits = [train(variables, jax.random.key(seed), images())[0] for seed in (1, 1, 2, 3, 4)]
    assert np.array_equal(logits[0], logits[1])
    is_noisy = any(not np.allclose(each, logits[0]) for each in logits[2:])
    assert is_noisy == (settings is not QUIET)


def test_dropout_drops_at_its_rate_and_keeps_the_mean():
    x = jnp.ones((4_000, 2, 1, 5))
    dropped = np.asarray(dropout(jax.random.key(0), x, 0.2))
    np.testing.assert_allclose(np.unique(dropped), [0, 1.25])
    np.testing.assert_allclose(np.mean(dropped == 0), 0.2, atol=0.01)
    paths = np.asarray(drop_path(jax.random.key(0), x, 0.4))
    assert np.array_equal(paths, np.broadcast_to(paths[:, :1, :, :1], x.shape))
    np.testing.assert_allclose(np.mean(paths == 0), 0.4, atol=0.03)
    np.testing.assert_allclose(np.unique(paths), [0, 1 / 0.6], rtol=1e-6)


@pytest.mark.slow
def test_a_momentum_of_one_s_own_is_taken():
    for name in ("lite", "resnet"):
        model = tiny(name, batch_norm_momentum=1.0)
        variables, train = lively(model), jax.jit(model.apply_train)
        _, stats = train(variables, jax.random.key(0), images())
        shifted = variables._replace(batch_stats=jax.tree.map(lambda leaf: leaf + 1, variables.batch_stats))
        _, same = train(shifted, jax.random.key(0), images())
        for one, other in zip(jax.tree.leaves(stats), jax.tree.leaves(same), strict=True):
            np.testing.assert_array_equal(one, other)


def test_initial_weights_keep_activations_in_range():
    for name in NAMES:
        model = tiny(name)
        z = jax.jit(model.embed)(model.init(jax.random.key(0)), images())
        assert 1e-3 < float(jnp.std(z)) < 10
        weight, bias = model.linear_head(model.init(jax.random.key(0)))
        assert 0.5 < np.max(np.abs(weight)) * np.sqrt(weight.shape[0]) <= 1
        assert not np.any(bias)
