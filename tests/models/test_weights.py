"""Weights are laid into a model by name: layouts, heads, stems; what does not fit is told all at once."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save
from torch_fixtures import saved
from torch_names import source_arrays

from jaxal.config.models import EfficientNetConfig, ResNetConfig
from jaxal.errors import DataError
from jaxal.models.efficientnet import efficientnet_of
from jaxal.models.efficientnet_table import Stage, Variant
from jaxal.models.model import ModelSpec, Variables
from jaxal.models.weight_names import find_naming, map_names, strip_prefixes
from jaxal.models.weights import LoadReport, load_weights, parse_weights, to_variables

STAGES = (Stage(1, 3, 1, 1, 8), Stage(2, 5, 2, 3, 16))
FULL, LITE = (Variant(0.25, 1.0, 32, 0.2, is_lite=is_lite, stages=STAGES) for is_lite in (False, True))
CONFIG = EfficientNetConfig(variant="b0")


@functools.cache
def tiny(variant=FULL, channels=3, num_classes=5, config=CONFIG):
    spec = ModelSpec((32, 32, channels), num_classes, 0, (0.5,) * channels, (0.25,) * channels)
    return efficientnet_of(config, variant, spec)


def drawn(model, seed=0) -> Variables:
    """Draw variables whose every array is unlike any initial one; nothing is compiled."""
    leaves, tree = jax.tree.flatten(jax.eval_shape(model.init, jax.random.key(0)))
    rng = np.random.default_rng(seed)
    return jax.tree.unflatten(tree, [jnp.asarray(rng.uniform(0.1, 0.3, leaf.shape), "float32") for leaf in leaves])


def same(one, other) -> bool:
    return jax.tree.all(jax.tree.map(lambda a, b: bool(jnp.array_equal(a, b)), one, other))


MODEL = tiny()
VARIABLES = drawn(MODEL)


NAMES = [("efficientnet_pytorch", FULL), ("timm", FULL), ("torchvision", FULL), ("jaxal", FULL)]
# torchvision has no Lite.
NAMES += [("efficientnet_pytorch", LITE), ("timm", LITE), ("jaxal", LITE)]


@pytest.mark.parametrize(("names", "variant"), NAMES)
def test_names_of_every_library(names, variant):
    model = tiny(variant)
    variables = drawn(model, 1)
    named = source_arrays(variables, names, STAGES)
    found, report = to_variables(named, drawn(model, 9), CONFIG)
    assert same(found, variables)
    assert jax.tree.structure(found) == jax.tree.structure(variables)
    assert report.num_loaded == len(jax.tree.leaves(variables))
    assert report.fresh == report.notes == ()
    assert names in report.names or report.names.startswith(names)


@pytest.mark.parametrize("form", ["legacy", "zip", "safetensors"])
def test_a_file_becomes_the_model_it_was(form, tmp_path):
    named = {
        f"module.{name}": np.ascontiguousarray(each) for name, each in source_arrays(VARIABLES, "timm", STAGES).items()
    }
    path = tmp_path / "weights.any"  # the name says nothing
    path.write_bytes(save(named) if form == "safetensors" else saved(named, is_legacy=form == "legacy"))
    found, _ = to_variables(load_weights(path), drawn(MODEL, 9), CONFIG)
    assert same(found, VARIABLES)


def test_other_types_become_the_models():
    named = source_arrays(VARIABLES, "timm", STAGES)
    half = {name: each.astype(np.float16) for name, each in named.items()}
    found, _ = to_variables(half, VARIABLES, CONFIG)
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype("float32")}
    kernel = found.params["classifier"]["kernel"]
    assert jnp.allclose(kernel, VARIABLES.params["classifier"]["kernel"], atol=1e-3)


@pytest.mark.parametrize("num_classes", [2, 1000])
def test_a_head_of_other_classes_is_new(num_classes):
    model = tiny(num_classes=num_classes)
    template = drawn(model, 4)
    found, report = to_variables(source_arrays(VARIABLES, "timm", STAGES), template, CONFIG)
    assert same(found.params["classifier"], template.params["classifier"])
    assert same(found.params["blocks"], VARIABLES.params["blocks"])
    assert report.fresh == ("classifier/bias", "classifier/kernel")
    assert report.notes == (f"the last layer is new: {num_classes} classes",)


def test_a_file_without_a_head_leaves_it_new():
    named = source_arrays(VARIABLES, "timm", STAGES)
    headless = {name: each for name, each in named.items() if not name.startswith("classifier")}
    found, report = to_variables(headless, drawn(MODEL, 4), CONFIG)
    assert report.fresh == ("classifier/bias", "classifier/kernel")
    assert same(found.batch_stats, VARIABLES.batch_stats)
    del named["classifier.bias"]
    with pytest.raises(DataError, match="1 missing: classifier/bias"):
        to_variables(named, VARIABLES, CONFIG)


def test_a_head_of_another_width_is_no_other_head():
    named = source_arrays(VARIABLES, "timm", STAGES)
    named["classifier.weight"] = named["classifier.weight"][:, 1:]
    with pytest.raises(DataError, match=r"1 of another shape: classifier.weight \(has \(319, 5\), needs \(320, 5\)"):
        to_variables(named, VARIABLES, CONFIG)


# With "repeat" only where every color comes equally often.
@pytest.mark.parametrize(
    ("channels", "stem"), [(1, "repeat"), (6, "repeat"), (1, "sum"), (2, "sum"), (4, "sum"), (6, "sum")]
)
def test_equal_channels_are_one_gray_image(channels, stem):
    config = EfficientNetConfig(variant="b0", stem=stem)
    model = tiny(channels=channels, config=config)
    template = drawn(model, 3)
    found, report = to_variables(source_arrays(VARIABLES, "timm", STAGES), template, config)
    kernel, before = (each.params["stem"]["conv"]["kernel"] for each in (found, VARIABLES))
    assert kernel.shape[2] == channels
    # Of equal channels a convolution sees the sum of their kernels, and nothing else of them.
    np.testing.assert_allclose(kernel.sum(2), before.sum(2), rtol=1e-6)
    assert same(found.params["blocks"], VARIABLES.params["blocks"])
    word = "sum" if channels == 1 else stem
    assert report.notes == (f"the stem's 3 channels became {channels} ({word})",)


def test_a_fourth_channel_repeats_the_first():
    config = EfficientNetConfig(variant="b0", stem="repeat")
    template = drawn(tiny(channels=4), 3)
    found, _ = to_variables(source_arrays(VARIABLES, "timm", STAGES), template, config)
    kernel, before = found.params["stem"]["conv"]["kernel"], VARIABLES.params["stem"]["conv"]["kernel"]
    assert jnp.array_equal(kernel, before[:, :, jnp.array([0, 1, 2, 0])] * 0.75)


def test_everything_that_does_not_fit_is_told_at_once():
    named = source_arrays(VARIABLES, "timm", STAGES)
    del named["conv_head.weight"], named["bn1.running_mean"]
    named["blocks.1.0.conv_dw.weight"] = named["blocks.1.0.conv_dw.weight"][:, :, 1:-1, 1:-1]
    named["bn2.running_var"] = np.full_like(named["bn2.running_var"], np.nan)
    named |= {f"extra.{number}.weight": np.ones(2) for number in range(20)}
    with pytest.raises(DataError) as caught:
        to_variables(named, VARIABLES, CONFIG)
    message = str(caught.value)
    assert "2 missing: head_conv/kernel, stem/norm/mean" in message
    assert "20 unexpected: extra.0.weight, " in message
    assert message.count("extra.") == 8
    assert "1 of another shape: blocks.1.0.conv_dw.weight (has (3, 3, 1, 24), needs (5, 5, 1, 24)" in message
    assert "1 not finite: bn2.running_var" in message


def test_weights_of_another_network():
    lite = source_arrays(drawn(tiny(LITE)), "timm", STAGES)
    with pytest.raises(DataError, match=r"missing: blocks/0/excite"):
        to_variables(lite, VARIABLES, CONFIG)
    with pytest.raises(DataError, match=r"unexpected: blocks.0.0.se.conv_reduce.weight|unexpected: blocks"):
        to_variables(source_arrays(VARIABLES, "timm", STAGES), drawn(tiny(LITE)), CONFIG)
    with pytest.raises(DataError, match="3 names are none that are known"):
        to_variables({name: np.ones(2) for name in "abc"}, VARIABLES, CONFIG)
    with pytest.raises(DataError, match="0 names"):
        to_variables({}, VARIABLES, CONFIG)


def test_wrappers_names_are_left_out():
    assert strip_prefixes(["model.module.a", "model.module.b"]) == {"model.module.a": "a", "model.module.b": "b"}
    assert strip_prefixes(["module.a", "b"]) == {"module.a": "module.a", "b": "b"}
    assert strip_prefixes([]) == {}


def test_two_names_of_one_place_are_not_mixed_up():
    named = source_arrays(VARIABLES, "timm", STAGES)
    named["blocks.00.0.conv_dw.weight"] = named["blocks.0.0.conv_dw.weight"]
    with pytest.raises(DataError, match=r"1 unexpected: blocks.00.0.conv_dw.weight"):
        to_variables(named, VARIABLES, CONFIG)


def test_resnets_names():
    layers = ["conv1", "layer1.0.conv1", "layer1.1.conv2", "layer2.0.downsample.0", "layer2.1.conv1", "fc"]
    norms = {"layer1.0.bn1": "norm1", "layer1.1.bn2": "norm2", "layer2.0.downsample.1": "shortcut_norm"}
    names = [f"{layer}.weight" for layer in [*layers, *norms]] + ["bn1.running_var", "layer1.0.bn1.num_batches_tracked"]
    naming = find_naming(names)
    assert naming is not None
    assert map_names(naming, [*names, "layer1.0.conv3.weight"]) == {
        "conv1.weight": ("stem", "conv", "kernel"),
        "layer1.0.conv1.weight": ("blocks", "0", "conv1", "kernel"),
        "layer1.1.conv2.weight": ("blocks", "1", "conv2", "kernel"),
        "layer2.0.downsample.0.weight": ("blocks", "2", "shortcut", "kernel"),
        "layer2.1.conv1.weight": ("blocks", "3", "conv1", "kernel"),
        "fc.weight": ("classifier", "kernel"),
        "layer1.0.bn1.weight": ("blocks", "0", "norm1", "scale"),
        "layer1.1.bn2.weight": ("blocks", "1", "norm2", "scale"),
        "layer2.0.downsample.1.weight": ("blocks", "2", "shortcut_norm", "scale"),
        "bn1.running_var": ("stem", "norm", "var"),
        "layer1.0.conv3.weight": None,
    }
    assert ResNetConfig(depth=18).stem == "repeat"


def test_names_of_a_wrapped_checkpoint_are_found_in_both():
    assert LoadReport() == LoadReport("", "", "", 0, (), ())
    plain = {"fc.weight": np.ones((2, 3), np.float32)}
    wrapped = {f"_orig_mod.{name}": each for name, each in plain.items()}
    assert list(parse_weights(saved(wrapped, is_legacy=False), "x")) == ["fc.weight"]


SAFE = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([1, 2], np.int64)}


def test_a_safetensors_file_that_breaks_off_anywhere():
    whole = save(SAFE | {"c": np.zeros(500, np.float32)})
    assert len(parse_weights(whole, "x")) == 3
    for cut in sorted({len(whole) * part // 50 for part in range(1, 50)} | {1, 7, 8, 9, len(whole) - 1}):
        with pytest.raises(DataError, match=r"^x: .*truncated.* Get the file again") as caught:
            parse_weights(whole[:cut], "x")
        assert "\n" not in str(caught.value)


def test_safetensors_with_bfloat16():
    bits = (np.array([1.0, -2.5], np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    header = b'{"w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    found = parse_weights(len(header).to_bytes(8, "little") + header + bits, "x")["w"]
    assert found.dtype == np.float32
    assert found.tolist() == [1.0, -2.5]


@pytest.mark.parametrize(
    "header",
    [
        b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}',
        b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[-4,4]}}',
        b'{"w":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}}',
        b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"v":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b'{"w":{"dtype":"X9","shape":[1],"data_offsets":[0,4]}}',
        b'{"w":5}',
        b"{" * 5000,
        b"{nothing}",
    ],
)
def test_hostile_headers_of_safetensors(header):
    with pytest.raises(DataError, match=r"^x: .*safetensors"):
        parse_weights(len(header).to_bytes(8, "little") + header + bytes(4), "x")


def test_a_headers_length_is_not_believed():
    with pytest.raises(DataError, match=r"truncated: it should have \d+ bytes"):
        parse_weights((2**62).to_bytes(8, "little") + b"{}" + bytes(10), "x")
