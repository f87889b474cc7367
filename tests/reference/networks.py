"""EfficientNet and ResNet as their papers and libraries have them, in float64 loops over taps; training mode or not."""

import numpy as np


def convolve(x, kernel, stride, padding):
    """Convolve [B, H, W, I] with (k, k, I, O), or map by map with (k, k, 1, I) where I > 1."""
    x = np.pad(x, ((0, 0), *padding, (0, 0)))
    size = kernel.shape[0]
    height, width = ((side - size) // stride + 1 for side in x.shape[1:3])
    is_depthwise = kernel.shape[2] == 1 and x.shape[3] > 1
    total = 0.0
    for i, j in np.ndindex(size, size):
        window = x[:, i : i + (height - 1) * stride + 1 : stride, j : j + (width - 1) * stride + 1 : stride]
        total = total + (window * kernel[i, j, 0] if is_depthwise else window @ kernel[i, j])
    return total


def pad(x, size, stride, is_same):
    if not is_same:
        return ((size // 2, size // 2),) * 2
    totals = [max((-(-side // stride) - 1) * stride + size - side, 0) for side in x.shape[1:3]]
    return tuple((total // 2, total - total // 2) for total in totals)


def batch_norm(x, params, stats, epsilon, momentum, new):
    """Normalize by the batch and put the renewed statistics into `new`; by the running ones where that is None."""
    mean, var = stats["mean"], stats["var"]
    if new is not None:
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        new["mean"] = (1 - momentum) * stats["mean"] + momentum * mean
        new["var"] = (1 - momentum) * stats["var"] + momentum * x.var((0, 1, 2), ddof=1)
    return (x - mean) / np.sqrt(var + epsilon) * params["scale"] + params["bias"]


def efficientnet(params, stats, x, shapes, *, is_same, epsilon, momentum, is_lite, is_training):
    """Return (logits, new statistics); `shapes` gives (kernel size, stride) of every block."""
    new = {"blocks": {}}

    def norm(x, where, name, into):
        into[name] = {} if is_training else None
        return batch_norm(x, where[0][name], where[1][name], epsilon, momentum, into[name])

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def activate(x):
        return np.clip(x, 0, 6) if is_lite else x * sigmoid(x)

    new["stem"] = {}
    x = convolve(x, params["stem"]["conv"]["kernel"], 2, pad(x, 3, 2, is_same))
    x = activate(norm(x, (params["stem"], stats["stem"]), "norm", new["stem"]))
    for number, (size, stride) in enumerate(shapes):
        block, where = params["blocks"][number], (params["blocks"][number], stats["blocks"][number])
        into = new["blocks"][number] = {}
        y = x
        if "expand" in block:
            y = activate(norm(y @ block["expand"]["kernel"][0, 0], where, "norm_expand", into))
        y = convolve(y, block["depthwise"]["kernel"], stride, pad(y, size, stride, is_same))
        y = activate(norm(y, where, "norm_depthwise", into))
        if "reduce" in block:
            squeezed = y.mean((1, 2), keepdims=True) @ block["reduce"]["kernel"][0, 0] + block["reduce"]["bias"]
            y = y * sigmoid(activate(squeezed) @ block["excite"]["kernel"][0, 0] + block["excite"]["bias"])
        y = norm(y @ block["project"]["kernel"][0, 0], where, "norm_project", into)
        x = x + y if x.shape == y.shape and stride == 1 else y
    x = activate(norm(x @ params["head_conv"]["kernel"][0, 0], (params, stats), "head_norm", new))
    z = x.mean((1, 2))
    return z @ params["classifier"]["kernel"] + params["classifier"]["bias"], new


def resnet(params, stats, x, strides, *, is_training, epsilon=1e-5, momentum=0.1):
    """Return (logits, new statistics); `strides` gives that of every block."""
    new = {"blocks": {}, "stem": {}}
    even = ((1, 1), (1, 1))

    def norm(x, where, name, into):
        into[name] = {} if is_training else None
        return batch_norm(x, where[0][name], where[1][name], epsilon, momentum, into[name])

    x = convolve(x, params["stem"]["conv"]["kernel"], 2, ((3, 3), (3, 3)))
    x = np.maximum(norm(x, (params["stem"], stats["stem"]), "norm", new["stem"]), 0)
    padded = np.pad(x, ((0, 0), *even, (0, 0)), constant_values=-np.inf)
    height, width = ((side - 3) // 2 + 1 for side in padded.shape[1:3])
    x = np.max([padded[:, i : i + 2 * height - 1 : 2, j : j + 2 * width - 1 : 2] for i, j in np.ndindex(3, 3)], axis=0)
    for number, stride in enumerate(strides):
        block, where = params["blocks"][number], (params["blocks"][number], stats["blocks"][number])
        into = new["blocks"][number] = {}
        y = np.maximum(norm(convolve(x, block["conv1"]["kernel"], stride, even), where, "norm1", into), 0)
        y = norm(convolve(y, block["conv2"]["kernel"], 1, even), where, "norm2", into)
        if "shortcut" in block:
            x = norm(x[:, ::stride, ::stride] @ block["shortcut"]["kernel"][0, 0], where, "shortcut_norm", into)
        x = np.maximum(x + y, 0)
    return x.mean((1, 2)) @ params["classifier"]["kernel"] + params["classifier"]["bias"], new
