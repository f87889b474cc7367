"""Time `jaxal data check` and `jaxal data build` on made images, sample their memory, and put a table into a document.

.venv/bin/python scripts/measure_build.py docs/benchmarks.md

The document holds a block between `<!-- build: begin -->` and `<!-- build: end -->`. Two sets are made in a temporary
folder: as many small JPEGs as ISIC 2020 has, with its table of labels and its list of duplicates, and a few hundred of
1024×768 that look like photographs to a decoder (shades, texture, grain; quality 90).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image

from jaxal.config.data import ImagesConfig
from jaxal.data.build import build_images
from jaxal.data.check import check_data
from jaxal.data.decoding import REDUCING

NUM_SMALL, NUM_MALIGNANT, NUM_PATIENTS, NUM_DUPLICATES = 33_126, 584, 2_056, 425
WIDTH, HEIGHT, QUALITY, SIZE = 1024, 768, 90, 528
HEADER = "image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target\n"
SECONDS_BETWEEN_SAMPLES = 0.01
# Measured once on one core for 1024×768, before this was written.
BEFORE = "decoding alone 530 (simplejpeg), with an antialiased resize 90 to 157 whatever the library"


def small(seed: int) -> bytes:
    """Make a JPEG of 32×32 that no other seed gives."""
    rng = np.random.default_rng(seed)
    rough = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize((32, 32))
    return simplejpeg.encode_jpeg(np.asarray(rough), quality=QUALITY)


def photograph(seed: int) -> bytes:
    """Make a JPEG of 1024×768: large shades, texture of a few pixels, and grain."""
    rng = np.random.default_rng(seed)

    def layer(step: int) -> np.ndarray:
        rough = rng.integers(0, 256, (HEIGHT // step, WIDTH // step, 3), dtype=np.uint8)
        return np.asarray(Image.fromarray(rough).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float32)

    pixels = 40 + 0.7 * layer(64) + 0.1 * (layer(8) - 128) + 3 * rng.standard_normal((HEIGHT, WIDTH, 3), np.float32)
    return simplejpeg.encode_jpeg(np.clip(pixels, 0, 255).astype(np.uint8), quality=QUALITY)


def make_isic(folder: Path, make: Callable[[int], bytes], number: int) -> int:
    """Make a folder in the form of ISIC 2020's challenge site; returns the bytes of an image on average."""
    (folder / "train").mkdir(parents=True)
    names = [f"ISIC_{each:07}" for each in range(number)]

    def write(seed: int) -> int:
        return (folder / "train" / f"{names[seed]}.jpg").write_bytes(make(seed))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        num_bytes = sum(pool.map(write, range(number)))
    rows, num_malignant = [], min(NUM_MALIGNANT, number // 2)
    for each, name in enumerate(names):
        is_malignant = each % (number // num_malignant) == 0 and each // (number // num_malignant) < num_malignant
        kind = "melanoma,malignant,1" if is_malignant else "unknown,benign,0"
        rows.append(f"{name},IP_{each % NUM_PATIENTS:07},male,45,torso,{kind}\n")
    (folder / "ISIC_2020_Training_GroundTruth.csv").write_text(HEADER + "".join(rows))
    if number > NUM_PATIENTS + NUM_DUPLICATES:
        # Copies of one patient's images lie apart by the number of patients; labels may differ, as in the real list.
        pairs = [f"{names[each]},{names[each + NUM_PATIENTS]}\n" for each in range(NUM_DUPLICATES)]
        (folder / "ISIC_2020_Training_Duplicates.csv").write_text("image_name_1,image_name_2\n" + "".join(pairs))
    return num_bytes // number


def child(command: str, folder: str, size: int, out: str) -> None:
    """Run one command in this process and print its seconds and its memory as JSON."""
    done, samples, is_over = [0, 1], [], threading.Event()
    page = os.sysconf("SC_PAGE_SIZE")

    def sample() -> None:
        while not is_over.wait(SECONDS_BETWEEN_SAMPLES):
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * page
            samples.append((done[0] / done[1], resident))

    def on_images(number: int, total: int) -> None:
        done[:] = number, total

    sampler = threading.Thread(target=sample)
    sampler.start()
    began, used = time.perf_counter(), time.process_time()
    config = ImagesConfig(path=folder, image_size=size)
    try:
        if command == "check":
            report = check_data(config, on_images)
            number = report.num_images
            if report.problems:
                sys.exit(f"{report.problems[:3]}")
        else:
            number = build_images(config, out, on_images).manifest.num_images
    finally:
        seconds, processor_seconds = time.perf_counter() - began, time.process_time() - used
        is_over.set()
        sampler.join()
    early = [resident for share, resident in samples if 0 < share <= 0.1]
    late = [resident for share, resident in samples if share > 0.1]
    level = max(early) if early else late[0]
    times = {"seconds": seconds, "processor_seconds": processor_seconds}
    print(json.dumps({"images": number, "level": level, "peak": max(late), **times}))


def measure(what: str, command: str, folder: Path, size: int, out: Path) -> dict[str, str]:
    """Run one command in a process of its own; returns a row of the table."""
    words = [sys.executable, __file__, "--child", command, str(folder), str(size), str(out)]
    found = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
    rate = found["images"] / found["seconds"]
    print(f"{what}: {rate:.0f} images/s", file=sys.stderr)
    return {
        "what": what,
        "images": f"{found['images']:,}",
        "seconds": f"{found['seconds']:.1f}",
        "images/s": f"{rate:.0f}",
        "images/s per core": f"{rate / (os.cpu_count() or 1):.0f}",
        "images per processor second": f"{found['images'] / found['processor_seconds']:.0f}",
        "MB after 10 %": f"{found['level'] / 1e6:.0f}",
        "MB more at the peak after that": f"{max(found['peak'] - found['level'], 0) / 1e6:.0f}",
    }


def libraries_alone(folder: Path) -> tuple[float, float]:
    """Measure images per processor second of strict decoding, and of decoding and resizing: no build can exceed it."""
    files = [path.read_bytes() for path in sorted(folder.glob("train/*.jpg"))[:60]]
    began = time.process_time()
    for data in files:
        simplejpeg.decode_jpeg(data, strict=True)
    decoded = time.process_time()
    for data in files:
        Image.fromarray(simplejpeg.decode_jpeg(data, strict=True)).resize((SIZE, SIZE), REDUCING)
    return len(files) / (decoded - began), len(files) / (time.process_time() - decoded)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("document", type=Path, nargs="?", help="to put the table into; printed where absent")
    parser.add_argument("--num-small", type=int, default=NUM_SMALL)
    parser.add_argument("--num-photographs", type=int, default=800)
    parser.add_argument("--shared", action="store_true", help="say that other processes ran at the same time")
    options = parser.parse_args()

    # Not at the top: the processes that are measured have no need of what these load.
    from measure_study import processor, write_block

    from jaxal.report.tables import markdown

    top = Path(tempfile.mkdtemp(prefix="jaxal-build-"))
    try:
        small_bytes = make_isic(top / "small", small, options.num_small)
        photo_bytes = make_isic(top / "photographs", photograph, options.num_photographs)
        made, resized = f"{WIDTH}×{HEIGHT}", f"{WIDTH}×{HEIGHT} to {SIZE}"
        rows = [
            measure("check, 32×32", "check", top / "small", 32, top / "none"),
            measure("build, 32×32", "build", top / "small", 32, top / "small-out"),
            measure("build again (verifies), 32×32", "build", top / "small", 32, top / "small-out"),
            measure(f"check, {made}", "check", top / "photographs", SIZE, top / "none"),
            measure(f"build, {resized}", "build", top / "photographs", SIZE, top / "photographs-out"),
            measure(f"build again (verifies), {resized}", "build", top / "photographs", SIZE, top / "photographs-out"),
        ]
        decoded, resized_too = libraries_alone(top / "photographs")
    finally:
        shutil.rmtree(top)
    share = float(rows[4]["images per processor second"]) / resized_too
    note = (
        f"Made JPEGs of quality {QUALITY}: {options.num_small:,} of {small_bytes / 1e3:.1f} kB in ISIC 2020's form (its"
        f" {NUM_DUPLICATES} duplicates dropped), {options.num_photographs} of {photo_bytes / 1e3:.0f} kB."
        f" One after the other, decoding alone makes {decoded:.0f} of the latter per processor second here, decoding"
        f" and Pillow's resizing alone {resized_too:.0f}; with hashing and writing the build does {share:.0%} of that."
        f" Measured before on one core of another machine, images/s of {WIDTH}×{HEIGHT}: {BEFORE}."
        f" {os.cpu_count()} cores ({processor()})"
        f"{', shared with other processes' if options.shared else ''}. Put here by `scripts/measure_build.py`."
    )
    text = f"{markdown(rows)}\n{note}"
    if options.document is None:
        print(text)
    else:
        write_block(options.document, "build", text)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
    else:
        main()
