"""What the tensors of other libraries are called here: their names, as paths in a model's tree of variables.

Known are EfficientNet of efficientnet_pytorch and its Lite packages, of timm and of torchvision; ResNet-18/34 of
torchvision and timm; and jaxal's own names (paths joined by "/"), which `scripts/convert_weights.py` writes.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

__all__ = ["HEAD", "STEM_KERNEL", "Naming", "find_naming", "map_names", "strip_prefixes"]

Path = tuple[str, ...]
# Where the last layer is, and the kernel that sees the image's channels, in every model's tree.
HEAD, STEM_KERNEL = "classifier", ("stem", "conv", "kernel")
# What wrappers put before every name.
PREFIXES = ("module.", "_orig_mod.", "model.")
IGNORED = "num_batches_tracked"

CONV, LINEAR = {"weight": ("kernel",), "bias": ("bias",)}, {"weight": ("kernel",), "bias": ("bias",)}
NORM = {"weight": ("scale",), "bias": ("bias",), "running_mean": ("mean",), "running_var": ("var",)}


class Naming(NamedTuple):
    """One library's names."""

    title: str
    mark: str  # a name that tells it: a pattern that matches one of the file's names
    rename: Callable[[Sequence[str]], Mapping[str, Path]]  # layer names (without the last part) -> path in the tree


def strip_prefixes(names: Iterable[str]) -> dict[str, str]:
    """Return each name without what a wrapper put before all of them.

    >>> strip_prefixes(["module.fc.weight", "module.fc.bias"])
    {'module.fc.weight': 'fc.weight', 'module.fc.bias': 'fc.bias'}
    """
    stripped = {name: name for name in names}
    for _ in PREFIXES:
        for prefix in PREFIXES:
            if stripped and all(name.startswith(prefix) for name in stripped.values()):
                stripped = {name: short.removeprefix(prefix) for name, short in stripped.items()}
    return stripped


def find_naming(names: Iterable[str]) -> Naming | None:
    """Return whose names these are, or None."""
    names = list(names)
    return next((naming for naming in NAMINGS if any(re.fullmatch(naming.mark, name) for name in names)), None)


def map_names(naming: Naming, names: Iterable[str]) -> dict[str, Path | None]:
    """Map each name to a path in the tree, or to None where it has none.

    Counters of batches ("num_batches_tracked"), which nothing here uses, are left out.
    """
    kept = [name for name in names if not name.endswith(IGNORED)]
    if naming is OWN:
        return {name: tuple(name.split("/")) for name in kept}
    layers = naming.rename(sorted({name.rpartition(".")[0] for name in kept}))
    return {name: _path(layers.get(name.rpartition(".")[0]), name.rpartition(".")[2]) for name in kept}


def _path(layer: Path | None, leaf: str) -> Path | None:
    if layer is None:
        return None
    last = (NORM if _is_norm(layer[-1]) else LINEAR if layer[-1] == HEAD else CONV).get(leaf)
    return None if last is None else (*layer, *last)


def _is_norm(layer: str) -> bool:
    return "norm" in layer


def _pytorch_layers(layers: Sequence[str]) -> dict[str, Path]:
    """Names of efficientnet_pytorch, and of the Lite packages, which follow it."""
    fixed: dict[str, Path] = {
        "_conv_stem": ("stem", "conv"),
        "_bn0": ("stem", "norm"),
        "_conv_head": ("head_conv",),
        "_bn1": ("head_norm",),
        "_fc": (HEAD,),
    }
    parts = {
        "_expand_conv": "expand",
        "_bn0": "norm_expand",
        "_depthwise_conv": "depthwise",
        "_bn1": "norm_depthwise",
        "_se_reduce": "reduce",
        "_se_expand": "excite",
        "_project_conv": "project",
        "_bn2": "norm_project",
    }
    found = {layer: fixed[layer] for layer in layers if layer in fixed}
    for layer in layers:
        match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)", layer)
        if match and match[2] in parts:
            found[layer] = ("blocks", match[1], parts[match[2]])
    return found


