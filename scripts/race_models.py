"""Race the networks: jaxal's, the same with XLA's default convolutions, and PyTorch's in channels-last order (timm).

.venv/bin/python scripts/race_models.py                                    B0 at 64², on this machine's device
.venv/bin/python scripts/race_models.py --models efficientnet_b0,efficientnet_lite0,resnet18 --into docs/benchmarks.md

All run in turn, in one process, on the same device with the same random images and random weights. Forward is
evaluation; training is one step of SGD on the mean cross-entropy, with batch norm by the batch, without noise. A row
is the median of --repetitions runs in turn. timm is of the extra [peers]; where it is missing, its rows say so.
"""

import argparse
import contextlib
import importlib
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import msgspec
import numpy as np

from jaxal.config.models import MODEL_WORDS, EfficientNetConfig, ModelConfig
from jaxal.models import layers
from jaxal.models.convolution import native_conv
from jaxal.models.depthwise import native_depthwise
from jaxal.models.model import Model, Variables
from jaxal.models.registry import make_model

BEGIN, END = "<!-- models: begin -->", "<!-- models: end -->"
NUM_CLASSES, RATE = 10, 1e-3


class Contestant(NamedTuple):
    """One way to run a network."""

    name: str
    compute: str
    forward: Callable[[], Any] | None  # None: not here, `missing` says why
    train: Callable[[], Any] | None
    missing: str = ""


@contextlib.contextmanager
def default_ops() -> Iterator[None]:
    """Let layers convolve by XLA's own operations, while tracing."""
    with mock.patch.object(layers, "conv", native_conv), mock.patch.object(layers, "depthwise_conv", native_depthwise):
        yield


def jaxal_contestant(word: str, compute: str, images: np.ndarray, *, is_default: bool) -> Contestant:
    """Compile a model's forward pass and training step."""
    config = msgspec.convert({**MODEL_WORDS[word], "compute": compute}, ModelConfig)
    if isinstance(config, EfficientNetConfig):
        config = msgspec.structs.replace(config, drop_path=0.0, dropout=0.0)
    model = make_model(config, image_shape=images.shape[1:], num_classes=NUM_CLASSES, mean=(0.5,) * 3, std=(0.25,) * 3)
    variables, batch = model.init(jax.random.key(0)), jnp.asarray(images)
    labels = jnp.arange(len(images)) % NUM_CLASSES
    with default_ops() if is_default else contextlib.nullcontext():
        # A function of its own: what one contestant traced of model.apply would be the other's too.
        forward = jax.jit(lambda *arguments: model.apply(*arguments)).lower(variables, batch).compile()
        step = jax.jit(_step(model)).lower(variables, jax.random.key(1), batch, labels).compile()
    return Contestant(
        "XLA's default operations" if is_default else "jaxal",
        compute,
        lambda: jax.block_until_ready(forward(variables, batch)),
        lambda: jax.block_until_ready(step(variables, jax.random.key(1), batch, labels)),
    )


def _step(model: Model) -> Callable[..., Variables]:
    def step(variables: Variables, key: jax.Array, images: jax.Array, labels: jax.Array) -> Variables:
        def loss(params: Any) -> tuple[jax.Array, Any]:
            logits, batch_stats = model.apply_train(Variables(params, variables.batch_stats), key, images)
            chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
            return -jnp.mean(chosen), batch_stats

        gradients, batch_stats = jax.grad(loss, has_aux=True)(variables.params)
        params = jax.tree.map(lambda old, gradient: old - RATE * gradient, variables.params, gradients)
        return Variables(params, batch_stats)

    return step


def torch_contestant(word: str, compute: str, images: np.ndarray) -> Contestant:
    """Build timm's model in channels-last order; a missing library is reported."""
    name = "PyTorch, channels-last"
    try:
        timm, torch = _peers()
    except ImportError as error:
        return Contestant(name, compute, None, None, f"not installed: {error.name}")
    torch.set_num_threads(os.cpu_count() or 1)
    device = "cuda" if jax.default_backend() == "gpu" else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        return Contestant(name, compute, None, None, "PyTorch sees no GPU")
    timm_name = word.replace("efficientnet_lite", "tf_efficientnet_lite") if word.startswith("effi") else word
    model = timm.create_model(timm_name, num_classes=NUM_CLASSES).to(device, memory_format=torch.channels_last)
    pixels = torch.from_numpy(images).to(device)
    labels = (torch.arange(len(images)) % NUM_CLASSES).to(device)
    optimizer = torch.optim.SGD(model.parameters(), RATE)

    def logits() -> Any:
        batch = ((pixels.float() / 255 - 0.5) / 0.25).permute(0, 3, 1, 2)  # a view of channels-last memory
        with torch.autocast(device, torch.bfloat16, enabled=compute == "bfloat16"):
            return model(batch)

    def finished(value: Any) -> Any:
        if device == "cuda":
            torch.cuda.synchronize()
        return value

    def forward() -> Any:
        model.eval()
        with torch.inference_mode():
            return finished(logits())

    def train() -> Any:
        model.train()
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(logits().float(), labels)
        loss.backward()
        optimizer.step()
        return finished(loss)

    return Contestant(name, compute, forward, train)


