"""Every command of docs/data.md runs as it is written there, on small made data, which it leaves as it was."""

import runpy
import shlex
import struct
import sys
from pathlib import Path

import isic_forms
import numpy as np
import pytest
from cifar_fixtures import archived, binary_100, python_100
from image_fixtures import encoded, put

from jaxal.cli import main
from jaxal.data.readers import medmnist

ROOT = Path(__file__).parents[2]
BLOCKS = (ROOT / "docs" / "data.md").read_text().split("```bash\n")[1:]
COMMANDS = [line for block in BLOCKS for line in block.split("```")[0].splitlines()]
CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
PATIENTS, IMAGES = 20, 60


def truth():
    """Make three images of each patient, those of every fourth patient malignant."""
    return [
        isic_forms.Lesion(f"ISIC_{k:07d}", f"IP_{k % PATIENTS}", f"IL_{k}", k % 4 == 0, ("", "45.0", "torso"))
        for k in range(IMAGES)
    ]


def jpeg(number: int) -> bytes:
    return encoded(np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8), "JPEG")


def make_isic(top: Path, monkeypatch) -> None:
    monkeypatch.setattr(isic_forms, "truth", truth)
    monkeypatch.setattr(isic_forms, "jpeg", jpeg)
    isic_forms.challenge(top / "isic2020")
    table = isic_forms.archive(top / "isic_archive") / "metadata.csv"
    table.write_text(table.read_text().replace("Benign", "Indeterminate", 1))
    rows = [(f"HAM_{k // 2}", f"ISIC_{k}", CLASSES[k // 2 % 7], "histo", "", "", "") for k in range(84)]
    header = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")
    put(top / "ham10000" / "HAM10000_metadata.csv", isic_forms.table(header, rows))
    names = ("MEL", "NV", "DF", "UNK")
    rows = [(f"ISIC_{k}", *("1.0" if k % 3 == column else "0.0" for column in range(4))) for k in range(84)]
    put(top / "isic2019" / "ISIC_2019_Training_GroundTruth.csv", isic_forms.table(("image", *names), rows))
    rows = [(f"ISIC_{k}", "50", f"L{k // 3}") for k in range(80)]
    header = ("image", "age_approx", "lesion_id")
    put(top / "isic2019" / "ISIC_2019_Training_Metadata.csv", isic_forms.table(header, rows))
    for k in range(84):
        put(top / "ham10000" / f"HAM10000_images_part_{1 + k // 42}" / f"ISIC_{k}.jpg", jpeg(k))
        put(top / "isic2019" / "ISIC_2019_Training_Input" / f"ISIC_{k}.jpg", jpeg(k))


def make_folders(top: Path) -> None:
    for k in range(30):
        for number, name in enumerate(("benign", "melanoma")):
            put(top / "scans" / name / f"{k}.jpg", jpeg(2 * k + number))
        for number, name in enumerate(("kitchen", "stairs")):
            put(top / "food-101" / "images" / name / f"{k}.jpg", jpeg(2 * k + number))
            put(top / "mit67" / "Images" / name / f"{k} {name}.jpg", jpeg(2 * k + number))
        for name in ("n1", "n2", "n3"):
            put(top / "imagenet" / "train" / name / f"{name}_{k}.JPEG", jpeg(k))
    put(top / "imagenet_classes.txt", b"n3 goldfish\nn1 tench, Tinca tinca\n")
    for part, numbers in (("Train", range(20)), ("Test", range(20, 30))):
        pairs = [(name, k) for name in ("kitchen", "stairs") for k in numbers]
        put(top / "food-101" / "meta" / f"{part.lower()}.txt", "\n".join(f"{name}/{k}" for name, k in pairs).encode())
        lines = "\n".join(f"{name}/{k} {name}.jpg" for name, k in pairs)
        put(top / "mit67" / f"{part}Images.txt", lines.encode())
    rows = [(f"{k}.jpg", ("benign", "malignant")[k % 3 == 0], f"p{k % 30}", "ABC"[k % 30 // 10]) for k in range(90)]
    header = ("image", "label", "patient_id", "center")
    put(top / "bones" / "bones.csv", isic_forms.table(header, rows))
    for k in range(90):
        put(top / "bones" / "xrays" / f"{k}.jpg", jpeg(k))


def make_arrays(top: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {}
    for part, number in (("train", 66), ("val", 22), ("test", 22)):
        arrays[f"{part}_images"] = rng.integers(0, 256, (number, 16, 16), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.arange(number, dtype=np.uint8)[:, None] % 11
    np.savez(top / "organsmnist.npz", **arrays)
    binary_100(top / "cifar-100-binary", (80, 20))
    archived(python_100(top / "python", counts=(80, 20)), top / "cifar-100-python.tar.gz", "cifar-100-python")
    for part, number in (("train", 80), ("t10k", 20)):
        pixels = rng.integers(0, 256, (number, 16, 16), dtype=np.uint8)
        labels = np.arange(number, dtype=np.uint8) % 4
        put(top / "mnist" / f"{part}-images-idx3-ubyte", struct.pack(">4I", 0x803, *pixels.shape) + pixels.tobytes())
        put(top / "mnist" / f"{part}-labels-idx1-ubyte", struct.pack(">2I", 0x801, number) + labels.tobytes())


def tree(top: Path) -> dict[str, tuple[int, bytes]]:
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in top.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A current folder with all the data that the document names."""
    top = tmp_path / "work"
    top.mkdir()
    make_isic(top, monkeypatch)
    make_folders(top)
    make_arrays(top)
    before = tree(top)
    (top / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(top)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield top
    left = tree(top)
    assert {name: left.get(name) for name in before} == before
    assert {Path(name).relative_to(top).parts[0] for name in left.keys() - before.keys()} <= {"built", "tfds"}


@pytest.mark.slow
def test_every_command_runs_and_says_what_the_document_does(folder, monkeypatch, capsys):
    # The made file has not the checksum of the real one, whose name it has.
    monkeypatch.setattr(medmnist, "_check_md5", lambda *_: None)
    said = {}
    for command in COMMANDS:
        program, *words = shlex.split(command)
        assert program.startswith(".venv/bin/")
        if program.endswith("python"):
            script, *rest = words
            monkeypatch.setattr(sys, "argv", [script, *rest])
            with pytest.raises(SystemExit) as stop:
                runpy.run_path(str(ROOT / script), run_name="__main__")
            code = stop.value.code
        else:
            assert words[0] != "run" or words[-1] == "--dry-run"
            code = main(words)
        out, err = capsys.readouterr()
        assert code == 0, f"{command}\n{err}"
        said[command.partition("/bin/")[2]] = out
    assert "duplicates dropped" in said["jaxal data check isic2020"]
    assert "form: ISIC Archive" in said["jaxal data check isic_archive --unclear-diagnosis benign"]
    assert "42 groups, by lesion" in said["jaxal data check ham10000"]
    assert "class UNK has no image and is left out" in said["jaxal data check isic2019"]
    assert "form: MIT Indoor 67" in said["jaxal data check mit67"]
    (by_image,) = (out for command, out in said.items() if "--data.split.by image" in command)
    assert "WARNING: split by image" in by_image
    assert "another side of the split" not in by_image
    assert sum("external test set" in " ".join(out.split()) for out in said.values()) == 1


def test_what_the_document_says_is_refused_is_refused(folder, capsys):
    listed = put(folder.parent / "listed.txt", b"n1\nn9\n")
    for words, told in (
        (["isic_archive"], "neither benign nor malignant"),
        (["imagenet/train", "--class-list", listed], "listed class without an image"),
        (["organsmnist.npz"], "MD5"),
    ):
        assert main(["data", "check", *words]) == 1
        assert told in capsys.readouterr().err
    assert main(["data", "build", "scans", "--size", "8", "--out", "scans/built"]) == 1
    assert "where nothing is written" in capsys.readouterr().err
