"""Measure how many images a second each augmentation changes, and put the table into a document.

.venv/bin/python scripts/measure_augmentation.py docs/benchmarks.md

The document holds a block between `<!-- augmentation: begin -->` and `<!-- augmentation: end -->`.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.config.augmentation import AugmentationConfig
from jaxal.data.augment import augment

BEGIN, END = "<!-- augmentation: begin -->", "<!-- augmentation: end -->"
SIZES = ((256, 28, 1), (64, 64, 3), (16, 224, 3))  # images of a batch, side, channels
CHANGES = {
    "flips": {"flips": "both"},
    "rotation ±30°": {"rotation": 30.0},
    "elastic 2, smoothness 4": {"elastic": 2.0},
    "blur to 1 pixel": {"blur": 1.0},
    "all of them": {"flips": "both", "rotation": 30.0, "elastic": 2.0, "blur": 1.0},
}


def images_per_second(config: AugmentationConfig, batch: tuple[int, int, int], seconds: float) -> float:
    """Return the median over calls that take so many seconds together, the first one left out."""
    size, side, channels = batch
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (size, side, side, channels), dtype=np.uint8))
    times, began = [], time.perf_counter()
    while len(times) < 4 or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        jax.block_until_ready(augment(config, jax.random.key(len(times)), images))
        times.append(time.perf_counter() - start)
    return size / statistics.median(times[1:])


def report(seconds: float) -> str:
    """Return the table in Markdown."""
    shown = [f"{side}²×{channels}, {size} a batch" for size, side, channels in SIZES]
    lines = [f"| images/s | {' | '.join(shown)} |", f"|---|{'---:|' * len(SIZES)}"]
    for name, settings in CHANGES.items():
        rates = [images_per_second(AugmentationConfig(**settings), batch, seconds) for batch in SIZES]
        lines.append(f"| {name} | {' | '.join(f'{rate:,.0f}' for rate in rates)} |")
    device, cores = jax.devices()[0].device_kind, len(os.sched_getaffinity(0))
    foot = f"uint8 images; medians of {seconds:g} s each, on {cores} cores ({device}), jax {jax.__version__}."
    return "\n".join([*lines, "", f"{foot} Put here by `scripts/measure_augmentation.py`."])


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("document", type=Path, nargs="?", help="a Markdown file to put the table into")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each augmentation and size")
    options = parser.parse_args()
    table = report(options.seconds)
    print(table)
    if options.document is not None:
        text = options.document.read_text(encoding="utf-8")
        if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(END) < text.index(BEGIN):
            sys.exit(f"{options.document}: needs one line {BEGIN!r} and after it one {END!r}")
        head, rest = text.split(BEGIN)
        options.document.write_text(f"{head}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
