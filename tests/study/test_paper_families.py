"""The tiniest form of the papers' families: their own files through the command line, on data of seconds."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxal.cli import main
from jaxal.config.family import load_family
from jaxal.report.paper_tables import check_table
from jaxal.report.printed import printed_table

from .small_network import small_network, write_weights

PAPERS = Path(__file__).parents[2] / "configs" / "papers"
DIGITS = ["--data.source.kind", "digits"]
SPLIT = ["--data.split.validation_fraction", "0.1", "--data.split.test_fraction", "0.2"]
SHORT = ["--seeds", "[0]", "--training.num_epochs", "1"]


def file_of(name):
    return str(PAPERS / f"{name}_small.toml")


@pytest.fixture(scope="module", autouse=True)
def _tiny_networks(tmp_path_factory):
    """Lite 0 is a network of five classes here, with weights of its own."""
    with small_network(tmp_path_factory.mktemp("cache")):
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    write_weights(path)
    return str(path)


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    """Forty lesions of six noisy patches, a quarter asymmetric, with the columns of the prepared table."""
    here, rng = tmp_path_factory.mktemp("patches"), np.random.default_rng(0)
    rows = [["image", "label", "group", "kind", "fifth"]]
    for number in range(240):
        lesion, is_asymmetric = number // 6, number // 6 % 4 == 3
        pixels = rng.integers(0, 128, (8, 8, 3)) + 100 * is_asymmetric
        Image.fromarray(pixels.astype(np.uint8)).save(here / f"{number}.png")
        label = "asymmetric" if is_asymmetric else "symmetric"
        rows.append([f"{number}.png", label, f"lesion-{lesion}", "drawn", str(lesion % 5)])
    with (here / "patches.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return ["--data.source.path", str(here / "patches.csv"), "--data.source.image_size", "8", "--model.image_size", "0"]


def run(name, workdir, *flags):
    assert main(["run", file_of(name), "--workdir", str(workdir), *SHORT, *flags]) == 0
    with (workdir / "tables.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {(row["table"], row["row"], row["column"]): row for row in rows}


@pytest.mark.parametrize("path", sorted(PAPERS.glob("*.toml")), ids=lambda path: path.stem)
def test_rows_and_columns_are_the_papers(path):
    family = load_family(path)
    for table in family.tables:
        check_table(table)
        if table.paper:
            printed = printed_table(table.paper, table.table)
            assert (tuple(table.rows), tuple(table.columns)) == (printed.rows, printed.columns)
    titles = [table.title for table in family.tables]
    if path.stem.endswith("_small"):
        assert titles == [table.title for table in load_family(path.with_name(path.name.replace("_small", ""))).tables]


@pytest.mark.slow
def test_isic_2020(tmp_path, weights, patches):
    cells = run("cb_dal_isic2020", tmp_path, *patches, "--model.weights", weights, "--data.imbalance.ratio", "4")
    by_patient = "Table 2. AUROC at 10, 30 and 50 %, whole patients on one side"
    assert {row for table, row, _ in cells if table == by_patient} == {"Random", "BAL (quoted)", "CB-DAL", "Full"}
    assert cells[by_patient, "BAL (quoted)", "30%"]["ours"] == ""
    assert cells[by_patient, "BAL (quoted)", "30%"]["paper"] == "0.873"
    for column in ("10%", "30%", "50%"):
        cell = cells[by_patient, "CB-DAL", column]
        assert float(cell["difference"]) == pytest.approx(float(cell["ours"]) - float(cell["paper"]))


@pytest.mark.slow
def test_bone_tumors(tmp_path, weights, patches):
    cells = run("cb_dal_bone_tumor", tmp_path, *patches, "--model.weights", weights)
    table1 = "Table 1. AUROC, internal and external test"
    filled = {(row, column) for (table, row, column), cell in cells.items() if table == table1 and cell["ours"]}
    assert filled == set(printed_table("CB-DAL", "1 bone tumor AUROC").values)
    figures = [cell["ours"] for (table, _, _), cell in cells.items() if table.startswith("Fig.")]
    assert len(figures) == 6 * 4 + 8 * 12
    assert all(figures)


@pytest.mark.slow
def test_aggarwal(tmp_path, weights):
    source = ["--source_model.weights", weights, "--model.weights", weights]
    sizes = [
        "--model.image_size",
        "0",
        "--source_model.image_size",
        "0",
        "--vary.dataset.0.data.imbalance.total",
        "300",
    ]
    members = ["--only", "food101-500", "--only", "food101-all"]
    cells = run("aggarwal", tmp_path, *DIGITS, *SPLIT, *source, *sizes, *members)
    pool = {column: float(cells["Table 1. The pools", "Food-101", column]["ours"]) for column in ("images", "ir")}
    assert pool["images"] == 300
    assert pool["ir"] == pytest.approx(0.793, abs=0.01)
    for table in ("Classes found, before balancing", "Classes found, after balancing"):
        assert all(float(cells[table, row, "Food-101 b=500"]["ours"]) >= 1 for row in ("random", "core-set", "ent_div"))
    assert cells["Table 1. The pools", "MIT-67", "images"]["ours"] == ""


@pytest.mark.slow
def test_regrouping(tmp_path, weights):
    names = {"T-shirt": 0, "Pullover": 1, "Dress": 2, "Trouser": 3, "Coat": 4, "Bag": 5, "Shirt": 6}
    flags = [*DIGITS, *SPLIT, "--model.weights", weights, "--model.image_size", "0"]
    flags += ["--data.classes", str(list(map(str, names.values()))), "--data.minority_class", "6"]
    counts = {str(number): 60 - 9 * number for number in names.values()}
    flags += ["--data.imbalance.counts", "{" + ", ".join(f'"{name}" = {count}' for name, count in counts.items()) + "}"]
    text = (PAPERS / "regrouping_small.toml").read_text()
    for name, number in names.items():
        text = text.replace(f'class_name = "{name}"', f'class_name = "{number}"')
        text = text.replace(
            f'data = {{one_vs_rest = "{name}", minority_class = "{name}"}}',
            f'data = {{one_vs_rest = "{number}", minority_class = "{number}"}}',
        )
    path = tmp_path / "regrouping_small.toml"
    path.write_text(text.replace('extends = "regrouping.toml"', f'extends = "{PAPERS / "regrouping.toml"}"'))
    assert main(["run", str(path), "--workdir", str(tmp_path / "run"), *SHORT, *flags]) == 0
    with (tmp_path / "run" / "tables.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7 * 8 + 2 * 7
    assert all(row["ours"] for row in rows)
