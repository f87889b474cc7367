"""Pretrained weights: read from a file by name, and laid into a model's variables."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, deserialize

from jaxal.config.models import ModelConfig
from jaxal.errors import DataError
from jaxal.models.model import Variables
from jaxal.models.torch_files import is_torch_file, read_torch_file
from jaxal.models.weight_names import HEAD, STEM_KERNEL, find_naming, map_names, strip_prefixes

__all__ = ["LoadReport", "load_weights", "named_leaves", "parse_weights", "to_variables"]

TYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4", "U8": "<u1", "BOOL": "|b1"}
# What is often found where weights were meant to be.
NOT_WEIGHTS = {
    b"<": "it is a page of the web, not what it links to",
    b"version https://git-lfs": "it is a pointer of Git LFS; run `git lfs pull`",
    b"\x1f\x8b": "it is compressed by gzip; unpack it",
}
MOST_NAMES = 8


class LoadReport(NamedTuple):
    """Where a model's initial variables came from."""

    source: str = ""  # the file; empty: all is random
    sha256: str = ""
    names: str = ""  # whose names the file has
    num_loaded: int = 0  # arrays that came from the file
    fresh: tuple[str, ...] = ()  # paths that stay as they were initialized: those of a last layer of other classes
    notes: tuple[str, ...] = ()  # what was done to fit the model


