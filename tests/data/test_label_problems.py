"""All that can be wrong with labels: told at once, grouped, with what to do; nothing is guessed."""

import os

import pytest
from image_fixtures import put
from isic_forms import FORMS, ORIGINAL, PAIRS, challenge, jpeg, original_rows, table

from jaxal.config.data import ImagesConfig
from jaxal.data.readers.labeled_files import find_labels, label_advice, read_images
from jaxal.errors import DataError


@pytest.fixture
def top(tmp_path):
    """Six images a.jpg … f.jpg."""
    for number, name in enumerate("abcdef"):
        put(tmp_path / "data" / "pictures" / f"{name}.jpg", jpeg(number))
    return tmp_path / "data"


def found_in(top, **settings):
    return find_labels(ImagesConfig(path=str(top), **settings))


def problems_in(top, **settings) -> list[tuple[str, str]]:
    return [(each.kind, each.where) for each in found_in(top, **settings).problems]


def refused(top, **settings) -> str:
    with pytest.raises(DataError) as caught:
        found_in(top, **settings)
    return str(caught.value)


def labels_of(found) -> dict[str, str]:
    return {each.id: each.label for each in found.records}


def test_every_wrong_row_is_told_once_and_all_together(top):
    put(top / "pictures" / "c.png", jpeg(1))
    text = """image,label,split
a,x,train
b,,train
,y,train
c,y,train
a.jpg,x,train
pictures/a,y,train
image,label,split
d,x,later
e,y
gone,x,test
"""
    put(top / "t.csv", text.encode())
    found = found_in(top)
    assert [(each.kind, each.where) for each in found.problems] == [
        ("too few cells (the header has 3)", "line 10"),
        ("no label", "line 3 (b)"),
        ("no image", "line 4"),
        ("image name that several files have", "line 5 (c): pictures/c.jpg, pictures/c.png"),
        ("image of an earlier row", "line 6 (a.jpg), line 2"),
        ("image of an earlier row, with another label", "line 7 (pictures/a), line 2"),
        ("the header again", "line 8"),
        ("split is none of train, training, val, valid, validation, test, testing, pool", "line 9 (d): 'later'"),
    ]
    assert [tuple(each) for each in found.missing] == [("gone", "missing")]
    assert label_advice(found.problems) == (
        "Correct these; none was used. data.source.images names the folders to look in."
        ' data.source.split_column = "" leaves the column of parts unread.'
    )
    with pytest.raises(DataError) as caught:
        read_images(ImagesConfig(path=str(top)))
    lines = str(caught.value).splitlines()
    assert lines[0] == f"data.source.path: {top} (label table): 8 problems"
    assert "  1 × no label: line 3 (b)" in lines


def test_missing_files_count_as_bad_images(top):
    put(top / "t.csv", table(("image", "label"), [("a", "x"), ("b", "y"), ("gone", "x")]))
    config = ImagesConfig(path=str(top), image_size=4, cache=str(top.parent / "cache"))
    with pytest.raises(DataError, match=r"1 of 3 images cannot be used, 0 may be left out.*\n  1 × missing: gone"):
        read_images(config)
    source = read_images(ImagesConfig(path=str(top), image_size=4, cache=str(top.parent / "cache"), max_bad=1))
    assert source.ids.tolist() == ["a", "b"]


def test_when_no_image_is_there_the_folders_are_asked_for(top):
    put(top / "t.csv", table(("image", "label"), [("x", "1"), ("y", "2")]))
    message = refused(top)
    assert "t.csv has 2 images, of which none was found among the 6 image files in" in message
    assert "Set data.source.images" in message
    put(top / "t.csv", b"image,label\n")
    assert "t.csv has a header but no rows" in refused(top)


