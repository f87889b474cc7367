"""HAM10000, ISIC's one-hot tables, Food-101, MIT Indoor 67, subsets of ImageNet, centers, and tables per part."""

import numpy as np
import pytest
from image_fixtures import put
from isic_forms import jpeg, table

from jaxal.config.data import DataConfig, ExternalConfig, ImagesConfig, SplitConfig
from jaxal.data.dataset import choose_parts, load_source
from jaxal.data.readers.labeled_files import find_labels
from jaxal.errors import DataError


@pytest.fixture
def top(tmp_path):
    return tmp_path / "data"


def found_in(top, **settings):
    found = find_labels(ImagesConfig(path=str(top), **settings))
    assert found.problems == ()
    assert found.missing == ()
    return found


def labels_of(found) -> dict[str, str]:
    return {each.id: each.label for each in found.records}


def refused(top, **settings) -> str:
    with pytest.raises(DataError) as caught:
        find_labels(ImagesConfig(path=str(top), **settings))
    return str(caught.value)


def put_all(folder, names) -> None:
    for number, name in enumerate(names):
        put(folder / name, jpeg(number))


def test_ham10000_in_two_folders_by_lesion(top):
    header = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization", "dataset")
    rows = [
        (f"HAM_{k // 2}", f"ISIC_{k}", "nv" if k < 4 else "mel", "histo", "", "male", "ear", "rosendahl")
        for k in range(6)
    ]
    put(top / "HAM10000_metadata.csv", table(header, rows))
    put(top / "hmnist_8_8_L.csv", table(("pixel0000", "pixel0001", "label"), [("1", "2", "0")]))
    put_all(top / "HAM10000_images_part_1", [f"ISIC_{k}.jpg" for k in range(3)])
    put_all(top / "HAM10000_images_part_2", [f"ISIC_{k}.jpg" for k in range(3, 6)])
    found = found_in(top)
    assert found.form == "HAM10000"
    assert found.class_names == ("mel", "nv")
    assert [each.group for each in found.records] == ["HAM_0", "HAM_0", "HAM_1", "HAM_1", "HAM_2", "HAM_2"]
    assert found.records[0].columns["dataset"] == "rosendahl"
    # The two folders are also handed out twice, in upper and in lower case.
    put_all(top / "ham10000_images_part_1", [f"ISIC_{k}.jpg" for k in range(3)])
    problems = find_labels(ImagesConfig(path=str(top))).problems
    assert [each.kind for each in problems] == ["image name that several files have"] * 3
    assert problems[0].where == "line 2 (ISIC_0): HAM10000_images_part_1/ISIC_0.jpg, ham10000_images_part_1/ISIC_0.jpg"
    folders = tuple(str(top / f"HAM10000_images_part_{k}") for k in (1, 2))
    assert labels_of(found_in(top, images=folders)) == labels_of(found)


ONE_HOT = ("image", "MEL", "NV", "BCC", "AK", "UNK")


@pytest.mark.parametrize(("zero", "one"), [("0.0", "1.0"), ("0", "1")])
def test_a_column_per_class_with_lesions_in_a_table_beside(top, zero, one):
    rows = [(f"ISIC_{k}", *(one if column == k % 4 else zero for column in range(5))) for k in range(8)]
    put(top / "ISIC_2019_Training_GroundTruth.csv", table(ONE_HOT, rows))
    more = [(f"ISIC_{k}", "50", "torso", "" if k == 7 else f"L{k // 2}", "male") for k in range(8)]
    header = ("image", "age_approx", "anatom_site_general", "lesion_id", "sex")
    put(top / "ISIC_2019_Training_Metadata.csv", table(header, more))
    put(top / "ISIC_2019_Test_Metadata.csv", table(header, [("ISIC_99", "", "", "L9", "")]))
    put_all(top / "ISIC_2019_Training_Input", [f"ISIC_{k}.jpg" for k in range(8)])
    found = found_in(top)
    assert found.form == "ISIC 2018 or 2019 (a column per class)"
    assert found.class_names == ("AK", "BCC", "MEL", "NV")
    assert labels_of(found)["ISIC_0"] == "MEL"
    assert labels_of(found)["ISIC_5"] == "NV"
    assert [each.group for each in found.records] == ["L0", "L0", "L1", "L1", "L2", "L2", "L3", "ISIC_7"]
    assert found.records[0].columns == {"age_approx": "50", "anatom_site_general": "torso", "sex": "male"}
    for note in (
        "class UNK has no image and is left out",
        "lesion_id from ISIC_2019_Training_Metadata.csv",
        "ISIC_2019_Test_Metadata.csv is not used: none of its 1 images has a label",
        "1 of 8 images have no lesion and stand alone",
    ):
        assert note in found.notes


