"""CIFAR's files, made small: pickles as Python 2 wrote them and as any Python 3 writes them, and binary records."""

import io
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

NAMES_10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FINE, COARSE = ("apple", "aquarium_fish", "baby", "bear"), ("fish", "fruit", "people")
PIXELS = 3072


class Python2:
    """Writes what cPickle of Python 2 wrote in protocol 2, byte by byte."""

    def __init__(self) -> None:
        self.num_memo = 0

    def dump(self, value: Any) -> bytes:
        return b"\x80\x02" + self.put(value) + b"."

    def memo(self) -> bytes:
        self.num_memo += 1
        return b"q" + bytes([self.num_memo]) if self.num_memo < 256 else b"r" + struct.pack("<I", self.num_memo)

    def put(self, value: Any) -> bytes:
        if isinstance(value, int):
            return b"K" + bytes([value]) if 0 <= value < 256 else b"M" + struct.pack("<H", value)
        if isinstance(value, str):
            return b"U" + bytes([len(value)]) + value.encode() + self.memo()
        if isinstance(value, list):
            return b"]" + self.memo() + b"(" + b"".join(map(self.put, value)) + b"e"
        if isinstance(value, dict):
            start = b"}" + self.memo() + b"("
            return start + b"".join(self.put(key) + self.put(each) for key, each in value.items()) + b"u"
        return self.array(value)

    def array(self, value: np.ndarray) -> bytes:
        return b"".join(
            (
                b"cnumpy.core.multiarray\n_reconstruct\n", self.memo(), b"cnumpy\nndarray\n", self.memo(),
                b"K\x00\x85", self.memo(), b"U\x01b\x87", self.memo(), b"R", self.memo(),
                b"(K\x01", b"".join(b"J" + struct.pack("<i", length) for length in value.shape), b"\x86", self.memo(),
                b"cnumpy\ndtype\n", self.memo(), b"U\x02u1K\x00K\x01\x87", self.memo(), b"R", self.memo(),
                b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89",
                b"T" + struct.pack("<I", value.nbytes) + value.tobytes(), b"tb",
            )
        )  # fmt: skip


def python2(value: Any) -> bytes:
    return Python2().dump(value)


def python3(protocol: int) -> Any:
    return lambda value: pickle.dumps(value, protocol=protocol)


def made_pixels(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, PIXELS), np.uint8)


def made_100(count: int, seed: int) -> dict[str, Any]:
    return {
        "filenames": [f"picture_s_{number:06d}.png" for number in range(count)],
        "batch_label": f"batch {seed}",
        "fine_labels": [number % len(FINE) for number in range(count)],
        "coarse_labels": [number % len(COARSE) for number in range(count)],
        "data": made_pixels(count, seed),
    }


def python_100(folder: Path, dump: Any = python2, counts: tuple[int, int] = (13, 7)) -> Path:
    """Write CIFAR-100's python version; return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, count) in enumerate(zip(("train", "test"), counts, strict=True)):
        (folder / name).write_bytes(dump(made_100(count, seed)))
    names = {"fine_label_names": list(FINE), "coarse_label_names": list(COARSE)}
    (folder / "meta").write_bytes(dump(names))
    return folder


def binary_100(folder: Path, counts: tuple[int, int] = (13, 7)) -> Path:
    """Write the same in the binary version."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, count) in enumerate(zip(("train", "test"), counts, strict=True)):
        made = made_100(count, seed)
        labels = np.array([made["coarse_labels"], made["fine_labels"]], np.uint8).T
        (folder / f"{name}.bin").write_bytes(np.concatenate([labels, made["data"]], 1).tobytes())
    (folder / "fine_label_names.txt").write_text("\n".join(FINE) + "\n")
    (folder / "coarse_label_names.txt").write_text("\n".join(COARSE) + "\n")
    return folder


def made_10() -> dict[str, tuple[np.ndarray, list[int]]]:
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    return {name: (made_pixels(4, seed), [(seed + row) % 10 for row in range(4)]) for seed, name in enumerate(names)}


def python_10(folder: Path, dump: Any = python2) -> Path:
    """Write CIFAR-10's python version."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (pixels, labels) in made_10().items():
        (folder / name).write_bytes(
            dump({"batch_label": name, "labels": labels, "data": pixels, "filenames": ["a"] * 4})
        )
    (folder / "batches.meta").write_bytes(dump(meta_10()))
    return folder


def meta_10() -> dict[str, Any]:
    return {"num_cases_per_batch": 10000, "label_names": list(NAMES_10), "num_vis": 3072}


def binary_10(folder: Path) -> Path:
    """Write the same in the binary version."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (pixels, labels) in made_10().items():
        records = np.concatenate([np.array(labels, np.uint8)[:, None], pixels], 1)
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(NAMES_10) + "\n\n")
    return folder


def archived(folder: Path, path: Path, prefix: str | None = None) -> Path:
    """Put a folder into an archive, as its name there or under another prefix."""
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for file in sorted(folder.iterdir()):
            data = file.read_bytes()
            info = tarfile.TarInfo(f"{folder.name if prefix is None else prefix}/{file.name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path
