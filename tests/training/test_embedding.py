"""All images of a source through a network, onto the disk."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from embedding_folders import facts_of
from small_models import linear_model
from streamed_images import streamed

from jaxal.data import embedding_shards
from jaxal.data.loading import Images
from jaxal.training import placement
from jaxal.training.embedding import embed_pool, made_here
from jaxal.training.inference import embed_images

N, B = 23, 4
IMAGES = np.random.default_rng(0).integers(0, 256, (N, 5, 5, 1), dtype=np.uint8)


def embedded(folder, model, images, batch_size=B, start=None):
    variables = model.init(jax.random.key(0))
    return embed_pool(
        model,
        start or (lambda: variables),
        images,
        folder=folder,
        of=facts_of(np.empty((images.num_images, 25))),
        made_by=made_here(images.num_images, batch_size),
        ids=[str(row) for row in range(images.num_images)],
        class_names=("a", "b"),
        setting="--out",
    )


@pytest.mark.parametrize("num_images", [1, B - 1, B, 2 * B, N])
@pytest.mark.parametrize("shard_bytes", [1, 2 * B * 25 * 4, 2**24])
def test_what_is_written_is_what_is_computed_in_place(tmp_path, monkeypatch, num_images, shard_bytes):
    monkeypatch.setattr(embedding_shards, "SHARD_BYTES", shard_bytes)
    shapes = []
    model = linear_model(num_pixels=25, num_classes=2, seen_shapes=shapes)
    images = streamed(IMAGES[:num_images])
    result = embedded(tmp_path, model, images)
    rows = result.rows.read(np.arange(num_images))
    assert set(shapes) == {(min(B, num_images), 5, 5, 1)}
    np.testing.assert_allclose(rows, IMAGES[:num_images].reshape(num_images, 25) / np.float32(255), rtol=1e-6)
    np.testing.assert_array_equal(rows, embed_images(model, model.init(jax.random.key(0)), images, B))


def test_only_what_is_missing_is_read_and_nothing_where_all_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(embedding_shards, "SHARD_BYTES", 2 * B * 25 * 4)
    read = []

    def noted(rows):
        read.extend(rows.tolist())
        return IMAGES[rows]

    model, images = linear_model(num_pixels=25, num_classes=2), Images(noted, N, IMAGES.shape[1:])
    whole = embedded(tmp_path, model, images).rows.read(np.arange(N))
    (tmp_path / "embeddings-00001.npy").unlink()
    (tmp_path / "embeddings-00002.npy").write_bytes(b"rot")
    read.clear()
    result = embedded(tmp_path, model, images)
    assert result.num_made == len(range(2 * B, N))
    # The last batch of all is full: it overlaps the one before.
    assert sorted(read) == sorted([*range(2 * B, 5 * B), *range(N - B, N)])
    np.testing.assert_array_equal(result.rows.read(np.arange(N)), whole)

    def unwanted():
        raise AssertionError

    read.clear()
    assert embedded(tmp_path, model, images, start=unwanted).num_made == 0
    assert not read


def test_progress_of_images_in_place_is_told_batch_by_batch():
    model, told = linear_model(num_pixels=25, num_classes=2), []
    embed_images(model, model.init(jax.random.key(0)), jax.numpy.asarray(IMAGES), B, lambda *each: told.append(each))
    assert told == [(done, N) for done in (4, 8, 12, 16, 20, 23)]


def test_batches_spread_evenly_over_what_devices_there_are(monkeypatch):
    assert [placement.spread_size(*each) for each in ((100, 30), (20, 30), (5, 4))] == [30, 20, 4]

    class Sharding:
        device_set = range(8)

    monkeypatch.setattr(placement, "batch_sharding", Sharding)
    # The last is a batch of its own on one device: fewer images than devices.
    assert [placement.spread_size(*each) for each in ((100, 30), (20, 30), (17, 4), (5, 4))] == [32, 16, 8, 5]


PROGRAM = """
import sys
from pathlib import Path
import jax, numpy as np
from jaxal.config.models import EfficientNetConfig
from jaxal.data import embedding_shards
from jaxal.data.embedding_manifest import EmbeddingsOf
from jaxal.data.loading import Images
from jaxal.models.efficientnet import efficientnet
from jaxal.models.efficientnet_table import VARIANTS, Stage
from jaxal.training.embedding import embed_pool, made_here
from jaxal.training.inference import apply_images, embed_images

folder, num_devices = Path(sys.argv[1]), int(sys.argv[2])
assert jax.device_count() == num_devices
VARIANTS["lite0"] = VARIANTS["lite0"]._replace(width=0.25, stages=(Stage(1, 3, 1, 1, 16), Stage(1, 3, 2, 2, 16)))
shape = {"image_shape": (8, 8, 3), "num_classes": 2, "mean": (0.5,) * 3, "std": (0.25,) * 3}
model = efficientnet(EfficientNetConfig(variant="lite0"), **shape)
pixels = np.random.default_rng(0).integers(0, 256, (101, 8, 8, 3), dtype=np.uint8)
images = Images(lambda rows: pixels[rows], len(pixels), pixels.shape[1:])
variables = model.init(jax.random.key(0))
of = EmbeddingsOf("d", 101, model.spec.embedding_width, (8, 8, 3), {}, (0.5,) * 3, (0.25,) * 3, "", 0)
embedding_shards.SHARD_BYTES = 2**16
made_by = made_here(101, 10)
result = embed_pool(model, lambda: variables, images, folder=folder / "made", of=of, made_by=made_by,
    ids=[str(row) for row in range(101)], class_names=("a", "b"), setting="--out")
rows = result.rows.read(np.arange(101))
np.testing.assert_array_equal(rows, embed_images(model, variables, images, 10))
logits = apply_images(model, variables, images, 10)
assert len(logits.devices()) == 1
assert jax.jit(lambda a, b: a @ b)(logits.T, jax.numpy.ones((101, 1))).shape == (2, 1)  # no other devices than all else
few = Images(lambda rows: pixels[rows], 5, pixels.shape[1:])
np.testing.assert_allclose(embed_images(model, variables, few, 10), rows[:5], rtol=1e-4, atol=1e-5)
np.savez(folder / "rows.npz", rows=rows, logits=logits)
print(made_by.batch_size, made_by.num_devices)
"""


@pytest.mark.slow
def test_eight_devices_embed_as_one_does(tmp_path):
    found = []
    for number, said in ((1, "10 1"), (8, "16 8")):
        folder = tmp_path / str(number)
        folder.mkdir()
        flags = f"--xla_force_host_platform_device_count={number}"
        environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
        words = [sys.executable, "-c", PROGRAM, str(folder), str(number)]
        done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=300)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == said
        with np.load(folder / "rows.npz") as arrays:
            found.append(dict(arrays))
    for name in ("rows", "logits"):
        assert np.std(found[0][name]) > 0
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=1e-5, atol=1e-5)
