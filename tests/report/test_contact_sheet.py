"""The images shown: which, how many, how packed."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from jaxal.report.contact_sheet import contact_sheets, images_per_round
from jaxal.report.thumbnails import thumbnail
from report.report_samples import images_of, query, sample


def unpacked(uri):
    head, _, data = uri.partition(",")
    return head, Image.open(io.BytesIO(base64.b64decode(data)))


def test_the_first_images_of_the_first_seed_in_order():
    labels = [1, 0, -2] + [0] * 37
    calls = []

    def noted(seed, indices):
        calls.append((seed, indices.tolist()))
        return images_of(seed, indices)

    scores = (None, *(float(place) for place in range(39)))
    inputs = sample(asked=[query("cb", 1, 1, [0]), query("cb", 0, 1, labels, scores=scores)], images_of=noted)
    random, cb = contact_sheets(inputs)
    assert (random.arm, random.rounds) == ("random", ())
    assert (cb.arm, cb.seed, cb.is_tiny) == ("cb", 0, True)
    assert calls == [(0, list(range(10, 40)))]
    (only,) = cb.rounds
    assert (only.num_asked, only.num_minority, only.num_skipped, len(only.picks)) == (40, 1, 1, 30)
    assert only.reasons == ("first 2 (1 of class rare)", "second 38 (0 of class rare)")
    assert [pick.rank for pick in only.picks] == list(range(1, 31))
    assert [(pick.class_name, pick.is_minority) for pick in only.picks[:3]] == [
        ("rare", True),
        ("rest", False),
        ("skipped", False),
    ]
    assert only.picks[0].words == "id-100, rare, first, no score"
    assert only.picks[3].words == "id-103, rest, second, score 2"
    head, picture = unpacked(only.picks[4].uri)
    assert head == "data:image/png;base64"
    assert np.array_equal(np.asarray(picture), images_of(0, [14])[0, :, :, 0])


@pytest.mark.parametrize(("num_rounds", "shown"), [(0, 30), (30, 30), (60, 15), (480, 1), (1000, 1)])
def test_many_rounds_show_fewer_images_each(num_rounds, shown):
    assert images_per_round(num_rounds) == shown


def test_small_color_images_stay_exact_and_large_ones_are_scaled_down():
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (20, 64, 3)).astype(np.uint8)
    head, picture = unpacked(thumbnail(small))
    assert head == "data:image/png;base64"
    assert np.array_equal(np.asarray(picture), small)
    head, picture = unpacked(thumbnail(rng.integers(0, 256, (300, 150, 3)).astype(np.uint8)))
    assert (head, picture.size, picture.mode) == ("data:image/jpeg;base64", (48, 96), "RGB")
    head, picture = unpacked(thumbnail(np.full((200, 200, 1), 9, np.uint8)))
    assert (head, picture.size, picture.mode) == ("data:image/png;base64", (96, 96), "L")
    assert unpacked(thumbnail(np.zeros((1000, 1, 3), np.uint8)))[1].size == (1, 96)
