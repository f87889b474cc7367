"""The ISIC 2020 study as it stands in configs/, on a made folder of the challenge's form."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from jaxal.cli import main
from tests.study.conftest import read_csv

CONFIGS = Path(__file__).parents[2] / "configs"
PATIENTS, IMAGES = 40, 80
FACTS = [("female", "25.0", "torso"), ("male", "45.0", "head/neck"), ("", "", "")]


def make_isic(top, encoded, put, table, header):
    """Write two images of each patient, those of every fourth patient malignant, in the challenge's form."""
    rows = []
    for k in range(IMAGES):
        patient, rng = k % PATIENTS, np.random.default_rng(k)
        is_malignant = patient % 4 == 0
        pixels = rng.integers(0, 128, (12, 16, 3), dtype=np.uint8) + np.uint8(100 * is_malignant)
        put(top / "train" / f"ISIC_{k:07d}.jpg", encoded(pixels, "JPEG"))
        kind = ("melanoma", "malignant", "1") if is_malignant else ("unknown", "benign", "0")
        rows.append((f"ISIC_{k:07d}", f"IP_{patient}", *FACTS[patient // 4 % 3], *kind))
    put(top / "ISIC_2020_Training_GroundTruth.csv", table(header, rows))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "data")
    import isic_forms
    from image_fixtures import encoded, put

    make_isic(tmp_path / "isic2020", encoded, put, isic_forms.table, isic_forms.ORIGINAL)
    shutil.copytree(CONFIGS, tmp_path / "configs")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_its_dry_run_warns_of_random_weights(folder, capsys):
    assert main(["run", "configs/isic2020_cb_dal.toml", "--dry-run", "--data.source.image_size", "32"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "WARNING: every arm starts from RANDOM weights" in said
    assert "no package ships weights of efficientnet_b6" in said
    assert "Minority class: malignant" in said


@pytest.mark.slow
@pytest.mark.timeout(1800)  # B6 compiles for minutes on a CPU
def test_it_runs_unchanged_but_for_size_and_epochs(folder, capsys):
    words = ["--data.source.image_size", "32", "--training.num_epochs", "1", "--seeds", "[0]"]
    assert main(["run", "configs/isic2020_cb_dal.toml", *words]) == 0
    said = capsys.readouterr()
    assert "WARNING: every arm starts from RANDOM weights" in " ".join(said.err.split())
    assert "Choosing took " in said.out
    run = folder / "runs" / "isic2020_cb_dal"
    results = read_csv(run / "results.csv")
    assert [(row["arm"], row["round"]) for row in results] == [
        *(("cb_dal", str(number)) for number in range(4)),
        ("full", "0"),
    ]
    metrics = [row for row in read_csv(run / "metrics.csv") if row["metric"] == "num_samples"]
    for fact in ("sex", "age", "site"):
        for number in range(4):
            at = {
                row["split"]: int(row["value"])
                for row in metrics
                if (row["arm"], row["round"]) == ("cb_dal", str(number))
            }
            assert sum(size for split, size in at.items() if split.startswith(f"test:{fact}=")) == at["test"]
    assert 'id="subgroups"' in (run / "report.html").read_text()
    assert "weights_sha256" not in json.loads((run / "environment.json").read_text())
