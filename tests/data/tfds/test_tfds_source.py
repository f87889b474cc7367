"""Any set prepared as ArrayRecord: features found by type, strict decoding, and what is refused."""

import io
import json
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds
from made_images import jpeg, prepared
from PIL import Image

from jaxal.config.data import TFDSConfig
from jaxal.data.tfds import library, source
from jaxal.data.tfds.source import read_tfds
from jaxal.errors import DataError

F = tfds.features


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def read(data, name="made", **settings):
    return read_tfds(TFDSConfig(name=name, data_dir=str(data), **settings))


def refusal(data, name="made", **settings) -> str:
    with pytest.raises(DataError) as caught:
        read(data, name, **settings)
    return str(caught.value)


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def gray(number: int, side: int = 28) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (side, side), np.uint8)


def mnist_like(data, counts=(12, 5), **options):
    features = {"image": F.Image(shape=(28, 28, 1), encoding_format="png"), "label": F.ClassLabel(num_classes=3)}
    made = [{"image": png(gray(number)), "label": number % 3} for number in range(sum(counts))]
    rows = [made[: counts[0]], *([made[counts[0] :]] if len(counts) > 1 else [])]
    splits = dict(zip(("train", "test"), rows, strict=False))
    return prepared(data, options.pop("name", "made"), features, splits, ("image", "label"), **options)


def colors(data, rows=None, more=None, name="made", supervised=None, splits=None, **changes):
    features = {"image": F.Image(), "label": F.ClassLabel(names=["cat", "dog"]), **(more or {})}
    if rows is None:
        rows = [{"image": jpeg(number), "label": number % 2} for number in range(8)]
    return prepared(data, name, features, splits or {"train": [row | changes for row in rows]}, supervised)


def test_a_set_like_mnist_keeps_its_pixels(data):
    mnist_like(data)
    found = read(data)
    assert found.image_shape == (28, 28, 1)
    assert found.class_names == ("0", "1", "2")
    assert found.parts.tolist() == ["test"] * 5 + ["train"] * 12
    assert found.ids[[0, 5]].tolist() == ["test-000000", "train-000000"]
    pixels = found.read(np.arange(17))
    made = {gray(number).tobytes(): number % 3 for number in range(17)}
    assert [made[image.tobytes()] for image in pixels] == found.labels.tolist()
    assert found.groups is None
    assert dict(found.columns) == {}


def test_size_and_color_can_be_set(data):
    mnist_like(data)
    assert read(data, image_size=10, color="rgb").image_shape == (10, 10, 3)
    colors(data, name="colors")
    assert read(data, "colors").image_shape == (64, 64, 3)
    assert read(data, "colors", image_size=5, color="gray").image_shape == (5, 5, 1)


def test_bare_pixels_are_read_as_they_are(data):
    for name, shape, channels in (("two", (12, 12), 1), ("one", (12, 12, 1), 1), ("three", (12, 12, 3), 3)):
        features = {"pixels": F.Tensor(shape=shape, dtype=np.uint8), "kind": F.ClassLabel(names=["a", "b"])}
        made = [np.random.default_rng(number).integers(0, 256, shape, np.uint8) for number in range(6)]
        prepared(data, name, features, {"train": [{"pixels": each, "kind": row % 2} for row, each in enumerate(made)]})
        found = read(data, name)
        assert found.image_shape == (12, 12, channels)
        assert {each.tobytes() for each in found.read(np.arange(6))} == {each.tobytes() for each in made}


def test_a_single_split_is_no_split(data):
    mnist_like(data)
    assert read(data, splits=("train",)).parts is None
    assert len(read(data, splits=("train",)).ids) == 12


def test_ids_groups_and_columns_are_found_by_name(data):
    more = {"image_id": F.Text(), "patient_id": F.Text(), "site": F.Text()}
    rows = [
        {"image": jpeg(row), "label": row % 2, "image_id": f"é{9 - row}",
         "patient_id": "" if row == 3 else f"p{row // 2}", "site": "arm"}
        for row in range(8)
    ]  # fmt: skip
    colors(data, rows, more)
    found = read(data)
    assert found.ids.tolist() == sorted(row["image_id"] for row in rows)
    by_id = dict(zip(found.ids.tolist(), found.groups.tolist(), strict=True))
    assert by_id["é9"] == by_id["é8"] == "p0"
    assert by_id["é6"] == "é6"  # without a patient it stands alone
    assert found.columns["site"].tolist() == ["arm"] * 8
    plain = read(data, id_feature="", group_feature="")
    assert plain.ids[0] == "train-000000"
    assert plain.groups is None
    assert list(plain.columns) == ["image_id", "patient_id", "site"]  # the fingerprint depends on their order
    assert read(data, id_feature="", group_feature="site").groups.tolist() == ["arm"] * 8
    assert "group_feature = 'label': no such feature with a text; there are" in refusal(data, group_feature="label")