def test_where_nothing_is_recognized_all_that_is_there_is_named(top, monkeypatch):
    put(top / "one.csv", b"Bild;Klasse\na;x\nb;y\n")
    message = refused(top)
    assert "no images with labels are recognized" in message
    assert "  one.csv has the columns 'Bild', 'Klasse'" in message
    assert "  6 image files in " in message
    assert "data.source.image_column and label_column" in message
    found = found_in(top, image_column="Bild", label_column="Klasse")
    assert labels_of(found) == {"a": "x", "b": "y"}
    assert "'bilt' is not in a table with both columns (nearest: 'Bild')" in refused(
        top, image_column="bilt", label_column="Klasse"
    )
    monkeypatch.chdir(top)
    with pytest.raises(DataError, match=r"'none': no such folder or file; looked at .*/data/none \(current directory"):
        find_labels(ImagesConfig(path="none"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"images": ("none",)}, "data.source.images = 'none': no such folder"),
        ({"labels": "none.csv"}, "data.source.labels = 'none.csv': no such file"),
        ({"duplicates_file": "none.csv"}, "data.source.duplicates_file = 'none.csv': no such file"),
        ({"group_column": "patient"}, "data.source.group_column = 'patient': no such column in t.csv"),
        ({"split_column": "half"}, "data.source.split_column = 'half': no such column in t.csv"),
    ],
)
def test_settings_that_name_nothing_are_refused(top, settings, words):
    put(top / "t.csv", table(("image", "label"), [("a", "x"), ("b", "y")]))
    assert words in refused(top, **settings)


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        (
            ("image", "label", "class"),
            [("a", "x", "1"), ("b", "x", "2")],
            "columns 'label', 'class' may all be the class",
        ),
        (("image", "label", "dx", "target"), [("a", "x", "1", "1"), ("b", "x", "1", "2")], "'target', 'label', 'dx'"),
        (
            ("image", "label", "patient", "patient id"),
            [("a", "x", "1", "2")],
            "data.source.group_column to one of them",
        ),
        (("image", "path", "label"), [("a", "b", "x"), ("b", "a", "y")], "'image', 'path' name different image files"),
    ],
)
def test_columns_that_may_be_the_same_thing_are_named_with_the_setting(top, header, rows, words):
    put(top / "t.csv", table(header, rows))
    message = refused(top)
    assert words in message
    assert "to one of them" in message


def test_columns_that_say_the_same_in_words_and_numbers_are_one(top):
    put(
        top / "t.csv",
        table(
            ("id", "image", "path", "label", "class"),
            [("9", "a", "pictures/a.jpg", "0", "cat"), ("8", "b", "b.jpg", "1", "dog")],
        ),
    )
    assert labels_of(found_in(top)) == {"a": "cat", "b": "dog"}
    assert labels_of(found_in(top, label_column="LABEL")) == {"a": "0", "b": "1"}


def test_a_target_that_its_name_contradicts(tmp_path):
    top = challenge(tmp_path / "data")
    rows = original_rows()
    rows[0], rows[1] = (*rows[0][:6], "malignant", "0"), (*rows[1][:7], "")
    put(top / "ISIC_2020_Training_GroundTruth.csv", table(ORIGINAL, rows))
    assert problems_in(top) == [
        ("target and benign_malignant disagree", "line 2 (ISIC_0000000)"),
        ("no label", "line 3 (ISIC_0000001)"),
    ]


def archive_with(top, *diagnoses: str):
    rows = [("a", "Benign"), ("b", "Malignant"), *zip("cdef", diagnoses, strict=False)]
    put(top / "metadata.csv", table(("isic_id", "diagnosis_1"), rows))
    return top


def test_an_unclear_diagnosis_is_refused_with_what_to_do(top):
    archive_with(top, "Indeterminate", "", "BENIGN")
    problems = found_in(top).problems
    assert [tuple(each) for each in problems] == [
        ("line 4 (c)", "diagnosis is neither benign nor malignant (Indeterminate)"),
        ("line 5 (d)", "diagnosis is neither benign nor malignant (empty)"),
    ]
    advice = label_advice(problems)
    assert 'data.source.unclear_diagnosis = "benign" counts unclear diagnoses as the ISIC 2020 challenge did' in advice
    counted = found_in(top, unclear_diagnosis="benign")
    assert labels_of(counted) == {name: "malignant" if name == "b" else "benign" for name in "abcde"}
    assert "2 with a diagnosis that is neither benign nor malignant counted as benign" in counted.notes
    left = found_in(top, unclear_diagnosis="leave_out")
    assert sorted(labels_of(left)) == ["a", "b", "e"]
    assert "2 with a diagnosis that is neither benign nor malignant left out" in left.notes
    as_it_is = found_in(top, label_column="diagnosis_1")
    assert as_it_is.class_names == ("BENIGN", "Benign", "Indeterminate", "Malignant")


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (("c", "1.0", "1.0"), "several class columns have a 1"),
        (("c", "0.0", "0.0"), "no class column has a 1"),
        (("c", "0.5", "0.5"), "a class column has neither 0 nor 1"),
        (("c", "", "1"), "a class column has neither 0 nor 1"),
    ],
)
def test_rows_without_exactly_one_class(top, row, kind):
    put(top / "t.csv", table(("image", "MEL", "NV"), [("a", "1.0", "0.0"), ("b", "0.0", "1.0"), row]))
    assert problems_in(top) == [(kind, "line 4 (c)")]


def put_pairs(top, name: str, *pairs: str, header=("image_name_1", "image_name_2")) -> None:
    put(top / name, table(header, [tuple(pair.split()) for pair in pairs]))


