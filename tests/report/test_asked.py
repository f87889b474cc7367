"""What was asked, counted by hand."""

import csv
import io

import pytest

from jaxal.report.asked import AskedRound, asked_classes_csv, asked_rounds, minority_rate_rows, shown_classes
from jaxal.report.asked_figures import class_colors
from report.report_samples import query, sample


def test_rounds_are_means_over_seeds_and_skips_count_apart():
    inputs = sample(
        asked=[query("cb", 0, 1, [1, 1, 0, -2]), query("cb", 1, 1, [1, 0, 0, 0]), query("cb", 0, 2, [0, 0, 1, 1])]
    )
    assert asked_rounds(inputs) == {
        "random": [],
        "cb": [AskedRound(1, (2.0, 1.5), 0.5, 2), AskedRound(2, (2.0, 2.0), 0.0, 1)],
    }
    rows = list(csv.reader(io.StringIO(asked_classes_csv(inputs))))
    assert rows[0] == ["arm", "round", "class", "count", "share", "skipped", "seeds"]
    assert rows[1] == ["cb", "1", "rest", "2.0", str(2 / 3.5), "0.5", "2"]
    assert rows[2] == ["cb", "1", "rare", "1.5", str(1.5 / 3.5), "0.5", "2"]
    assert len(rows) == 5


def test_minority_rate_is_of_the_answers():
    answers = [query("cb", 0, 1, [1, 0, 0, -2]), query("random", 0, 1, [-2, -2, -2, -2]), query("cb", 9, 1, [1])]
    rows = minority_rate_rows(sample(asked=answers))
    assert [(row["arm"], row["minority_per_100"]) for row in rows] == [("random", None), ("cb", pytest.approx(100 / 3))]
    assert [row["num_labeled"] for row in rows] == [14, 14]


def test_up_to_ten_classes_are_all_shown():
    names = tuple(f"c{index}" for index in range(10))
    pool = {name: 10 + index for index, name in enumerate(names)}
    shown = shown_classes(sample(class_names=names, minority=3, part_counts={"pool": pool}))
    assert shown.names == ("c3", "c9", "c8", "c7", "c6", "c5", "c4", "c2", "c1", "c0")
    assert len(set(class_colors(shown))) == 10


def test_of_more_classes_the_minority_and_the_eight_largest_are_shown():
    names = tuple(f"c{index}" for index in range(12))
    pool = {name: 100 - index for index, name in enumerate(names)}
    shown = shown_classes(sample(class_names=names, minority=11, part_counts={"pool": pool}))
    assert shown.names == ("c11", *(f"c{index}" for index in range(8)), "other (3 classes)")
    assert shown.groups[-1] == (8, 9, 10)
    assert sorted(index for group in shown.groups for index in group) == list(range(12))
    assert len(class_colors(shown)) == 10
