"""One made truth of ISIC 2020, written in each of the forms that it comes in."""

import csv
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from image_fixtures import encoded, put

ORIGINAL = ("image_name", "patient_id", "sex", "age_approx", "anatom_site_general_challenge", "diagnosis")
ORIGINAL = (*ORIGINAL, "benign_malignant", "target")


class Lesion(NamedTuple):
    """One image of the truth."""

    id: str
    patient: str
    lesion: str
    is_malignant: bool
    facts: tuple[str, str, str]  # sex, age, site: blanks occur


# The second of each pair is a copy of the first, one of them of a malignant image.
PAIRS = (("ISIC_0000000", "ISIC_0000005"), ("ISIC_0000010", "ISIC_0000002"))


def truth() -> list[Lesion]:
    """Make 12 images of five patients, four of them malignant."""
    facts = (("male", "45.0", "torso"), ("female", "", "head/neck"), ("", "", ""))
    malignant = {1, 2, 7, 10}
    return [
        Lesion(f"ISIC_{k:07d}", f"IP_{k % 5}", f"IL_{k // 2 + 10 * (k % 5)}", k in malignant, facts[k % 3])
        for k in range(12)
    ]


def expected() -> dict[str, tuple[str, str]]:
    """Return the pool that every form must give: label and group by id."""
    second = {two for _, two in PAIRS}
    return {
        each.id: ("malignant" if each.is_malignant else "benign", each.patient)
        for each in truth()
        if each.id not in second
    }


def table(header, rows, delimiter=",", end="\n", quoting=csv.QUOTE_MINIMAL) -> bytes:
    """Write the text of a table."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerows([header, *rows])
    return out.getvalue().encode()


def jpeg(number: int) -> bytes:
    """Make a tiny JPEG that no other number gives."""
    return encoded(np.full((8, 8, 3), (number * 20 % 256, 100, 50), np.uint8), "JPEG")


def put_images(folder: Path, ending: str = ".jpg") -> None:
    """Write all images of the truth."""
    for number, each in enumerate(truth()):
        put(folder / f"{each.id}{ending}", jpeg(number))


def original_rows() -> list[tuple[str, ...]]:
    """Make the rows of the challenge's own table."""
    return [
        (
            *(each.id, each.patient, *each.facts),
            *(("melanoma", "malignant", "1") if each.is_malignant else ("unknown", "benign", "0")),
        )
        for each in truth()
    ]


def challenge(top: Path) -> Path:
    """Write the form of the challenge's site."""
    put_images(top / "train")
    put(top / "ISIC_2020_Training_GroundTruth.csv", table(ORIGINAL, original_rows()))
    put(top / "ISIC_2020_Training_Duplicates.csv", table(("image_name_1", "image_name_2"), PAIRS))
    return top


def challenge_v2(top: Path) -> Path:
    """Write the later form of the challenge's site, the folder renamed."""
    put_images(top / "ISIC_2020_Training_JPEG" / "train", ".JPG")
    header = (*ORIGINAL[:2], "lesion_id", *ORIGINAL[2:])
    rows = [(*row[:2], each.lesion, *row[2:]) for row, each in zip(original_rows(), truth(), strict=True)]
    put(top / "labels" / "ISIC_2020_Training_GroundTruth_v2.csv", table(header, rows))
    put(top / "labels" / "ISIC_2020_Training_Duplicates.csv", table(("image_name_1", "image_name_2"), PAIRS))
    return top


def kaggle(top: Path) -> Path:
    """Write the form of the Kaggle competition, with its test images and a form for submissions."""
    put_images(top / "jpeg" / "train")
    for number in range(3):
        put(top / "jpeg" / "test" / f"ISIC_900000{number}.jpg", jpeg(number))
    put(top / "train.csv", table(ORIGINAL, original_rows()))
    rows = [(f"ISIC_900000{number}", "IP_90", "male", "30.0", "torso") for number in range(3)]
    put(top / "test.csv", table(ORIGINAL[:5], rows))
    put(top / "sample_submission.csv", table(("image_name", "target"), [(row[0], "0") for row in rows]))
    put(top / "2020_Challenge_duplicates.csv", table(("ISIC_id", "ISIC_id_paired"), PAIRS))
    return top


def resized(top: Path) -> Path:
    """Write the form that is resized, with its mark of duplicates and no list of them."""
    put_images(top / "train")
    put(top / "test" / "ISIC_9000000.jpg", jpeg(0))
    second = {two for _, two in PAIRS}
    rows = [(*row, "-1" if row[0] in second else str(k % 15), "6000", "4000") for k, row in enumerate(original_rows())]
    put(top / "train.csv", table((*ORIGINAL, "tfrecord", "width", "height"), rows))
    put(top / "test.csv", table((*ORIGINAL[:5], "width", "height"), [("ISIC_9000000", "IP_9", "", "", "", "6", "4")]))
    return top


def archive(top: Path) -> Path:
    """Write the form of the ISIC Archive, with the challenge's list of duplicates beside it."""
    put_images(top)
    header = ("isic_id", "attribution", "copyright_license", "age_approx", "anatom_site_general", "diagnosis_1")
    header = (*header, "diagnosis_2", "lesion_id", "patient_id", "sex")
    rows = [
        (each.id, "A hospital, somewhere", "CC-BY-NC", each.facts[1], each.facts[2], "Malignant", "x")
        if each.is_malignant
        else (each.id, "A hospital, somewhere", "CC-0", each.facts[1], each.facts[2], "Benign", "")
        for each in truth()
    ]
    rows = [(*row, each.lesion, each.patient, each.facts[0]) for row, each in zip(rows, truth(), strict=True)]
    put(top / "metadata.csv", table(header, rows))
    put(top / "attribution.txt", b"A hospital, somewhere")
    put(top / "ISIC_2020_Training_Duplicates.csv", table(("image_name_1", "image_name_2"), PAIRS))
    return top


def own_table(top: Path) -> Path:
    """Write a table of one's own, endings and folders in the names, images in two folders."""
    rows = []
    for number, each in enumerate(truth()):
        name = f"{'left' if number % 2 else 'right'}/{each.id}.png"
        put(top / "pictures" / name, jpeg(number))
        rows.append((name, "malignant" if each.is_malignant else "benign", each.patient))
    put(top / "my labels.csv", b"\xef\xbb\xbf" + table(("Image", "Label", "Group"), rows, ";", "\r\n"))
    put(top / "twice.csv", table(("image_1", "image_2"), [(f"{one}.png", two) for one, two in PAIRS]))
    return top


def own_folders(top: Path) -> Path:
    """Write a folder per class, with a table that says whose the images are."""
    for number, each in enumerate(truth()):
        put(top / "images" / ("malignant" if each.is_malignant else "benign") / f"{each.id}.jpeg", jpeg(number))
    put(top / "patients.csv", table(("image", "patient"), [(each.id, each.patient) for each in truth()]))
    put(top / "duplicates.csv", table(("image_name_1", "image_name_2"), PAIRS))
    return top


FORMS = {
    "ISIC 2020 (challenge site)": challenge,
    "ISIC 2020 (challenge site), v2": challenge_v2,
    "ISIC 2020 (Kaggle)": kaggle,
    "ISIC 2020 (resized)": resized,
    "ISIC Archive": archive,
    "label table": own_table,
    "folder per class": own_folders,
}