def test_several_labels_or_images_are_refused_unless_it_is_said_which(data):
    more = {"breed": F.ClassLabel(names=["x", "y"]), "other": F.Image()}
    rows = [{"image": jpeg(n), "other": jpeg(n + 50), "label": n % 2, "breed": n // 4} for n in range(8)]
    colors(data, rows, more)
    assert "2 features could be the image; set data.source.image_feature to one of image, other" in refusal(data)
    assert "2 features could be the label; set data.source.label_feature to one of" in refusal(
        data, image_feature="other"
    )
    found = read(data, image_feature="other", label_feature="breed")
    assert found.class_names == ("x", "y")
    assert np.bincount(found.labels).tolist() == [4, 4]
    assert "image_feature = 'label': not one image per record" in refusal(data, image_feature="label")
    assert "image_feature = 'photo': no such feature" in refusal(data, image_feature="photo")
    colors(data, rows, more, name="told", supervised=("other", "breed"))
    assert read(data, "told").fingerprint == found.fingerprint


def test_without_image_or_label_a_set_is_refused(data):
    prepared(
        data, "text", {"text": F.Text(), "label": F.ClassLabel(num_classes=2)}, {"train": [{"text": "a", "label": 0}]}
    )
    assert "no features could be the image. The features are" in refusal(data, "text")
    prepared(data, "bare", {"image": F.Image(), "size": F.Scalar(np.int64)}, {"train": [{"image": jpeg(1), "size": 0}]})
    assert "no features could be the label. The features are" in refusal(data, "bare")


def test_images_of_floats_or_labels_per_pixel_are_no_images(data):
    features = {"a": F.LabeledImage(labels=2, shape=(None, None, 1)), "b": F.Tensor(shape=(4, 4), dtype=np.float32),
                "label": F.ClassLabel(num_classes=2)}  # fmt: skip
    row = {"a": png(gray(1)), "b": np.zeros((4, 4), np.float32), "label": 1}
    prepared(data, "made", features, {"train": [row]})
    assert "no features could be the image" in refusal(data)


def test_bad_images_are_listed_and_left_out_up_to_max_bad(data):
    rows = [{"image": jpeg(number), "label": number % 2} for number in range(8)]
    rows[3]["image"] = rows[3]["image"][:200]
    rows[4]["image"] = b"<html>not found</html>"
    colors(data, rows)
    said = refusal(data)
    assert "2 of 8 images cannot be used, 0 may be left out" in said
    assert "1 × not an image of a known format: train-" in said
    assert "1 × damaged, or JPEG of an unusual form: train-" in said
    found = read(data, max_bad=2)
    assert len(found.ids) == 6
    assert any("left out, damaged" in note for note in found.notes)


def test_records_without_a_label_are_refused(data):
    rows = [{"image": jpeg(number), "label": -1 if number < 3 else number % 2} for number in range(8)]
    colors(data, rows)
    assert "3 × without a label, or of no class that there is: train[" in refusal(data)


def test_ids_must_be_distinct(data):
    rows = [
        {"image": jpeg(number), "label": number % 2, "id": f"{number // 2}" if number else ""} for number in range(8)
    ]
    colors(data, rows, {"id": F.Text()})
    said = refusal(data)
    assert "3 × id of another record" in said
    assert "1 × empty id" in said
    assert len(read(data, id_feature="").ids) == 8


def test_a_class_without_an_image_is_said(data):
    rows = [{"image": jpeg(number), "label": number % 2} for number in range(4)]
    colors(data, rows, {"label": F.ClassLabel(names=["a", "b", "c"])})
    found = read(data)
    assert found.class_names == ("a", "b")
    assert "1 classes of the set have no image and are left out: c" in found.notes


def test_splits_without_names_of_parts_must_be_chosen(data):
    rows = [{"image": jpeg(number), "label": number % 2} for number in range(4)]
    colors(data, splits={"train": rows, "test": rows, "unlabelled": rows})
    assert "the splits unlabelled have no names of parts" in refusal(data)
    found = read(data, splits=("train", "test"))
    assert sorted(found.parts.tolist()) == ["test"] * 4 + ["train"] * 4
    assert "no split valid; there are train, test, unlabelled" in refusal(data, splits=("train", "valid"))
    assert "a split twice" in refusal(data, splits=("train", "train"))


def test_a_set_that_is_not_prepared_says_how_to_prepare_it(data, tmp_path, monkeypatch):
    said = refusal(data, "mnist")
    assert f"tfds build mnist --file_format array_record --data_dir {data}" in said
    said = refusal(data, "isic2020")
    assert f"python scripts/prepare_tfds.py isic2020 --manual-dir FOLDER_OF_IMAGES --data-dir {data}" in said
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "else where"))
    with pytest.raises(DataError, match=f"--data_dir '{tmp_path}/else where'"):
        read_tfds(TFDSConfig(name="mnist"))
    mnist_like(tmp_path / "else where")
    assert len(read_tfds(TFDSConfig(name="made")).ids) == 17