def _timm_layers(layers: Sequence[str]) -> dict[str, Path]:
    """Names of timm: blocks by stage; those of the first stage expand nothing and name their layers otherwise."""
    fixed: dict[str, Path] = {
        "conv_stem": ("stem", "conv"),
        "bn1": ("stem", "norm"),
        "conv_head": ("head_conv",),
        "bn2": ("head_norm",),
        "classifier": (HEAD,),
    }
    shared = {"conv_dw": "depthwise", "se.conv_reduce": "reduce", "se.conv_expand": "excite"}
    expanding = {
        **shared,
        "conv_pw": "expand",
        "bn1": "norm_expand",
        "bn2": "norm_depthwise",
        "conv_pwl": "project",
        "bn3": "norm_project",
    }
    separable = {**shared, "bn1": "norm_depthwise", "conv_pw": "project", "bn2": "norm_project"}
    found = {layer: fixed[layer] for layer in layers if layer in fixed}
    for number, (block, parts) in enumerate(_blocks(layers, r"blocks\.(\d+)\.(\d+)\.(.+)")):
        names = expanding if "conv_pwl" in parts else separable
        found |= {f"blocks.{block}.{part}": ("blocks", str(number), names[part]) for part in parts if part in names}
    return found


def _torchvision_layers(layers: Sequence[str]) -> dict[str, Path]:
    """Names of torchvision's EfficientNet: layers by their place; features.0 is the stem, the last one the head."""
    places = [int(match[1]) for layer in layers if (match := re.match(r"features\.(\d+)\.", layer))]
    last = max(places, default=0)
    fixed: dict[str, Path] = {
        "features.0.0": ("stem", "conv"),
        "features.0.1": ("stem", "norm"),
        f"features.{last}.0": ("head_conv",),
        f"features.{last}.1": ("head_norm",),
        "classifier.1": (HEAD,),
    }
    separable = {
        "0.0": "depthwise",
        "0.1": "norm_depthwise",
        "1.fc1": "reduce",
        "1.fc2": "excite",
        "2.0": "project",
        "2.1": "norm_project",
    }
    expanding = {
        "0.0": "expand",
        "0.1": "norm_expand",
        **{f"{int(part[0]) + 1}{part[1:]}": name for part, name in separable.items()},
    }
    found = {layer: fixed[layer] for layer in layers if layer in fixed}
    for number, (block, parts) in enumerate(_blocks(layers, r"features\.(\d+)\.(\d+)\.block\.(.+)")):
        names = expanding if "3.0" in parts else separable
        found |= {
            f"features.{block}.block.{part}": ("blocks", str(number), names[part]) for part in parts if part in names
        }
    return found


def _resnet_layers(layers: Sequence[str]) -> dict[str, Path]:
    """Names of ResNet with blocks of two layers, in torchvision and timm."""
    fixed: dict[str, Path] = {"conv1": ("stem", "conv"), "bn1": ("stem", "norm"), "fc": (HEAD,)}
    names = {
        "conv1": "conv1",
        "bn1": "norm1",
        "conv2": "conv2",
        "bn2": "norm2",
        "downsample.0": "shortcut",
        "downsample.1": "shortcut_norm",
    }
    found = {layer: fixed[layer] for layer in layers if layer in fixed}
    for number, (block, parts) in enumerate(_blocks(layers, r"layer(\d+)\.(\d+)\.(.+)")):
        found |= {f"layer{block}.{part}": ("blocks", str(number), names[part]) for part in parts if part in names}
    return found


def _blocks(layers: Sequence[str], pattern: str) -> list[tuple[str, list[str]]]:
    """Return each block ("STAGE.BLOCK") with the names within it, in the order in which images pass them."""
    blocks: dict[tuple[int, int], list[str]] = {}
    for layer in layers:
        match = re.fullmatch(pattern, layer)
        if match:
            blocks.setdefault((int(match[1]), int(match[2])), []).append(match[3])
    return [(f"{stage}.{block}", parts) for (stage, block), parts in sorted(blocks.items())]


OWN = Naming("jaxal", r"\w+(/\w+)+", lambda layers: {})
NAMINGS = (
    OWN,
    Naming("efficientnet_pytorch", r"_conv_stem\.weight", _pytorch_layers),
    Naming("timm's EfficientNet", r"conv_stem\.weight", _timm_layers),
    Naming("torchvision's EfficientNet", r"features\.0\.0\.weight", _torchvision_layers),
    Naming("torchvision's ResNet", r"layer1\.0\.conv1\.weight", _resnet_layers),
)
