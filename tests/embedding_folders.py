"""Folders of embeddings made of given numbers, without a network."""

import numpy as np

from jaxal.data.embedding_manifest import EmbeddingsOf, MadeBy
from jaxal.data.embedding_shards import make_embeddings

N, D, B = 50, 6, 4
NUMBERS = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
IDS = tuple(f"scan, {row}" for row in range(N))
CLASSES = ("benign", "malignant", "rest")


def facts_of(numbers=NUMBERS, **changes):
    return EmbeddingsOf(
        **{
            "data_sha256": "d" * 64,
            "num_rows": len(numbers),
            "width": numbers.shape[1],
            "image_shape": (8, 8, 3),
            "model": {"kind": "resnet", "depth": 18, "image_size": 0},
            "mean": (0.5,) * 3,
            "std": (0.25,) * 3,
            "weights_sha256": "w" * 64,
            "seed": -1,
        }
        | changes
    )


def made_by(batch_size=B, device="cpu"):
    return MadeBy(batch_size=batch_size, device=device, num_devices=1, versions={"jax": "0", "jaxal": "0"})


def made(folder, numbers=NUMBERS, *, by=None, of=None, asked=None, on_embedded=lambda done, total: None, ids=IDS):
    """Make a folder; `asked` collects the rows that were embedded, batch by batch."""
    by = by or made_by()

    def embed(parts):
        for part in parts:
            for start in part[:: by.batch_size]:
                rows = range(start, min(start + by.batch_size, part.stop))
                if asked is not None:
                    asked.append(list(rows))
                yield numbers[rows.start : rows.stop]

    return make_embeddings(
        folder,
        of or facts_of(numbers),
        by,
        embed,
        ids=ids[: len(numbers)],
        class_names=CLASSES,
        setting="--out",
        on_embedded=on_embedded,
    )


def files_of(folder):
    """Return the bytes of every file in a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