def test_versions_and_configs(data):
    mnist_like(data, (6,), version="1.9.0")
    mnist_like(data, (7,), version="1.10.0")
    assert len(read(data).ids) == 7
    assert len(read(data, "made:1.9.0").ids) == 6
    assert "Prepared are the versions 1.9.0, 1.10.0" in refusal(data, "made:2.0.0")
    mnist_like(data, (8,), name="kinds", config="small")
    assert len(read(data, "kinds").ids) == 8
    mnist_like(data, (9,), name="kinds", config="large")
    assert "several configs; name one of kinds/large, kinds/small" in refusal(data, "kinds")
    assert len(read(data, "kinds/large").ids) == 9
    assert len(read(data, "kinds/small:1.0.0").ids) == 8


def test_tfrecord_is_refused_with_the_command(data):
    folder = mnist_like(data)
    path = folder / "dataset_info.json"
    described = json.loads(path.read_text())
    path.write_text(json.dumps(described | {"fileFormat": "tfrecord"}))
    said = refusal(data)
    assert "prepared as tfrecord, which only TensorFlow reads" in said
    assert f"tfds build made --file_format array_record --data_dir {data}" in said


def test_features_of_foreign_modules_are_not_imported(data, tmp_path, monkeypatch):
    folder = mnist_like(data)
    (tmp_path / "evil_features.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    path = folder / "features.json"
    path.write_text(path.read_text().replace("tensorflow_datasets.core.features.image_feature", "evil_features"))
    assert "not TensorFlow Datasets' own: ['evil_features.Image']" in refusal(data)


@pytest.mark.parametrize("name", ["features.json", "dataset_info.json"])
@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000, "\xff", '{"pythonClassName": 3}', "null"])
def test_damaged_descriptions_are_refused(data, name, text):
    folder = mnist_like(data, (2,))
    (folder / name).write_bytes(text.encode("latin-1"))
    assert "repare it again" in refusal(data) or "Prepare it as ArrayRecord" in refusal(data)


def test_damaged_records_are_refused(data):
    folder = mnist_like(data)
    path = next(folder.glob("*train.array_record*"))
    whole = path.read_bytes()
    for changed in (
        b"",
        whole[:-1],
        whole[: len(whole) // 2],
        bytes(len(whole)),
        whole[:3000] + bytes(64) + whole[3064:],
    ):
        path.write_bytes(changed)
        assert "Prepare it again" in refusal(data)
    path.unlink()
    assert "Prepare it again" in refusal(data)
    path.write_bytes(whole)
    shutil.copy(next(folder.glob("*test.array_record*")), path)
    assert "train[5] cannot be read" in refusal(data)
    path.write_bytes(whole)
    assert len(read(data).ids) == 17


def test_labels_are_read_once(data, monkeypatch):
    mnist_like(data)
    first = read(data)
    opened = []
    monkeypatch.setattr(source, "image_bytes", lambda *arguments: opened.append(arguments))
    again = read(data)
    assert again.fingerprint == first.fingerprint
    assert np.array_equal(again.read(np.arange(17)), first.read(np.arange(17)))
    assert opened == []


def test_another_preparation_is_not_taken_for_the_old_one(data):
    mnist_like(data)
    first = read(data).fingerprint
    shutil.rmtree(data / "made")
    mnist_like(data, (11, 6))
    second = read(data)
    assert second.fingerprint != first
    assert second.parts.tolist() == ["test"] * 6 + ["train"] * 11


def test_without_tensorflow_datasets_it_says_what_to_install(data, monkeypatch):
    mnist_like(data)

    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(library.importlib, "import_module", missing)
    assert "pip install 'tensorflow-datasets>=4.9.10' array_record importlib_resources" in refusal(data)


def test_a_name_that_is_not_there_lists_what_is(data):
    assert "Nothing is prepared there. Prepare it by" in refusal(data, "other")
    mnist_like(data)
    colors(data, name="pictures")
    message = refusal(data, "other")
    assert f"'other': not prepared in {data}. Prepared there: made, pictures. Prepare it by" in message
    assert "Prepared are the versions 1.0.0." in refusal(data, "made:3.0.0")
