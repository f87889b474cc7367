"""The figure's bytes, the words a reader needs, and the numbers behind it."""

import csv
import re

import matplotlib
import pytest

from jaxal.evaluation.learning_curve import interval
from jaxal.report.learning_curve_figure import draw_learning_curves


def study(auroc=0.8):
    return [
        {
            "arm": arm,
            "seed": seed,
            "round": round_,
            "num_labeled": 1000 if arm == "full" else 10 * (round_ + 1),
            "labeled_fraction": 1.0 if arm == "full" else (round_ + 1) / 100,
            "auroc": None if auroc is None or arm == "_mpps" else auroc + 0.01 * seed + 0.02 * round_,
            "average_precision": 0.3 + 0.01 * seed,
            "minority_labeled": 3 + round_,
        }
        for arm, num_rounds in (("random", 3), ("_mpps", 3), ("full", 1))
        for seed in range(2)
        for round_ in range(num_rounds)
    ]


def test_equal_rows_give_equal_bytes_whatever_the_readers_settings(tmp_path):
    first, _ = draw_learning_curves(study(), tmp_path / "a", full_arms=frozenset({"full"}))
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red"}):
        second, _ = draw_learning_curves(study(), tmp_path / "b", full_arms=frozenset({"full"}))
        assert matplotlib.rcParams["font.size"] == 20  # left as found
    other, _ = draw_learning_curves(study(0.7), tmp_path / "c", full_arms=frozenset({"full"}))
    assert first == tmp_path / "a" / "figures" / "learning_curves.svg"
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes() != other.read_bytes()


def test_the_figure_is_900_pixels_wide_and_self_contained(tmp_path):
    figure, _ = draw_learning_curves(study(), tmp_path)
    svg = figure.read_text()
    assert 'width="675pt"' in svg  # 900 px at 96 px an inch
    # Only the document type, name spaces and vocabulary are addresses; nothing is loaded from elsewhere.
    assert all(target.startswith("#") for target in re.findall(r'xlink:href="([^"]*)"', svg))
    assert "<image" not in svg


def test_every_arm_is_named_and_undefined_values_are_said(tmp_path, texts):
    draw_learning_curves(study(), tmp_path, full_arms=frozenset({"full"}))
    assert {"AUROC", "Average precision", "Minority labels found", "labels"} <= set(texts())
    assert {"random", "_mpps", "full (every label)", "mean and 95 % interval over 2 seeds"} <= set(texts())
    assert texts().count("not defined: _mpps") == 1
    assert "not defined" not in texts()


def test_an_external_test_set_has_panels_of_its_own(tmp_path, texts):
    external = [row | {"auroc": 0.6} for row in study()]
    _, numbers = draw_learning_curves(study(), tmp_path, external=external)
    assert {"Internal test: AUROC", "External test: AUROC", "External test: average precision"} <= set(texts())
    with numbers.open(newline="") as file:
        means = {row["metric"]: row["mean"] for row in csv.DictReader(file) if row["arm"] == "random"}
    assert means["external_auroc"] == "0.6"
    assert list(means) == [
        "auroc",
        "external_auroc",
        "average_precision",
        "external_average_precision",
        "minority_labeled",
    ]


def test_a_panel_without_values_says_not_defined(tmp_path, texts):
    draw_learning_curves(study(auroc=None), tmp_path)
    assert texts().count("not defined") == 1


def test_no_rows_say_not_defined_three_times(tmp_path, texts):
    draw_learning_curves([], tmp_path)
    assert texts().count("not defined") == 3


def test_the_csv_holds_the_numbers_behind_the_figure(tmp_path):
    _, numbers = draw_learning_curves(study(), tmp_path)
    with numbers.open(newline="") as file:
        rows = {(r["metric"], r["arm"], r["round"]): r for r in csv.DictReader(file)}
    assert len(rows) == 3 * 7
    point = rows["auroc", "random", "1"]
    assert (point["num_labeled"], point["labeled_fraction"], point["seeds"]) == ("20.0", "0.02", "2")
    expected = interval([0.8 + 0.02, 0.81 + 0.02])
    assert [float(point[k]) for k in ("mean", "low", "high")] == pytest.approx(list(expected[:3]), rel=1e-12)
    undefined = rows["auroc", "_mpps", "0"]
    assert [undefined[k] for k in ("mean", "low", "high", "seeds")] == ["", "", "", "0"]
    assert b"\r" not in numbers.read_bytes()
