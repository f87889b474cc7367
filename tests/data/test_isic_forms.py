"""ISIC 2020 is the same pool in every form that it comes in, and in forms that nobody has seen before."""

import os
import shutil

import numpy as np
import pytest
from image_fixtures import put
from isic_forms import FORMS, ORIGINAL, PAIRS, challenge, expected, jpeg, kaggle, original_rows, resized, table, truth

from jaxal.config.data import ImagesConfig
from jaxal.data.readers.labeled_files import find_labels, read_images


def config_of(top, **settings) -> ImagesConfig:
    return ImagesConfig(path=str(top), cache=str(top.parent / "cache"), image_size=4, **settings)


def found_in(top, **settings):
    found = find_labels(config_of(top, **settings))
    assert found.problems == ()
    assert found.missing == ()
    return found


def pool(found) -> dict[str, tuple[str, str]]:
    assert [each.id for each in found.records] == sorted({each.id for each in found.records})
    assert all(os.path.isfile(each.path) for each in found.records)
    return {each.id: (each.label, each.group) for each in found.records}


@pytest.mark.parametrize("form", list(FORMS))
def test_every_form_is_the_same_pool(tmp_path, form):
    found = found_in(FORMS[form](tmp_path / "data"))
    assert found.form == form.removesuffix(", v2")
    assert found.class_names == ("benign", "malignant")
    assert pool(found) == expected()
    assert {each.part for each in found.records} == {None}
    assert any(note.startswith("2 duplicates dropped") for note in found.notes)
    assert "5 groups, by " + ("group" if form == "label table" else "patient") in found.notes


def test_every_form_opens_as_the_same_images(tmp_path):
    sources = [read_images(config_of(write(tmp_path / str(k) / "d"))) for k, write in enumerate(FORMS.values())]
    first = sources[0]
    assert len(first.ids) == 10
    for number, source in enumerate(sources):
        assert source.ids.tolist() == first.ids.tolist()
        assert source.labels.tolist() == first.labels.tolist()
        assert source.class_names == first.class_names
        assert source.groups is not None
        assert first.groups is not None
        assert source.groups.tolist() == first.groups.tolist()
        np.testing.assert_array_equal(source.read(np.arange(10)), first.read(np.arange(10)))
        assert source.notes[0] == f"form: {list(FORMS)[number].removesuffix(', v2')}"


def test_further_columns_are_kept_blanks_and_all(tmp_path):
    found = found_in(challenge(tmp_path / "data"))
    columns = {each.id: dict(each.columns) for each in found.records}
    assert columns["ISIC_0000001"] == {
        "sex": "female",
        "age_approx": "",
        "anatom_site_general_challenge": "head/neck",
        "diagnosis": "melanoma",
    }
    archived = found_in(FORMS["ISIC Archive"](tmp_path / "archive")).records[0].columns
    assert archived["attribution"] == "A hospital, somewhere"
    assert archived["copyright_license"] == "CC-0"
    assert archived["lesion_id"] == "IL_0"


def test_images_without_a_label_are_counted_and_tables_that_are_not_used_are_named(tmp_path):
    notes = found_in(kaggle(tmp_path / "data")).notes
    assert any(
        note.startswith("3 images on disk have no label in train.csv: jpeg/test/ISIC_9000000.jpg") for note in notes
    )
    assert "test.csv is not used: none of its 3 images has a label" in notes
    assert "sample_submission.csv is not used: a form for submissions, by its name" in notes
    assert (
        "columns of train.csv: image from image_name, class from target and benign_malignant, group from patient_id"
        in notes
    )


def test_a_table_with_the_form_for_submissions_under_another_name(tmp_path):
    top = kaggle(tmp_path / "data")
    os.rename(top / "sample_submission.csv", top / "zeros.csv")
    found = found_in(top)
    assert pool(found) == expected()
    assert "zeros.csv is not used: it has one class only" in found.notes


def test_what_a_zip_file_and_a_desktop_leave_behind_is_ignored(tmp_path):
    top = challenge(tmp_path / "data")
    for name in ("train/.DS_Store", "train/Thumbs.db", "train/._ISIC_0000001.jpg", "__MACOSX/train/ISIC_0000001.jpg"):
        put(top / name, b"\0\1")
    put(top / "__MACOSX" / "._ISIC_2020_Training_GroundTruth.csv", b"\0\1")
    put(top / "notes.csv", b"\0\1\2")
    put(top / "prices.csv", b"item,price\na,1\n")
    assert pool(found_in(top)) == expected()