def _peers() -> tuple[Any, Any]:
    return importlib.import_module("timm"), importlib.import_module("torch")


def race(runs: list[Callable[[], Any] | None], repetitions: int) -> list[float]:
    """Run each once to warm up, then all in turn; return the median seconds of each, NaN where there is nothing."""
    for run in runs:
        if run is not None:
            run()
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(repetitions):
        for run, taken in zip(runs, seconds, strict=True):
            if run is not None:
                began = time.perf_counter()
                run()
                taken.append(time.perf_counter() - began)
    return [statistics.median(taken) if taken else math.nan for taken in seconds]


def rows_of(word: str, side: int, batch_size: int, repetitions: int, *, has_default: bool) -> list[str]:
    """Race one network and write its rows."""
    images = np.random.default_rng(0).integers(0, 256, (batch_size, side, side, 3), dtype=np.uint8)
    contestants = [
        jaxal_contestant(word, "float32", images, is_default=False),
        *([jaxal_contestant(word, "float32", images, is_default=True)] if has_default else []),
        torch_contestant(word, "float32", images),
        jaxal_contestant(word, "bfloat16", images, is_default=False),
        torch_contestant(word, "bfloat16", images),
    ]
    forward = race([each.forward for each in contestants], repetitions)
    train = race([each.train for each in contestants], repetitions)
    lines = []
    for each, evaluating, training in zip(contestants, forward, train, strict=True):
        if each.missing:
            lines.append(f"| {word} | {side}² | {each.name} | {each.compute} | {each.missing} | | | |")
            continue
        cells = [
            cell
            for own, taken in ((forward[0], evaluating), (train[0], training))
            for cell in (f"{batch_size / taken:,.0f}", f"{taken / own:.2f}")
        ]
        lines.append(f"| {word} | {side}² | {each.name} | {each.compute} | {' | '.join(cells)} |")
    return lines


def report(words: list[str], sides: list[int], batch_size: int, repetitions: int, *, has_default: bool) -> str:
    """Race all networks and write the table."""
    lines = [
        "| network | images | by | type | forward, images/s | × jaxal's time | training, images/s | × jaxal's time |",
        "|---|---|---|---|---:|---:|---:|---:|",
    ]
    for word in words:
        for side in sides:
            lines += rows_of(word, side, batch_size, repetitions, has_default=has_default)
            print("\n".join(lines[-5:]), file=sys.stderr, flush=True)
    device = jax.devices()[0]
    where = f"{os.cpu_count()} cores" if device.platform == "cpu" else device.device_kind
    said = f"{where}, Python {platform.python_version()}, jax {jax.__version__}{_torch_versions()}"
    return "\n".join([*lines, "", f"Batches of {batch_size}; medians of {repetitions} in turn, on {said}."])


def _torch_versions() -> str:
    try:
        timm, torch = _peers()
    except ImportError:
        return ""
    return f", PyTorch {torch.__version__}, timm {timm.__version__}"


def put_into(path: Path, table: str) -> None:
    """Put the table between its markers; a file without them is refused."""
    text = path.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(END) < text.index(BEGIN):
        sys.exit(f"{path}: needs one line {BEGIN!r} and after it one {END!r}")
    head, rest = text.split(BEGIN)
    path.write_text(f"{head}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="efficientnet_b0", help="words for models, joined by commas")
    parser.add_argument("--sides", default="64", help="sides of the images, joined by commas")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--no-default", action="store_true", help="leave XLA's default operations out")
    parser.add_argument("--into", type=Path, help="a Markdown file to put the table into, between its markers")
    options = parser.parse_args(arguments)
    words = options.models.split(",")
    unknown = [word for word in words if word not in MODEL_WORDS]
    if unknown:
        parser.error(f"unknown models {', '.join(unknown)}; known are {', '.join(MODEL_WORDS)}")
    sides = [int(side) for side in options.sides.split(",")]
    table = report(words, sides, options.batch_size, options.repetitions, has_default=not options.no_default)
    print(table)
    if options.into is not None:
        put_into(options.into, table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
