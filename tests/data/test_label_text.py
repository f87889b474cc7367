"""However a table of labels is written down, it is the same pool; whatever else is written, nothing but a refusal."""

import csv
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_fixtures import put
from isic_forms import ORIGINAL, PAIRS, expected, original_rows, put_images, table

from jaxal.config.data import ImagesConfig
from jaxal.data.readers.labeled_files import find_labels
from jaxal.errors import DataError

# A fixed sequence, so that red stays red; no clock, because of shared machines.
SAME_EXAMPLES = settings(deadline=None, derandomize=True, database=None, max_examples=60)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    put_images(folder / "some" / "where")
    return folder


def found_in(images: Path, texts: dict[str, bytes]):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts.items():
            put(Path(folder, name), text)
        return find_labels(ImagesConfig(path=folder, images=(str(images),)))


recase = st.sampled_from([str, str.upper, str.title, lambda name: name.replace("_", " "), lambda name: f" {name} "])


@given(
    st.permutations(range(12)),
    st.permutations(range(8)),
    st.sampled_from(",;\t"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    recase,
    st.sampled_from(["", ".jpg", ".JPG", ".png"]),
    st.sampled_from(["", "train/", "C:\\data\\", "/home/me/isic/"]),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.sampled_from(["labels.csv", "train.csv", "Ünïcode.TSV", "a b/c.csv"]),
)
@SAME_EXAMPLES
def test_the_same_pool_however_it_is_written(
    images, order, columns, delimiter, end, quoting, recased, ending, folder, mark, name
):
    rows = [(folder + row[0] + ending, *row[1:]) for row in original_rows()]
    rows = [[rows[row][column] for column in columns] for row in order]
    header = [recased(ORIGINAL[column]) for column in columns]
    pairs = [(f"{one}{ending}", two) for one, two in reversed(PAIRS)]
    texts = {
        name: mark + table(header, rows, delimiter, end, quoting),
        "pairs.csv": mark + table([recased("image_name_1"), "image_name_2"], pairs, delimiter, end, quoting),
    }
    found = found_in(images, texts)
    assert found.problems == ()
    assert found.missing == ()
    assert found.class_names == ("benign", "malignant")
    assert {each.id: (each.label, each.group) for each in found.records} == expected()
    assert [each.id for each in found.records] == sorted(expected())


cells = st.sampled_from(
    ["ISIC_0000001", "ISIC_0000002.jpg", "x", "0", "1", "", "NA", '"', "train", "a\nb", "\x00", "é"]
)
names = st.sampled_from(
    [*ORIGINAL, "image", "label", "split", "image_name_2", "isic_id", "diagnosis_1", "MEL", "NV", ""]
)
lines = st.lists(st.lists(cells, min_size=1, max_size=4), max_size=5)


@given(st.lists(names, min_size=1, max_size=5), lines, st.sampled_from(",;\t"), st.binary(max_size=4))
@settings(SAME_EXAMPLES, max_examples=200)
def test_whatever_is_written_there_are_records_or_a_refusal(images, header, rows, delimiter, tail):
    text = "\n".join(delimiter.join(row) for row in [header, *rows]).encode() + tail
    with suppress(DataError):
        check(found_in(images, {"t.csv": text}))


def test_the_check_is_not_empty(images):
    check(found_in(images, {"t.csv": b"image,label\nISIC_0000001,x\nISIC_0000002,y\n,z\n"}))
    with pytest.raises(DataError, match=r"t.csv cannot be read: .* has NUL bytes, the first in line 2: not a text"):
        found_in(images, {"t.csv": b"image,label\nISIC_0000001,\0\n"})
    with pytest.raises(DataError, match=r"is not UTF-8 text \(line 1\). Save it as CSV UTF-8"):
        found_in(images, {"t.csv": "image,label\nISIC_0000001,x\n".encode("utf-16")})
    with pytest.raises(DataError, match=r"is not UTF-8 text \(line 2\)"):
        found_in(images, {"t.csv": b"image,label\nISIC_0000001,\xe4\n"})


def check(found) -> None:
    assert found.records or found.problems
    assert len({each.id for each in found.records}) == len(found.records)
    assert {each.label for each in found.records} == set(found.class_names)
    assert len({each.group is None for each in found.records}) <= 1
    assert len({tuple(each.columns) for each in found.records}) <= 1
    assert all("" not in (each.id, each.label, each.group) for each in found.records)