def load_weights(path: str | Path) -> dict[str, np.ndarray]:
    """Read all tensors of a file by name; PyTorch is not needed, and nothing in the file is run.

    Args:
        path: a `.pth`, `.pt` or `.bin` file of `torch.save`, legacy or zip, or a `.safetensors` file, told by what is
            in it. A checkpoint may hold the weights under "state_dict", "model_state_dict", "model" or "net". What a
            wrapper put before all names ("module.", "_orig_mod.", "model.") is left out.

    Returns:
        Read-only arrays, in the file's layout; bfloat16 comes as float32.

    Raises:
        DataError: no such file, truncated, damaged, of another form, or holding anything but tensors and plain values.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"weights {path}: cannot be read: {error.strerror or error}") from error
    return parse_weights(data, f"weights {path}")


def parse_weights(data: bytes, where: str) -> dict[str, np.ndarray]:
    """Read the bytes of a file of weights as `load_weights` does; `where` names it in refusals."""
    if not data:
        raise DataError(f"{where}: the file is empty. Get it again.")
    why = next((why for start, why in NOT_WEIGHTS.items() if data.startswith(start)), None)
    if why is not None:
        raise DataError(f"{where}: no weights: {why}.")
    if data[8:9] == b"{" or (len(data) < 9 and not is_torch_file(data)):
        named = _read_safetensors(data, where)
    elif is_torch_file(data):
        named = read_torch_file(data, where)
    else:
        raise DataError(f"{where}: neither a file of torch.save nor of safetensors; its first bytes are {data[:8]!r}.")
    short = strip_prefixes(named)
    return {short[name]: array for name, array in named.items()}


def to_variables(
    named: Mapping[str, np.ndarray], template: Variables, config: ModelConfig
) -> tuple[Variables, LoadReport]:
    """Lay weights into a model's variables.

    The last layer is kept where the file's has as many classes as the model, and else stays as the template has it. A
    stem of three channels is fitted to a model whose stem has n: a single channel gets the sum of the three kernels, so
    that a gray image gives what it gives when repeated into three; of more, with `stem = "repeat"` channel j gets
    kernel j mod 3 times 3/n, and with "sum" each gets the sum of the three over n, so that n equal channels are one
    gray image.

    Args:
        named: as `load_weights` returns it.
        template: the model's initial variables, whose shapes and types hold.
        config: the model's settings.

    Raises:
        DataError: names missing or unexpected, shapes that differ, numbers that are not finite; told all at once.
    """
    naming = find_naming(named)
    if naming is None:
        raise DataError(
            f"weights: their {len(named)} names are none that are known (of EfficientNet: efficientnet_pytorch, timm, "
            f"torchvision; of ResNet-18/34: torchvision, timm): {_listed(list(named))}"
        )
    paths = map_names(naming, named)
    wanted = {**_leaves(template.params), **_leaves(template.batch_stats)}
    given = {path: (name, _own_layout(named[name], naming.title)) for name, path in paths.items() if path in wanted}
    notes: list[str] = []
    fresh = _other_head(given, wanted)
    if fresh:
        notes.append(f"the last layer is new: {wanted[HEAD, 'bias'].shape[0]} classes")
    loaded = {path: array for path, (_, array) in given.items() if path not in fresh}
    if STEM_KERNEL in loaded and STEM_KERNEL in wanted:
        before, channels = loaded[STEM_KERNEL], wanted[STEM_KERNEL].shape[2]
        if before.ndim == 4 and before.shape[2] != channels:
            stem = "sum" if channels == 1 else getattr(config, "stem", "repeat")
            loaded[STEM_KERNEL] = _with_channels(before, channels, stem)
            notes.append(f"the stem's {before.shape[2]} channels became {channels} ({stem})")
    _check(given, loaded, wanted, [name for name, path in paths.items() if path not in wanted], fresh, naming.title)
    variables = Variables(_filled(template.params, loaded), _filled(template.batch_stats, loaded))
    report = LoadReport(
        names=naming.title,
        num_loaded=len(loaded),
        fresh=tuple("/".join(path) for path in sorted(fresh)),
        notes=tuple(notes),
    )
    return variables, report


def named_leaves(variables: Variables) -> dict[str, Any]:
    """Return the arrays of a model's variables by jaxal's own names for them, such as "stem/conv/kernel"."""
    return {
        "/".join(path): leaf for path, leaf in {**_leaves(variables.params), **_leaves(variables.batch_stats)}.items()
    }


def _read_safetensors(data: bytes, where: str) -> dict[str, np.ndarray]:
    try:
        return {name: _safetensor(name, tensor, where) for name, tensor in deserialize(data)}
    except SafetensorError as error:
        header = int.from_bytes(data[:8], "little")
        try:
            ends = [spec["data_offsets"][1] for spec in json.loads(data[8 : 8 + header]).values() if "dtype" in spec]
            needed = 8 + header + max(ends, default=0)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            needed = 8 + header
        state = f"truncated: it should have {needed} bytes" if len(data) < needed else f"damaged ({error})"
        raise DataError(f"{where}: of {len(data)} bytes, as a safetensors file {state}. Get the file again.") from error


def _safetensor(name: str, tensor: Mapping[str, Any], where: str) -> np.ndarray:
    kind, shape = tensor["dtype"], tensor["shape"]
    if kind == "BF16":
        return (np.frombuffer(tensor["data"], "<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape)
    if kind not in TYPES:
        raise DataError(f"{where}: {name[:80]!a} is of type {kind}; known are BF16, {', '.join(TYPES)}.")
    return np.frombuffer(tensor["data"], TYPES[kind]).reshape(shape)


def _own_layout(array: np.ndarray, names: str) -> np.ndarray:
    """Turn (O, I, kh, kw) into (kh, kw, I, O), so depthwise (C, 1, k, k) into (k, k, 1, C); and (O, I) into (I, O)."""
    if names == "jaxal":
        return array
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T if array.ndim == 2 else array


def _other_head(given: Mapping[tuple, tuple[str, np.ndarray]], wanted: Mapping[tuple, Any]) -> set[tuple[str, ...]]:
    """Return the paths of the last layer where the file has none, or one that differs in the classes alone."""
    kernel_path, bias_path = (HEAD, "kernel"), (HEAD, "bias")
    if kernel_path not in given and bias_path not in given:
        return {kernel_path, bias_path}
    if kernel_path not in given or bias_path not in given:
        return set()
    (depth, num_classes), kernel, bias = wanted[kernel_path].shape, given[kernel_path][1], given[bias_path][1]
    is_layer = kernel.ndim == 2 and bias.shape == kernel.shape[1:] and kernel.shape[0] == depth
    return {kernel_path, bias_path} if is_layer and kernel.shape[1] != num_classes else set()


def _with_channels(kernel: np.ndarray, channels: int, stem: str) -> np.ndarray:
    before = kernel.shape[2]
    if stem == "sum":
        return np.repeat(kernel.sum(2, keepdims=True) / channels, channels, axis=2)
    taken = kernel[:, :, np.arange(channels) % before]
    return taken * (before / channels)


def _check(
    given: Mapping[tuple, tuple[str, np.ndarray]],
    loaded: Mapping[tuple, np.ndarray],
    wanted: Mapping[tuple, Any],
    unexpected: Sequence[str],
    fresh: set[tuple[str, ...]],
    names: str,
) -> None:
    """Refuse weights that do not fit, telling everything at once."""
    missing = ["/".join(path) for path in wanted if path not in loaded and path not in fresh]
    others = [
        f"{given[path][0]} (has {array.shape}, needs {tuple(wanted[path].shape)} in jaxal's order)"
        for path, array in loaded.items()
        if array.shape != tuple(wanted[path].shape)
    ]
    wild = [given[path][0] for path, array in loaded.items() if not np.isfinite(array).all()]
    kinds = {"missing": missing, "unexpected": list(unexpected), "of another shape": others, "not finite": wild}
    if any(kinds.values()):
        lines = [f"  {len(places)} {kind}: {_listed(places)}" for kind, places in kinds.items() if places]
        raise DataError(
            "\n".join(
                [
                    f"weights with {names}' names do not fit the model, which has {len(wanted)} arrays:",
                    *lines,
                    "Give the weights of this very model, or name their model.",
                ]
            )
        )


def _listed(names: Sequence[str]) -> str:
    shown = [name if name.isprintable() else ascii(name) for name in names[:MOST_NAMES]]
    return ", ".join(name[:120] for name in shown) + (", …" if len(names) > MOST_NAMES else "")


def _leaves(tree: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Return the arrays of nested dicts by path; a list's numbers are text in it."""
    if not isinstance(tree, Mapping):
        return {path: tree}
    return {where: leaf for key, below in tree.items() for where, leaf in _leaves(below, (*path, str(key))).items()}


def _filled(tree: Any, loaded: Mapping[tuple, np.ndarray], path: tuple[str, ...] = ()) -> Any:
    """Return the tree with the arrays that were loaded in place of its own."""
    if not isinstance(tree, Mapping):
        # A copy: variables are donated in training, the file's arrays are kept.
        return jnp.array(loaded[path], tree.dtype) if path in loaded else tree
    return {key: _filled(below, loaded, (*path, str(key))) for key, below in tree.items()}
