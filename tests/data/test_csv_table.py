import os

import numpy as np
import pytest
from image_fixtures import put, put_flat

from jaxal.config.data import CSVConfig
from jaxal.data.readers.csv_table import read_csv
from jaxal.errors import DataError


@pytest.fixture
def images(tmp_path):
    """Eight images 0.png … 7.png with those gray levels."""
    for number in range(8):
        put_flat(tmp_path / f"{number}.png", number)
    return tmp_path


def config_of(folder, text: str | bytes, **settings) -> CSVConfig:
    put(folder / "table.csv", text if isinstance(text, bytes) else text.encode())
    defaults = {"image_size": 4, "color": "gray", "cache": str(folder / "cache")}
    return CSVConfig(path=str(folder / "table.csv"), **{**defaults, **settings})


def read(folder, text: str | bytes, **settings):
    return read_csv(config_of(folder, text, **settings))


def refused(folder, text: str | bytes, **settings) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, text, **settings)
    return str(caught.value)


def levels(source) -> list[int]:
    return source.read(np.arange(len(source.ids)))[:, 0, 0, 0].tolist()


def test_images_labels_groups_parts_and_further_columns(images):
    rows = ["3.png,mel,p1,train,Bonn,50", "1.png,nv,p2,Val,Kiel,", "0.png,nv,p1,TESTING,,7"]
    text = "\n".join(["image,label,group,split,center,age", *rows])
    source = read(images, text)
    assert source.ids.tolist() == ["3.png", "1.png", "0.png"]
    assert levels(source) == [3, 1, 0]
    assert source.class_names == ("mel", "nv")
    assert source.labels.tolist() == [0, 1, 1]
    assert source.groups is not None
    assert source.groups.tolist() == ["p1", "p2", "p1"]
    assert source.parts is not None
    assert source.parts.tolist() == ["train", "validation", "test"]
    assert {name: cells.tolist() for name, cells in source.columns.items()} == {
        "center": ["Bonn", "Kiel", ""],
        "age": ["50", "", "7"],
    }
    assert all(cells.dtype.kind == "U" for cells in source.columns.values())
    assert source.notes == ()


def test_columns_by_setting(images):
    text = "file,target,patient,fold,label\n0,1,a,pool,x\n1,0,b,valid,y\n"
    settings = {"image_column": "file", "label_column": "target", "group_column": "patient", "split_column": "fold"}
    source = read(images, text, **settings)
    assert source.class_names == ("0", "1")
    assert source.labels.tolist() == [1, 0]
    assert source.groups is not None
    assert source.groups.tolist() == ["a", "b"]
    assert source.parts is not None
    assert source.parts.tolist() == ["train", "validation"]
    assert list(source.columns) == ["label"]


def test_without_groups_and_parts_and_with_a_default_name_in_use(images):
    source = read(images, "image,group\n0.png,x\n1.png,y\n", label_column="group")
    assert source.class_names == ("x", "y")
    assert source.groups is None
    assert source.parts is None


PLAIN = "image,label\n0.png,a\n1.png,b\n"
FORMS = {
    "byte order mark": b"\xef\xbb\xbf" + PLAIN.encode(),
    "CRLF": PLAIN.replace("\n", "\r\n"),
    "CR": PLAIN.replace("\n", "\r"),
    "semicolons": PLAIN.replace(",", ";"),
    "semicolons with commas": "image;label;a,b,c\n0.png;a;\n1.png;b;\n",
    "tabs": PLAIN.replace(",", "\t"),
    "quotes": '"image","label"\n"0.png","a"\n"1.png","b"\n',
    "blank lines": "\n\nimage,label\n\n0.png,a\n  \n,\n1.png,b\n\n",
    "blanks": " image , label\n 0.png ,a \n1.png,\tb\n",
    "no end of line": PLAIN.rstrip(),
}


@pytest.mark.parametrize("form", list(FORMS))
def test_forms_of_text(images, form):
    source = read(images, FORMS[form])
    assert source.ids.tolist() == ["0.png", "1.png"]
    assert source.class_names == ("a", "b")


@pytest.mark.parametrize(
    ("labels", "class_names"),
    [
        (["10", "9", "-1"], ("-1", "9", "10")),
        (["10", "9", "x"], ("10", "9", "x")),
        (["01", "1", "0"], ("0", "01", "1")),
        (["NA", "nan", "None"], ("NA", "None", "nan")),
        (["1.5", "10", "9"], ("1.5", "10", "9")),
        (["é", "z", "9" * 5000], ("9" * 5000, "z", "é")),
    ],
)
def test_classes_are_text_in_the_order_of_numbers_if_they_all_are(images, labels, class_names):
    rows = "".join(f"{number}.png,{label}\n" for number, label in enumerate(labels))
    source = read(images, "image,label\n" + rows)
    assert source.class_names == class_names
    assert [source.class_names[label] for label in source.labels] == labels


def test_images_elsewhere_absolute_below_and_without_ending(images):
    put_flat(images / "pics" / "sub" / "ISIC_1.JPG", 50)
    put_flat(images / "pics" / "ISIC_2.v1.png", 60)
    (images / "pics" / "sub" / "ISIC_1").mkdir()  # no file
    text = f"image,label\nsub/ISIC_1,a\nISIC_2.v1,b\n{images}/7.png,a\n../6.png,b\n"
    source = read(images, text, images=str(images / "pics"))
    assert levels(source) == [50, 60, 7, 6]
    assert source.ids.tolist() == ["sub/ISIC_1", "ISIC_2.v1", f"{images}/7.png", "../6.png"]


