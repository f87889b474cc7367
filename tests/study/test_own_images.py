"""One's own images, from a folder or a CSV file to a study and its report, through the command line."""

import csv
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from jaxal.cli import main
from jaxal.config.reading import parse_study
from jaxal.data.dataset import load_source, make_dataset
from jaxal.study import run_study

from .conftest import read_csv, tiny
from .made_images import write_csv, write_folder

SMALL = ["--seeds", "[0]", "--training.num_epochs", "1", "--model.width", "2", "--data.source.image_size", "16"]
SMALL += ["--schedule.labeled_fractions", "[0.2]"]
README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module", autouse=True)
def _without_drawing():
    """Here figures are drawn, from the command line to the page."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def own(source, **changes):
    data = {"source": {"image_size": 16, **source}, "minority_class": "rare", **changes.pop("data", {})}
    arms = [{"name": "cb", "strategy": "cb_dal"}, {"name": "full", "kind": "full"}]
    schedule = {"initial_fraction": 0.1, "labeled_fractions": [0.2, 0.5]}
    return parse_study(tiny(**{"seeds": [0], "data": data, "schedule": schedule, "arms": arms} | changes))


def test_the_readme_s_three_commands_lead_from_a_folder_to_a_report(tmp_path, monkeypatch, capsys):
    section = README.read_text().split("## Your own images")[1].split("\n## ")[0]
    install, *commands = re.search(r"```bash\n(.*?)```", section, re.DOTALL).group(1).strip().splitlines()
    assert install.startswith("python3 -m venv .venv && .venv/bin/pip install")
    assert len(commands) == 2
    write_folder(tmp_path / "scans")
    (tmp_path / "configs").symlink_to(README.parent / "configs")
    monkeypatch.chdir(tmp_path)
    for command in commands:
        program, *words = shlex.split(command)
        assert program == ".venv/bin/jaxal"
        assert main([*words, *SMALL]) == 0
    page = (tmp_path / "runs" / "own_images" / "report.html").read_text()
    assert "rare" in page
    assert page.count("data:image/svg+xml") > 5
    figure = (tmp_path / "runs" / "own_images" / "figures" / "learning_curves.svg").read_text()
    assert figure.count("<path") > 20
    assert "runs/own_images/report.html" in section
    assert "Run folder: runs/own_images" in capsys.readouterr().out
    lines = (tmp_path / "runs/own_images/cb_dal/seed-0/journal.jsonl").read_text().splitlines()
    asked = next(event for event in map(json.loads, lines) if event["event"] == "asked")
    assert all((tmp_path / "scans" / name).is_file() for name in asked["ids"])


@pytest.mark.slow
def test_a_csv_set_with_groups_and_centers_gives_a_study_with_an_external_test(tmp_path):
    rows = write_csv(tmp_path / "set")
    external = {"column": "center", "internal": ["A"]}
    split = {"validation_fraction": 0.2, "test_fraction": 0.2, "external": external}
    study = own({"kind": "csv", "path": str(tmp_path / "set" / "labels.csv")}, data={"split": split})
    dataset = make_dataset(load_source(study.data), study.data, 0)
    parts = [dataset.pool, dataset.validation, dataset.test, dataset.external]
    assert sum(len(part.ids) for part in parts) == len(rows)
    held = [set(part.groups) for part in parts]
    assert sum(map(len, held)) == len(set.union(*held)) == 60
    center_of = {row[0]: row[3] for row in rows}
    assert {center_of[name] for name in dataset.external.ids} == {"B", "C"}
    assert {center_of[name] for part in parts[:3] for name in part.ids} == {"A"}

    result = run_study(study, tmp_path / "run")
    metrics = read_csv(result.workdir / "metrics.csv")
    external_rows = [row for row in metrics if row["split"] == "external" and row["metric"] == "num_samples"]
    assert {int(row["value"]) for row in external_rows} == {len(dataset.external.ids)}
    assert len(external_rows) == len(result.table) == 4
    page = (result.workdir / "report.html").read_text()
    assert "external" in page
    assert "outside the label budget" in page


@pytest.mark.slow
def test_validation_held_out_of_the_labels_is_inside_the_budget_and_never_trains(tmp_path, monkeypatch):
    from jaxal.experiment import fitting as module

    rows = write_csv(tmp_path / "set")
    split = {"validation_fraction": 0.25, "test_fraction": 0.2, "validation": "from_labeled"}
    study = own({"kind": "csv", "path": str(tmp_path / "set" / "labels.csv")}, data={"split": split})
    dataset = make_dataset(load_source(study.data), study.data, 0)
    assert dataset.validation is None
    assert len(dataset.pool.ids) + len(dataset.test.ids) == len(rows)
    seen = []

    def watched(model, config, key, images, labels, validation, **options):
        counted = np.asarray(validation.images)[np.asarray(validation.is_counted)]
        seen.append((np.asarray(images)[np.asarray(labels) >= 0], counted, validation.images.shape))
        return fit(model, config, key, images, labels, validation, **options)

    fit = module.fit
    monkeypatch.setattr(module, "fit", watched)
    result = run_study(study, tmp_path / "run")
    assert len(seen) == len(result.table) == 4
    for (training, validating, _), row in zip(seen, result.table, strict=True):
        assert len(training) + len(validating) == row["num_labeled"]
        assert 0 < len(validating) <= np.ceil(0.25 * row["num_labeled"]) + 2
        assert not {image.tobytes() for image in training} & {image.tobytes() for image in validating}
    assert len({shape for _, _, shape in seen[:3]}) == 1  # the rounds of one arm
    held = [row for row in read_csv(result.workdir / "metrics.csv") if row["split"] == "validation"]
    counts = [int(row["value"]) for row in held if row["metric"] == "num_samples"]
    assert counts == [len(validating) for _, validating, _ in seen]
    assert "inside the label budget" in (result.workdir / "report.html").read_text()


def test_a_csv_with_bad_files_is_refused_in_one_table_or_runs_without_them(tmp_path, capsys):
    rows = write_csv(tmp_path / "set")
    folder = tmp_path / "set"
    (folder / rows[0][0]).write_bytes(b"")
    (folder / rows[3][0]).write_text("<html>not found</html>")
    (folder / rows[5][0]).unlink()
    words = ["run", str(README.parent / "configs" / "own_images.toml"), "--dry-run", "--data.source.kind", "csv"]
    words += ["--data.source.path", str(folder / "labels.csv")]
    assert main(words) == 1
    said = capsys.readouterr().err
    for reason in ("empty file", "not an image", "missing", rows[0][0], rows[3][0], rows[5][0], "data.source.max_bad"):
        assert reason in said
    assert main([*words, "--data.source.max_bad", "3"]) == 0
    assert "empty file" in capsys.readouterr().out
    assert main([*words, "--data.source.max_bad", "2"]) == 1


def test_a_missing_folder_leaves_no_run_folder_and_says_where_it_looked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config = str(README.parent / "configs" / "own_images.toml")
    assert main(["run", config, "--data.source.path", "nowhere"]) == 1
    assert str(tmp_path / "nowhere") in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_fields_of_the_csv_are_read_as_text(tmp_path):
    rows = write_csv(tmp_path / "set", num_patients=12)
    path = tmp_path / "set" / "labels.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["image", "label", "group", "center"], *([a, b, c, "01"] for a, b, c, _ in rows)])
    source = load_source(own({"kind": "csv", "path": str(path)}).data)
    assert set(source.columns["center"].tolist()) == {"01"}
