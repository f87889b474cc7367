"""Choose from pools that stay on the disk, and put time and memory against their rows into a document.

.venv/bin/python scripts/measure_streamed.py docs/scaling.md --rows 1000000 3000000

The document holds a block between `<!-- streamed: begin -->` and `<!-- streamed: end -->`. The embeddings are made: a
mixture of Gaussians, 256 wide, ten classes of which the last is the rarest, 500 labels of each. Every command is a
process of its own with empty caches. Needs 1 kB of disk a row, twice that while a pool is replaced by the next. With
--pools, pools are kept there, a folder ROWS each, and those that are there are taken.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path

import numpy as np
from measure_large_pool import run
from measure_study import processor, write_block

from jaxal.data.embedding_manifest import EmbeddingsOf, MadeBy
from jaxal.data.embedding_shards import make_embeddings
from jaxal.report.tables import markdown

WIDTH, NUM_CLASSES, LABELS_PER_CLASS = 256, 10, 500
BATCH = 8192
BUDGETS = {"entropy": 100_000, "core_set": 1000, "mpps": 1000, "cb_dal": 1000, "badge": 1000, "alfa_mix": 1000}
CLASSES = tuple(f"class{number}" for number in range(NUM_CLASSES))


def make_pool(top: Path, num_rows: int) -> None:
    """Make a folder of embeddings, the labels known of it, and a head that nearly knows the classes."""
    rng = np.random.default_rng(num_rows)
    shares = 0.1 ** (np.arange(NUM_CLASSES) / (NUM_CLASSES - 1))
    classes = rng.choice(NUM_CLASSES, num_rows, p=shares / shares.sum())
    means = rng.normal(size=(NUM_CLASSES, WIDTH)).astype(np.float32) * np.float32(1.5 / WIDTH**0.5)

    def embed(parts: Iterable[range]) -> Generator[np.ndarray, None, None]:
        for part in parts:
            for start in part[::BATCH]:
                rows = range(start, min(start + BATCH, part.stop))
                drawn = np.random.default_rng([num_rows, start]).standard_normal((len(rows), WIDTH), np.float32)
                yield drawn / np.float32(WIDTH**0.5) + means[classes[rows.start : rows.stop]]

    of = EmbeddingsOf("0" * 64, num_rows, WIDTH, (1, 1, 1), {"kind": "made"}, (0.0,), (1.0,), "", num_rows)
    ids = [f"row{row:08}" for row in range(num_rows)]
    by = MadeBy(BATCH, "cpu", 1, {})
    make_embeddings(top / "embeddings", of, by, embed, ids=ids, class_names=CLASSES, setting="made")
    labeled = np.concatenate(
        [rng.choice(np.flatnonzero(classes == label), LABELS_PER_CLASS, replace=False) for label in range(NUM_CLASSES)]
    )
    lines = ["id,label", *(f"{ids[row]},{CLASSES[classes[row]]}" for row in labeled)]
    (top / "labels.csv").write_text("\n".join(lines) + "\n")
    np.savez(top / "head.npz", head_weight=means.T, head_bias=np.zeros(NUM_CLASSES, np.float32))


def measure(top: Path, num_rows: int, strategies: Sequence[str]) -> dict[str, str]:
    """Choose by each strategy; returns a row of the table."""
    row = {"rows": f"{num_rows:,}", "GB": f"{num_rows * WIDTH * 4 / 1e9:.1f}"}
    for strategy in strategies:
        place = Path(tempfile.mkdtemp(prefix=f"{strategy}-", dir=top))
        words = [
            "select",
            str(top / "embeddings"),
            "--labels",
            str(top / "labels.csv"),
            "--head",
            str(top / "head.npz"),
        ]
        words += ["--strategy", strategy, "--budget", str(BUDGETS[strategy]), "--stream", str(place / "state")]
        done = run([*words, "--out", str(place / "query.csv")], place)
        row |= {f"{strategy}, s": f"{done.seconds:.0f}", f"{strategy}, GB": f"{done.peak / 1e9:.2f}"}
        shutil.rmtree(place)
        print(row, flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("document", type=Path, nargs="?", help="to put the table into; printed where absent")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--strategies", nargs="+", default=list(BUDGETS))
    parser.add_argument("--pools", type=Path, help="keeps the pools; a temporary folder, removed, if absent")
    options = parser.parse_args()
    rows = []
    for num_rows in options.rows:
        top = (
            Path(tempfile.mkdtemp(prefix="jaxal-streamed-")) if options.pools is None else options.pools / str(num_rows)
        )
        try:
            if not (top / "head.npz").exists():  # what is written last
                began = time.perf_counter()
                make_pool(top, num_rows)
                print(f"{num_rows} rows made in {time.perf_counter() - began:.0f} s", flush=True)
            rows.append(measure(top, num_rows, options.strategies))
        finally:
            if options.pools is None:
                shutil.rmtree(top)
    note = (
        f"Made embeddings, {WIDTH} wide, {NUM_CLASSES * LABELS_PER_CLASS} labels;"
        f" {', '.join(f'{name} {BUDGETS[name]:,} picks' for name in options.strategies)}. Seconds are those of the"
        " whole command: start, hashing of every file as it is read, compilation, all passes and saving. GB are what"
        f" the process held at its peak. {os.cpu_count()} cores ({processor()}). Put here by"
        " `scripts/measure_streamed.py`."
    )
    text = f"{markdown(rows)}\n{note}"
    if options.document is None:
        print(text)
    else:
        write_block(options.document, "streamed", text)


if __name__ == "__main__":
    main()