@pytest.mark.parametrize(
    ("pairs", "left"),
    [
        (["a b"], "acdef"),
        (["a b", "b c"], "adef"),
        (["a b", "b a"], "bcdef"),
        (["a b", "b c", "c a"], "cdef"),
        (["gone b"], "abcdef"),
        (["gone b", "gone c"], "abdef"),
        (["a gone", "gone c"], "abdef"),
        (["a a"], "abcdef"),
        (["a b", "c b", "a b"], "acdef"),
        (["a.jpg pictures/b.JPG"], "acdef"),
    ],
)
def test_one_of_each_set_of_copies_stays(top, pairs, left):
    put(top / "t.csv", table(("image", "label"), [(name, "xy"[k % 2]) for k, name in enumerate("abcdef")]))
    put_pairs(top, "pairs.csv", *pairs)
    found = found_in(top)
    assert found.problems == ()
    kept = "".join(sorted(labels_of(found)))
    # Of a circle any one may stay, and the same one always does.
    assert len(kept) == len(left)
    if pairs not in (["a b", "b a"], ["a b", "b c", "c a"], ["gone b", "gone c"]):
        assert kept == left
    put_pairs(top, "pairs.csv", *reversed(pairs))
    assert "".join(sorted(labels_of(found_in(top)))) == kept


def test_what_a_list_of_duplicates_says_is_told(top):
    put(top / "t.csv", table(("image", "label"), [(name, "xy"[k % 2]) for k, name in enumerate("abcdef")]))
    put_pairs(top, "pairs.csv", "a b", "c gone", "lost gone too", "d d")
    put(top / "pairs.csv", b"image_1,image_2\na,b\nc,gone\nlost,gone 2\nd,d\n")
    notes = found_in(top).notes
    assert notes[-5:] == (
        "1 duplicates dropped (pairs.csv)",
        "1 images in pairs.csv stay: what they are a copy of is not in the labels",
        "1 of 4 pairs in pairs.csv are of images that are not in the labels",
        "1 pairs in pairs.csv are of an image with itself and say nothing",
        "1 of the duplicates have another label than the image that they are a copy of",
    )


def test_lists_of_duplicates_that_disagree_are_refused_until_one_is_chosen(top):
    put(top / "t.csv", table(("image", "label"), [(name, "xy"[k % 2]) for k, name in enumerate("abcdef")]))
    put_pairs(top, "one.csv", "a b", "c d")
    put_pairs(top, "two.csv", "a b", "c d", "lost gone", header=("ISIC_id", "ISIC_id_paired"))
    assert len(found_in(top).records) == 4
    put_pairs(top, "three.csv", "a b")
    kinds = [kind for kind, _ in problems_in(top)]
    assert kinds == ["lists of duplicates that disagree; set data.source.duplicates_file to one of them"]
    found = found_in(top, duplicates_file="three.csv")
    assert found.problems == ()
    assert len(found.records) == 5
    put(top / "odd.txt", b"kept\tgone\na\tf\n")
    assert "f" not in labels_of(found_in(top, duplicates_file="odd.txt"))
    put(top / "odd.txt", b"a,b,c\n1,2,3\n")
    assert "has the columns 'a', 'b', 'c'; expected are two" in refused(top, duplicates_file="odd.txt")
    put(top / "three.csv", b"image_1,image_2\na\n")
    assert ("too few cells (the header has 2)", "three.csv line 2") in problems_in(top)


def test_a_table_beside_that_contradicts_itself(top):
    put(top / "t.csv", table(("image", "label"), [("a", "x"), ("b", "y")]))
    put(top / "who.csv", table(("image", "patient"), [("a", "P1"), ("b", "P2"), ("a", "P2")]))
    assert problems_in(top) == [("image with another group than before", "who.csv line 4 (a)")]
    assert found_in(top, group_column="").records[0].group is None


def test_a_table_beside_the_one_that_was_named_cannot_disturb(top):
    put(top / "t.csv", table(("image", "label"), [("a", "x"), ("b", "y")]))
    put(top / "odd.csv", b'image,label,class\na,x,"y\n')
    found = found_in(top / "t.csv")
    assert labels_of(found) == {"a": "x", "b": "y"}
    assert any(note.startswith("odd.csv is not used: ") for note in found.notes)
    assert labels_of(found_in(top, labels="t.csv")) == {"a": "x", "b": "y"}
    assert "Is a quotation mark left open" in refused(top)


def test_a_table_that_is_not_chosen_for_its_labels_still_says_whose_the_images_are(top):
    put(top / "t.csv", table(("image", "label"), [("a", "x"), ("b", "y"), ("c", "y")]))
    put(top / "who.csv", table(("image", "patient", "label"), [("a", "P", "y"), ("b", "P", "x"), ("c", "Q", "y")]))
    assert "2 tables with labels that differ" in refused(top)
    found = found_in(top, labels="t.csv")
    assert labels_of(found) == {"a": "x", "b": "y", "c": "y"}
    assert [each.group for each in found.records] == ["P", "P", "Q"]
    assert "patient from who.csv" in found.notes
    assert found_in(top / "t.csv").records == found.records


