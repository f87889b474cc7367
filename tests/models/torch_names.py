"""A small EfficientNet's variables under the names and in the layout of other libraries, written out by hand."""

import numpy as np


def named_as(names: str, number: int, stages) -> dict[str, str]:
    """Return the layers of a block, as here -> as there."""
    if names == "efficientnet_pytorch":
        parts = {
            "expand": "_expand_conv",
            "norm_expand": "_bn0",
            "depthwise": "_depthwise_conv",
            "norm_depthwise": "_bn1",
            "reduce": "_se_reduce",
            "excite": "_se_expand",
            "project": "_project_conv",
            "norm_project": "_bn2",
        }
        return {part: f"_blocks.{number}.{name}" for part, name in parts.items()}
    places = [(stage, block) for stage, each in enumerate(stages) for block in range(each.num_blocks)]
    stage, block = places[number]
    is_expanding = stages[stage].expansion > 1
    if names == "timm":
        first = ("", "", "conv_dw", "bn1", "conv_pw", "bn2")
        then = ("conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3")
        layers = ("expand", "norm_expand", "depthwise", "norm_depthwise", "project", "norm_project")
        parts = dict(zip(layers, then if is_expanding else first, strict=True))
        parts |= {"reduce": "se.conv_reduce", "excite": "se.conv_expand"}
        return {part: f"blocks.{stage}.{block}.{name}" for part, name in parts.items()}
    before = 1 if is_expanding else 0
    parts = {
        "expand": "0.0",
        "norm_expand": "0.1",
        "depthwise": f"{before}.0",
        "norm_depthwise": f"{before}.1",
        "reduce": f"{before + 1}.fc1",
        "excite": f"{before + 1}.fc2",
        "project": f"{before + 2}.0",
        "norm_project": f"{before + 2}.1",
    }
    return {part: f"features.{stage + 1}.{block}.block.{name}" for part, name in parts.items()}


FIXED = {
    "efficientnet_pytorch": ("_conv_stem", "_bn0", "_conv_head", "_bn1", "_fc"),
    "timm": ("conv_stem", "bn1", "conv_head", "bn2", "classifier"),
    "torchvision": ("features.0.0", "features.0.1", "features.{last}.0", "features.{last}.1", "classifier.1"),
}
LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


def leaves(tree, path=()):
    for key, below in tree.items():
        if isinstance(below, dict):
            yield from leaves(below, (*path, str(key)))
        else:
            yield (*path, key), np.asarray(below)


def source_arrays(variables, names: str, stages) -> dict[str, np.ndarray]:
    arrays = dict([*leaves(variables.params), *leaves(variables.batch_stats)])
    if names == "jaxal":
        return {"/".join(path): array for path, array in arrays.items()}
    fixed = [name.format(last=len(stages) + 1) for name in FIXED[names]]
    layers = dict(
        zip([("stem", "conv"), ("stem", "norm"), ("head_conv",), ("head_norm",), ("classifier",)], fixed, strict=True)
    )
    found = {}
    for (*layer, leaf), array in arrays.items():
        is_block = layer[0] == "blocks"
        name = named_as(names, int(layer[1]), stages)[layer[2]] if is_block else layers[tuple(layer)]
        turned = np.moveaxis(array, (3, 2), (0, 1)) if array.ndim == 4 else array.T
        found[f"{name}.{LEAVES[leaf]}"] = turned
        if leaf == "var":
            found[f"{name}.num_batches_tracked"] = np.array(5)
    return found
