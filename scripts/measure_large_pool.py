"""Build, embed and run a study on as many made images as ISIC 2020 has, and put time and memory into a document.

.venv/bin/python scripts/measure_large_pool.py docs/benchmarks.md

The document holds a block between `<!-- large_pool: begin -->` and `<!-- large_pool: end -->`. The study is
configs/isic2020_lite0.toml with its cb_dal arm and one seed. Every command is a process of its own with empty caches.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from measure_build import NUM_SMALL, make_isic, small
from measure_study import ROOT, processor, write_block

from jaxal.report.tables import markdown

CONFIG = ROOT / "configs" / "isic2020_lite0.toml"
SECONDS_BETWEEN_SAMPLES = 0.05
# The study's cb_dal arm alone, one seed.
ONE = ("--seeds", "[0]", "--arms", '[{name = "cb_dal", strategy = "cb_dal"}]')


class Measured(NamedTuple):
    seconds: float
    peak: int  # bytes resident at the most


def run(words: list[str], cache: Path) -> Measured:
    """Run jaxal in a process of its own and follow its memory."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    began, peak = time.perf_counter(), 0
    with subprocess.Popen([sys.executable, "-m", "jaxal", *words], env=environment, cwd=cache) as process:
        while process.poll() is None:
            try:
                lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            except OSError:
                break
            peak = max([peak, *(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))])
            time.sleep(SECONDS_BETWEEN_SAMPLES)
    if process.wait():
        sys.exit(f"jaxal {' '.join(words)}: exit code {process.returncode}")
    return Measured(time.perf_counter() - began, peak)


def phases(workdir: Path) -> dict[str, float]:
    """Add up what fitting and choosing took in all rounds."""
    with open(workdir / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: sum(float(row[f"seconds_{name}"] or 0) for row in rows) for name in ("train", "acquire")}


def measure(number: int, top: Path) -> dict[str, str]:
    """Go the whole way with so many images; returns a row of the table."""
    make_isic(top / "images", small, number)
    built = ["--data.source.kind", "built", "--data.source.path", str(top / "built")]

    def fresh(name: str) -> Path:
        (top / name).mkdir()
        return top / name

    build = run(["data", "build", str(top / "images"), "--size", "64", "--out", str(top / "built")], fresh("one"))
    embed = run(["embed", str(CONFIG), *built, *ONE, "--out", str(top / "embedded")], fresh("two"))
    study = run(["run", str(CONFIG), *built, *ONE, "--workdir", str(top / "run")], fresh("three"))
    spent = phases(top / "run")
    return {
        "images": f"{number:,}",
        "build, s": f"{build.seconds:.0f}",
        "MB at its peak": f"{build.peak / 1e6:.0f}",
        "embed alone, s": f"{embed.seconds:.0f}",
        "MB at its peak ": f"{embed.peak / 1e6:.0f}",
        "run, s": f"{study.seconds:.0f}",
        "of it fitting, s": f"{spent['train']:.1f}",
        "choosing, s": f"{spent['acquire']:.2f}",
        "share of choosing": f"{spent['acquire'] / study.seconds:.1%}",
        "MB at its peak  ": f"{study.peak / 1e6:.0f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("document", type=Path, nargs="?", help="to put the table into; printed where absent")
    parser.add_argument("--num-images", type=int, default=NUM_SMALL, help="a quarter of them is measured first")
    options = parser.parse_args()
    rows = []
    for number in (options.num_images // 4, options.num_images):
        top = Path(tempfile.mkdtemp(prefix="jaxal-pool-"))
        try:
            rows.append(measure(number, top))
        finally:
            shutil.rmtree(top)
    note = (
        "Made JPEGs of 32×32 in ISIC 2020's form, enlarged to 64; EfficientNet-Lite0 from ImageNet, frozen; 5 % of"
        " labels at the start, then 10 and 30 % by cb_dal, a test part of a tenth. The run embeds too (its caches are"
        " empty), and its seconds are those of the whole command, compilation included."
        f" {os.cpu_count()} cores ({processor()}). Put here by `scripts/measure_large_pool.py`."
    )
    text = f"{markdown(rows)}\n{note}"
    if options.document is None:
        print(text)
    else:
        write_block(options.document, "large_pool", text)


if __name__ == "__main__":
    main()