def test_a_folder_that_cannot_be_read_is_a_problem(top, monkeypatch):
    put(top / "t.csv", table(("image", "label"), [("a", "x"), ("b", "y")]))
    put(top / "closed" / "z.jpg", jpeg(1))
    scandir = os.scandir

    def refuse(path):
        if os.path.basename(path) == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert problems_in(top) == [("folder that cannot be read: Permission denied", "closed")]


def test_an_image_in_two_folders_of_the_same_bytes_is_for_the_user_to_decide(tmp_path):
    top = FORMS["ISIC 2020 (Kaggle)"](tmp_path / "data")
    put(top / "again" / f"{PAIRS[0][0]}.jpeg", jpeg(0))
    (where,) = [where for kind, where in problems_in(top) if kind == "image name that several files have"]
    assert "again/ISIC_0000000.jpeg, jpeg/train/ISIC_0000000.jpg" in where
    assert problems_in(top, images=(str(top / "jpeg"),)) == []
    (top / "again" / f"{PAIRS[0][0]}.jpeg").unlink()
    (top / "again" / f"{PAIRS[0][0]}.jpg").symlink_to(top / "jpeg" / "train" / f"{PAIRS[0][0]}.jpg")
    assert problems_in(top) == []  # one file, whatever leads to it


def test_paths_with_the_same_names_in_other_folders_are_never_mixed_up(top):
    put(top / "x" / "1.jpg", jpeg(1))
    put(top / "y" / "1.jpg", jpeg(2))
    put(
        top / "t.csv",
        table(("file", "label"), [("x/1.jpg", "p"), ("y/1", "q"), ("z/1", "p"), ("C:\\old\\x\\a.png", "q")]),
    )
    found = found_in(top)
    assert found.problems == ()
    assert [each.where for each in found.missing] == ["C:\\old\\x\\a.png", "z/1"]
    assert {each.id: os.path.relpath(each.path, top) for each in found.records[1:3]} == {
        "x/1": "x/1.jpg",
        "y/1": "y/1.jpg",
    }
    put(top / "t.csv", table(("file", "label"), [("/home/me/set/pictures/a.jpg", "p"), ("/home/me/set/x/1", "q")]))
    assert {each.id: os.path.relpath(each.path, top) for each in found_in(top).records} == {
        "a": "pictures/a.jpg",
        "1": "x/1.jpg",
    }


def test_a_name_that_leads_out_of_the_image_folders_is_refused(top):
    put(top.parent / "other" / "z.jpg", jpeg(9))
    outside = [str(top.parent / "other" / "z.jpg"), "../other/./z.jpg", "pictures/../../other/z.jpg"]
    put(top / "pictures" / "y.dat", jpeg(8))  # inside, with an odd ending: a matter of reading it
    rows = [("a", "x"), ("pictures/y.dat", "y"), *((name, "y") for name in outside), ("../../nowhere/z.jpg", "y")]
    put(top / "t.csv", table(("image", "label"), rows))
    found = found_in(top)
    assert sorted(where for kind, where in problems_in(top)) == sorted(outside)
    assert {each.kind for each in found.problems} == {"image outside of the image folders"}
    assert [each.where for each in found.missing] == ["../../nowhere/z.jpg"]
    assert "data.source.images names the folders to look in." in label_advice(found.problems)
    put(top / "t.csv", table(("image", "label"), [("a", "x"), (outside[0], "y")]))
    assert problems_in(top, images=(str(top), str(top.parent / "other"))) == []


def test_a_folder_is_no_image(top):
    put(top / "t.csv", table(("image", "label"), [("a", "x"), ("b", "y"), ("/", "y"), ("pictures/", "y")]))
    assert problems_in(top) == [("no image", "line 4 (/)"), ("no image", "line 5 (pictures/)")]


@pytest.mark.parametrize(("one", "other"), [("Benign", "benign"), ("1", "1.0"), ("NEVUS", "Nevus")])
def test_a_class_that_is_written_in_two_ways_is_refused_until_the_column_is_named(top, one, other):
    put(top / "t.csv", table(("image", "label"), [("a", one), ("b", other), ("c", one), ("d", "01")]))
    assert problems_in(top) == [("class written in several ways", f"{one} (2) and {other} (1)")]
    assert "data.source.label_column takes any column as it is" in label_advice(found_in(top).problems)
    assert found_in(top, label_column="label").class_names == tuple(sorted({one, other, "01"}))


def test_a_pipe_by_the_name_of_a_table_is_not_waited_for(top):
    put(top / "t.csv", table(("image", "label"), [("a", "x"), ("b", "y")]))
    for name in ("more.csv", "train.txt", "metadata"):
        os.mkfifo(top / name)
    assert problems_in(top) == []
    assert problems_in(top / "t.csv") == []