def test_classes_that_nobody_has_seen_before_may_head_columns(top):
    rows = [("1", "x", "1", "0"), ("2", "y", "0", "1"), ("3", "x", "1", "0")]
    put(top / "t.csv", table(("file", "kind", "left knee", "right knee"), rows))
    put_all(top / "p", ["1.png", "2.png", "3.png"])
    assert labels_of(found_in(top)) == {"1": "left knee", "2": "right knee", "3": "left knee"}


def test_food_101(top):
    classes = ("apple_pie", "waffles")
    put_all(top / "images", [f"{name}/{k}.jpg" for name in classes for k in range(4)])
    for part, numbers in (("train", (0, 1)), ("test", (2,))):
        put(top / "meta" / f"{part}.txt", "\n".join(f"{name}/{k}" for name in classes for k in numbers).encode())
        put(top / "meta" / f"{part}.json", b"{}")
    put(top / "meta" / "classes.txt", "\n".join(classes).encode())
    put(top / "license_agreement.txt", b"words and/or words")
    found = found_in(top)
    assert found.form == "folder per class with lists of parts (as Food-101)"
    assert found.class_names == classes
    assert {each.id: each.part for each in found.records} == {
        f"{name}/{k}": "train" if k < 2 else "test" for name in classes for k in range(3)
    }
    assert found.notes[-1].startswith(
        "2 images on disk have no label in test.txt and train.txt: images/apple_pie/3.jpg"
    )


def test_mit_67(top):
    put_all(top / "Images", ["kitchen/a b.jpg", "kitchen/c.jpg", "stairs/d.jpg", "stairs/e.jpg", "stairs/f.jpg"])
    put(top / "TrainImages.txt", b"kitchen/a b.jpg\r\nstairs/d.jpg\r\n")
    put(top / "TestImages.txt", b"kitchen/c.jpg\r\nstairs/e.jpg\r\nstairs/gone.jpg\r\n")
    found = find_labels(ImagesConfig(path=str(top)))
    assert found.form == "MIT Indoor 67"
    assert found.problems == ()
    assert {each.id: (each.label, each.part) for each in found.records} == {
        "a b": ("kitchen", "train"),
        "c": ("kitchen", "test"),
        "d": ("stairs", "train"),
        "e": ("stairs", "test"),
        "gone": ("stairs", "test"),
    }
    assert [each.where for each in found.missing] == ["stairs/gone.jpg"]
    put(top / "TestImages.txt", b"kitchen/a b.jpg\nkitchen/c.jpg\n")
    problems = find_labels(ImagesConfig(path=str(top))).problems
    assert [each.kind for each in problems] == ["image of an earlier line"]
    put(top / "test.txt", b"kitchen/c.jpg\n")
    assert "are both lists of the test part" in refused(top)


def test_a_subset_of_imagenet_by_its_list(top):
    put_all(top / "train", [f"{name}/{name}_{k}.JPEG" for name in ("n1", "n2", "n3") for k in range(2)])
    put_all(top / "val", [f"{name}/val_{name}.JPEG" for name in ("n1", "n2", "n3")])
    put(top / "empty" / "n9" / ".keep", b"")
    (top / "empty" / "n9" / ".keep").unlink()
    (top / "empty" / "n9").rmdir()
    (top / "empty").rmdir()
    put(top / "classes.txt", b"n3 tench, Tinca tinca\nn1\n\n")
    found = found_in(top, class_list="classes.txt")
    assert found.form == "folder per class in folders of parts"
    assert found.class_names == ("tench, Tinca tinca", "n1")
    assert len(found.records) == 6
    assert {each.part for each in found.records} == {"train", "validation"}
    put(top / "classes.txt", b"n3,fish\nn1\tfish\nn1\nn7\n")
    found = find_labels(ImagesConfig(path=str(top), class_list="classes.txt"))
    assert found.class_names == ("fish (n3)", "fish (n1)")
    assert [each.kind for each in found.problems] == ["class listed twice", "listed class without an image"]
    put(top / "classes.txt", b"\n")
    assert "classes.txt is empty" in refused(top, class_list="classes.txt")
    assert "no such file" in refused(top, class_list="none.txt")


