"""Where images lie: small parts on the device, the others streamed there."""

import threading
import types

import jax
import numpy as np
import pytest
from streamed_images import streamed

from jaxal.data.loading import PREFETCH, Images
from jaxal.training import placement
from jaxal.training.placement import batch_starts, default_image_bytes, place_images, stream_batches, take_images

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 4, 3, 1), dtype=np.uint8)
SIZES = {"pool": 30, "validation": 5, "test": 7}  # 12 bytes each


@pytest.mark.parametrize(
    ("max_bytes", "placed"),
    [
        (0, ""),
        (59, ""),
        (60, "validation"),
        (143, "validation"),
        (144, "validation test"),
        (503, "validation test"),
        (504, "pool validation test"),
        (None, "pool validation test"),
    ],
)
def test_the_smallest_parts_that_fit_together_are_placed(max_bytes, placed):
    found = place_images({name: streamed(PIXELS[:size]) for name, size in SIZES.items()}, max_bytes)
    assert list(found) == list(SIZES)
    for name, size in SIZES.items():
        images = found[name]
        assert isinstance(images, Images) is (name not in placed.split())
        whole = images.read(np.arange(size)) if isinstance(images, Images) else images
        np.testing.assert_array_equal(whole, PIXELS[:size])
        assert isinstance(images, Images | jax.Array)


@pytest.mark.parametrize("block_images", [1, 2, 7, 29, 30, 31])
def test_blocks_make_up_the_whole(monkeypatch, block_images):
    monkeypatch.setattr(placement, "BLOCK_BYTES", 12 * block_images + 5)
    read = []

    def noted(rows):
        read.append(len(rows))
        return PIXELS[rows]

    (whole,) = place_images({"pool": Images(noted, 30, (4, 3, 1))}, 1000).values()
    np.testing.assert_array_equal(whole, PIXELS)
    assert set(read) == {min(block_images, 30)}


def test_the_default_is_a_share_of_the_device_or_of_what_the_host_has_free(monkeypatch):
    monkeypatch.setattr(placement, "free_on_host", lambda: 4000)
    assert default_image_bytes() == 1000
    monkeypatch.setattr(placement, "free_on_host", lambda: None)
    assert default_image_bytes() == 2**30
    stats = {"bytes_limit": 9000, "bytes_in_use": 8000}
    monkeypatch.setattr(jax, "local_devices", lambda: [types.SimpleNamespace(memory_stats=lambda: stats)])
    assert default_image_bytes() == 3000


@pytest.mark.parametrize(("num_images", "size"), [(1, 1), (5, 5), (6, 5), (9, 5), (10, 5), (11, 5), (7, 1)])
def test_batches_have_one_size_and_cover_all(num_images, size):
    starts = batch_starts(num_images, size)
    assert len(starts) == -(-num_images // size)
    assert {row for start in starts for row in range(start, start + size)} == set(range(num_images))


def test_streamed_batches_are_those_asked_for_and_the_next_is_on_its_way():
    begun = []

    def noted(rows):
        begun.append(len(begun))
        return PIXELS[rows]

    batches = [np.array([number, 29 - number]) for number in range(15)]
    for number, batch in enumerate(stream_batches(Images(noted, 30, (4, 3, 1)), batches)):
        assert isinstance(batch, jax.Array)
        np.testing.assert_array_equal(batch, PIXELS[batches[number]])
        assert min(number + 2, 15) <= len(begun) <= number + 1 + PREFETCH
    assert len(begun) == 15


def test_closing_a_stream_ends_its_threads():
    stream = stream_batches(streamed(PIXELS), [np.arange(4)] * 20)
    next(stream)
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("jaxal-load")]


def test_images_are_taken_where_they_lie():
    rows = np.array([4, 0, 4])
    np.testing.assert_array_equal(take_images(jax.numpy.asarray(PIXELS), rows), PIXELS[rows])
    some = take_images(streamed(PIXELS), rows)
    assert isinstance(some, Images)
    np.testing.assert_array_equal(some.read(np.arange(3)), PIXELS[rows])