def test_paths_are_relative_to_where_the_command_runs(images, monkeypatch):
    put(images / "lists" / "t.csv", b"image,label\n0,a\n1,b\n")
    monkeypatch.chdir(images)
    config = CSVConfig(path="lists/t.csv", images=".", image_size=4, cache=str(images / "cache"))
    assert levels(read_csv(config)) == [0, 1]
    with pytest.raises(
        DataError, match=rf"'none\.csv': no such file; looked at {images}/none\.csv \(current directory"
    ):
        read_csv(CSVConfig(path="none.csv"))
    with pytest.raises(DataError, match=r"cannot read .*lists: "):
        read_csv(CSVConfig(path="lists"))


def test_all_that_is_wrong_is_told_at_once(images):
    os.symlink(images / "5.png", images / "five.png")
    put_flat(images / "4.jpg", 1)
    os.rename(images / "4.png", images / "4.gif")
    text = """image,label,group,split
0.png,a,g,train
1.png,b,g
2.png,b,g,train,more,and more
,a,g,train

3.png,,g,train
"line
break.png",a,,
5.png,a,g,train
5.png,a,g,test
five,b,g,vald
4,b,g,test
6.png,b,,test
"""
    assert refused(images, text).splitlines() == [
        f"data.source.path: {images}/table.csv: 11 problems",
        "  2 × no group: line 8, line 14",
        "  2 × split is none of train, training, val, valid, validation, test, testing, pool: "
        "line 8 (''), line 12 ('vald')",
        "  1 × image name that several files have with an ending: line 13 (4)",
        "  1 × image of an earlier row: line 11 (5.png, line 10)",
        "  1 × image of an earlier row, with another label: line 12 (five, line 10)",
        "  1 × no image: line 5",
        "  1 × no label: line 7",
        "  1 × too few cells (the header has 4): line 3",
        "  1 × too many cells (the header has 4): line 4",
        'Correct these lines; none was used. data.source.group_column = "" and data.source.split_column = ""'
        " leaves such a column unread.",
    ]


def test_missing_files_count_as_bad_images(images):
    text = "image,label\n0.png,a\nnone.png,b\n1.png,b\n"
    message = refused(images, text)
    assert "1 of 3 images cannot be used, 0 may be left out" in message
    assert "1 × missing: none.png" in message
    source = read(images, text, max_bad=1)
    assert source.ids.tolist() == ["0.png", "1.png"]
    assert source.notes == ("1 image was left out, missing: none.png",)


def test_missing_columns_name_the_setting_and_what_there_is(images):
    message = refused(images, "Image;Labels;x\n0.png;a;\n", group_column="patient")
    assert message.splitlines() == [
        "data.source.image_column = 'image': no such column (nearest: 'Image')",
        "data.source.label_column = 'label': no such column (nearest: 'Labels')",
        "data.source.group_column = 'patient': no such column",
        f"{images}/table.csv has the columns 'Image', 'Labels', 'x'",
    ]
    assert "needs a column of its own" in refused(images, PLAIN, group_column="label")
    assert "several columns 'label'" in refused(images, "image,label,label\n0.png,a,b\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "is empty; expected a header such as image,label"),
        (b"\n \n\t\n", "is empty"),
        (b"image,label\n", "has a header but no rows"),
        (b"image,label\n0.png,\x00a\n", "NUL bytes, the first in line 2"),
        (b"image,label\n0.png,a\n1.png,\xe4\n", "is not UTF-8 text (line 3). Save it as CSV UTF-8."),
        (PLAIN.encode("utf-16"), "is not UTF-8 text (line 1)"),
        (b'image,label\n0.png,a\n1.png,"b\n2.png,c\n', "line 3: unexpected end of data. Is a quotation mark left open"),
        (b'image,label\n"0.png"x,a\n', "line 2: ',' expected after '\"'"),
        (b"image,label\n0.png," + b"a" * 200_000, "line 2: field larger than field limit"),
    ],
)
def test_text_that_is_no_table_is_refused(images, text, words):
    assert words in refused(images, text)


def test_columns_that_are_not_kept_are_told(images):
    source = read(images, f",image,label,report,\n0,0.png,a,{'x' * 300},\n1,1.png,b,,\n")
    assert dict(source.columns) == {}
    assert source.notes == (
        "a column without a name was not kept",
        "column 'report' was not kept: cells of up to 300 characters, 256 are kept",
        "a column without a name was not kept",
    )


def test_the_fingerprint_tells_labels_groups_parts_and_columns(images):
    head = "image,label,group,split,center\n"
    texts = ["0.png,a,g,train,x\n1.png,b,h,test,y\n", "0.png,b,g,train,x\n1.png,a,h,test,y\n"]
    texts += ["0.png,a,g,train,x\n1.png,b,g,test,y\n", "0.png,a,g,train,x\n1.png,b,h,val,y\n"]
    texts += ["0.png,a,g,train,x\n1.png,b,h,test,z\n", "1.png,b,h,test,y\n0.png,a,g,train,x\n"]
    prints = [read(images, head + text).fingerprint for text in texts]
    assert len(set(prints)) == len(texts)
    assert read(images, (head + texts[0]).replace(",", ";")).fingerprint == prints[0]