def test_a_list_of_classes_chooses_from_a_table_too(top):
    put(top / "t.csv", table(("id", "label"), [("1", "cat"), ("2", "dog"), ("3", "cow")]))
    put_all(top, ["1.png", "2.png", "3.png"])
    put(top / "list.txt", b"dog\ncat\n")
    found = found_in(top, class_list=str(top / "list.txt"))
    assert found.class_names == ("dog", "cat")
    assert labels_of(found) == {"1": "cat", "2": "dog"}
    assert "1 classes that list.txt has not were left out: cow" in found.notes


def test_the_centers_of_a_table_make_an_external_test(top):
    rows = [(f"{k}", "ab"[k % 2], "ABB"[k % 3], f"p{k // 2}") for k in range(36)]
    put(top / "bones.csv", table(("filename", "dx", "center", "patient"), rows))
    put_all(top / "xray", [f"{k}.png" for k in range(36)])
    split = SplitConfig(external=ExternalConfig(column="center", internal=("B",)), by="image")
    source = ImagesConfig(path=str(top), image_size=4, cache=str(top.parent / "cache"))
    config = DataConfig(source=source, split=split)
    loaded = load_source(config)
    parts = choose_parts(loaded, config, 0)
    assert set(loaded.columns["center"][parts.external].tolist()) == {"A"}
    assert set(loaded.columns["center"][parts.pool].tolist()) == {"B"}
    np.testing.assert_array_equal(loaded.ids, np.array(sorted(str(k) for k in range(36))))


def test_a_table_per_part(top):
    for part, numbers in (("Training", range(4)), ("Validation", range(4, 6)), ("Test", range(6, 8))):
        rows = [(f"{k}.jpg", "ab"[k % 2]) for k in numbers]
        put(top / f"Task3_{part}_GroundTruth.csv", table(("image", "label"), rows))
    put_all(top / "all", [f"{k}.jpg" for k in range(8)])
    found = found_in(top)
    assert [each.part for each in found.records] == ["train"] * 4 + ["validation"] * 2 + ["test"] * 2
    # A fourth table makes it unclear.
    put(top / "more.csv", table(("image", "label"), [("1.jpg", "a"), ("2.jpg", "b")]))
    message = refused(top)
    assert "4 tables with labels that differ: Task3_Test_GroundTruth.csv, Task3_Training" in message
    assert "Set data.source.labels to one of them." in message
    assert labels_of(found_in(top, labels="more.csv")) == {"1": "a", "2": "b"}


def test_a_column_of_parts(top):
    rows = [("1", "a", "train", "left", "3"), ("2", "b", "val", "right", "4"), ("3", "a", "TEST", "left", "5")]
    put_all(top, ["1.png", "2.png", "3.png"])
    put(top / "t.csv", table(("image", "class", "Split", "part", "fold"), rows))
    found = found_in(top)
    assert [each.part for each in found.records] == ["train", "validation", "test"]
    assert found.records[0].columns == {"part": "left", "fold": "3"}
    assert {each.part for each in found_in(top, split_column="").records} == {None}
    put(top / "t.csv", table(("image", "class", "half", "part"), [row[:4] for row in rows]))
    assert {each.part for each in found_in(top).records} == {None}  # a part of the body


def test_folders_of_classes_whose_names_repeat(top):
    put_all(top / "deep" / "er", ["cat/1.jpg", "cat/2.jpg", "dog/1.png"])
    found = found_in(top)
    assert labels_of(found) == {"cat/1": "cat", "cat/2": "cat", "dog/1": "dog"}
    put(top / "deep" / "er" / "cat" / "1.png", jpeg(9))
    assert [each.id for each in found_in(top).records] == ["cat/1.jpg", "cat/1.png", "cat/2.jpg", "dog/1.png"]


def test_a_table_of_classes_is_no_table_of_images(top):
    put_all(top, ["cat/1.jpg", "cat/2.jpg", "dog/3.png", "dog/4.png", "dog/5.png"])
    put(top / "classes.csv", table(("id", "class"), [("1", "cat"), ("2", "dog")]))
    found = found_in(top)
    assert found.form == "folder per class"
    assert len(found.records) == 5
    assert any(note.startswith("classes.csv is not used: its column 'id' names less than half") for note in found.notes)
    assert labels_of(found_in(top, image_column="id")) == {"1": "cat", "2": "dog"}


def test_ham10000_whose_table_has_lost_its_ending(top):
    rows = [(f"HAM_{k // 2}", f"ISIC_{k}", "nv" if k < 4 else "mel") for k in range(6)]
    put(top / "HAM10000_metadata", table(("lesion_id", "image_id", "dx"), rows))
    put_all(top / "HAM10000_images_part_1", [f"ISIC_{k}.jpg" for k in range(3)])
    put_all(top / "HAM10000_images_part_2", [f"ISIC_{k}.jpg" for k in range(3, 6)])
    assert found_in(top).class_names == ("mel", "nv")
    (top / "HAM10000_metadata").rename(top / "HAM10000_metadata.tab")
    assert found_in(top).form == "HAM10000"