def test_a_loop_of_links_ends_and_linked_folders_are_read_once(tmp_path):
    top = challenge(tmp_path / "data")
    os.rename(top / "train", tmp_path / "elsewhere")
    (top / "a link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (top / "again").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere" / "loop").symlink_to(top, target_is_directory=True)
    assert pool(found_in(top)) == expected()


def test_the_path_may_be_the_table_and_images_elsewhere(tmp_path, monkeypatch):
    top = kaggle(tmp_path / "data")
    assert pool(found_in(top / "train.csv")) == expected()
    os.rename(top / "jpeg" / "train", tmp_path / "part 1")
    (tmp_path / "part 2").mkdir()
    for name in sorted(os.listdir(tmp_path / "part 1"))[:5]:
        os.rename(tmp_path / "part 1" / name, tmp_path / "part 2" / name)
    folders = (str(tmp_path / "part 1"), str(tmp_path / "part 2"))
    assert pool(found_in(top, images=folders)) == expected()
    assert pool(found_in(top / "train.csv", images=folders)) == expected()
    monkeypatch.chdir(tmp_path)
    assert pool(found_in(top, images=("part 1", "part 2"))) == expected()
    shutil.move(tmp_path / "part 1", top)
    shutil.move(tmp_path / "part 2", top)
    assert pool(found_in(top, images=("part 1", "part 2"))) == expected()


def test_both_tables_of_the_challenge_may_lie_there(tmp_path):
    top = FORMS["ISIC 2020 (challenge site), v2"](tmp_path / "data")
    put(top / "ISIC_2020_Training_GroundTruth.csv", table(ORIGINAL, original_rows()))
    found = found_in(top)
    assert pool(found) == expected()
    said = "ISIC_2020_Training_GroundTruth.csv is not used: it says the same as ISIC_2020_Training_GroundTruth_v2.csv"
    assert said in found.notes


def test_duplicates_may_be_kept(tmp_path):
    for number, write in enumerate((challenge, resized)):
        found = found_in(write(tmp_path / str(number)), duplicates="keep")
        assert len(found.records) == 12
        assert any(note.startswith('2 duplicates kept, as duplicates = "keep" says') for note in found.notes)


def test_a_list_goes_before_the_mark_of_the_resized_form(tmp_path):
    top = resized(tmp_path / "data")
    put(top / "pairs.csv", table(("image_name_1", "image_name_2"), PAIRS[:1]))
    found = found_in(top)
    assert {each.id for each in found.records} == set(expected()) | {PAIRS[1][1]}
    assert "1 duplicates dropped (pairs.csv)" in found.notes
    assert "1 images with tfrecord = -1 are not in pairs.csv and stay" in found.notes


def test_without_patients_lesions_are_the_groups(tmp_path):
    top = FORMS["ISIC Archive"](tmp_path / "data")
    rows = [(each.id, "Malignant" if each.is_malignant else "Benign", each.lesion) for each in truth()]
    rows[3] = (*rows[3][:2], "")
    put(top / "metadata.csv", table(("isic_id", "diagnosis_1", "lesion_id"), rows))
    found = found_in(top)
    groups = {each.id: each.group for each in found.records}
    assert groups["ISIC_0000003"] == "ISIC_0000003"
    assert groups["ISIC_0000004"] == truth()[4].lesion
    assert "1 of 10 images have no lesion and stand alone" in found.notes


def test_an_image_without_patient_joins_the_patient_of_its_lesion(tmp_path):
    rows = [
        ("a", "0", "P1", "L1"),
        ("b", "1", "", "L1"),
        ("c", "0", "", "L2"),
        ("d", "1", "", "L2"),
        ("e", "0", "", ""),
    ]
    for number, row in enumerate(rows):
        put(tmp_path / "d" / f"{row[0]}.jpg", jpeg(number))
    put(tmp_path / "d" / "t.csv", table(("id", "label", "patient", "lesion"), rows))
    found = found_in(tmp_path / "d")
    assert [each.group for each in found.records] == ["P1", "P1", "L2", "L2", "e"]


def test_the_images_are_matched_by_one_walk(tmp_path, monkeypatch):
    top = challenge(tmp_path / "data")
    calls = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: calls.append(path) or scandir(path))
    found_in(top)
    assert len(calls) == 2