FLAGS = {"a": "0", "b": "1", "c": "0", "d": "0"}


@pytest.mark.parametrize(
    ("header", "facts"),
    [
        (("file", "target"), lambda name: (name, FLAGS[name])),
        (("filename", "melanoma"), lambda name: (f"{name}.jpg", FLAGS[name])),
        (("filename", "melanoma", "age", "sex"), lambda name: (f"{name}.jpg", FLAGS[name], "45.0", "male")),
        (("img_name", "outcome"), lambda name: (name, FLAGS[name])),
        (("imageFile", "GroundTruth", "site"), lambda name: (name, FLAGS[name], "ear")),
        (("image", "is_malignant"), lambda name: (name, ("False", "True")[FLAGS[name] == "1"])),
        (("image", "label"), lambda name: (name, ("FALSE", "TRUE")[FLAGS[name] == "1"])),
        (("path", "class"), lambda name: (f"C:\\old\\pictures\\{name}.JPG", f"{FLAGS[name]}.0")),
        (("isic_id", "diagnosis_1"), lambda name: (name, ("Benign", "malignant")[FLAGS[name] == "1"])),
        (
            ("image", "benign", "malignant"),
            lambda name: (name, *(("False", "True") if FLAGS[name] == "1" else ("True", "False"))),
        ),
    ],
)
def test_two_classes_in_forms_that_nobody_has_seen_before(top, header, facts):
    put_all(top / "pictures", [f"{name}.jpg" for name in FLAGS])
    put(top / "any.csv", table(header, [facts(name) for name in "dbca"]))
    found = found_in(top)
    assert {each.id: found.class_names.index(each.label) for each in found.records} == {
        name: int(flag) for name, flag in FLAGS.items()
    }


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        (("image", "melanoma", "keratosis"), [("a", "0", "0"), ("b", "1", "1"), ("c", "0", "0"), ("d", "0", "1")]),
        (("image", "smoker", "age"), [("a", "0", "45"), ("b", "1", "50"), ("c", "1", "50"), ("d", "1", "50")]),
        (("image", "outcome"), [("a", "0"), ("b", "0"), ("c", "0"), ("d", "0")]),
    ],
)
def test_a_column_of_0_and_1_that_may_be_anything_is_no_class(top, header, rows):
    put_all(top / "pictures", [f"{name}.jpg" for name in FLAGS])
    put(top / "any.csv", table(header, rows))
    assert "no images with labels are recognized" in refused(top)


def test_a_patient_is_found_however_the_column_is_written(top):
    put_all(top / "pictures", ["a.jpg", "b.jpg"])
    for name in ("PatientID", "patientId", "Patient ID", "Subject_ID", "patient"):
        put(top / "any.csv", table(("ImageName", "Label", name), [("a", "x", "P"), ("b", "y", "P")]))
        assert [each.group for each in found_in(top).records] == ["P", "P"]
    put(top / "any.csv", table(("image", "label", "pid"), [("a", "x", "P"), ("b", "y", "P")]))
    found = found_in(top)
    assert found.records[0].group is None
    assert found.notes[-1].endswith("every image stands alone; data.source.group_column may be one of pid")
    assert not any("stands alone" in note for note in found_in(top, group_column="").notes)


@pytest.mark.parametrize("name", ["set", "Subset", "dataset", "fold"])
def test_a_column_of_the_names_of_parts_is_one_whatever_it_is_called(top, name):
    put_all(top / "pictures", ["a.jpg", "b.jpg", "c.jpg"])
    put(top / "any.csv", table(("image", "label", name), [("a", "x", "Train"), ("b", "y", "VAL"), ("c", "x", "test")]))
    assert [each.part for each in found_in(top).records] == ["train", "validation", "test"]
    put(top / "any.csv", table(("image", "label", name), [("a", "x", "1"), ("b", "y", "2"), ("c", "x", "test")]))
    assert [each.part for each in found_in(top).records] == [None] * 3


def test_numbers_with_a_point_keep_their_order(top):
    put_all(top / "pictures", [f"{k}.jpg" for k in range(12)])
    put(top / "any.csv", table(("image", "label"), [(f"{k}.jpg", f"{k}.0") for k in range(12)]))
    assert found_in(top).class_names == tuple(f"{k}.0" for k in range(12))
