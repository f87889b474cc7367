"""The result table as a reader sees it."""

import pytest
from scipy import stats

from jaxal.errors import InputError
from jaxal.report.tables import markdown, summary_table


def row(arm, seed, round_, **columns):
    return {
        "arm": arm,
        "seed": seed,
        "round": round_,
        "num_labeled": 10,
        "labeled_fraction": 0.1,
        "auroc": None,
        "average_precision": None,
        "minority_labeled": 3,
        "seconds_train": None,
        "seconds_embed": None,
        "seconds_acquire": None,
        **columns,
    }


def test_one_row_for_each_arm_at_its_last_round():
    aurocs = [0.90, 0.92, 0.93]
    rows = [row("random", seed, 0, seconds_train=1.0) for seed in range(3)]
    rows += [
        row(
            "random",
            seed,
            1,
            num_labeled=20,
            auroc=auroc,
            average_precision=0.5 if seed else None,
            minority_labeled=4 + seed,
            seconds_train=2.0,
            seconds_embed=0.5,
            seconds_acquire=0.25 * seed,
        )
        for seed, auroc in enumerate(aurocs)
    ]
    rows.append(row("full", 0, 0, num_labeled=100, auroc=0.95))
    half_width = stats.sem(aurocs) * stats.t.ppf(0.975, 2)
    assert summary_table(rows) == [
        {
            "arm": "random",
            "seeds": "3",
            "labels": "20",
            "auroc": f"0.917 ± {half_width:.3f}",
            "average_precision": "0.500 ± 0.000 (2 of 3 seeds)",
            "minority_found": "5.0",
            "seconds": "3.8",  # 1 + 2 + 0.5 and 0, 0.25 or 0.5
        },
        {
            "arm": "full",
            "seeds": "1",
            "labels": "100",
            "auroc": "0.950",
            "average_precision": "not defined",
            "minority_found": "3.0",
            "seconds": "not defined",
        },
    ]


def test_an_external_test_set_stands_beside_the_internal_one():
    rows = [row("a", seed, 0, auroc=0.9, average_precision=0.5) for seed in range(2)]
    external = [each | {"auroc": 0.7, "average_precision": None} for each in rows]
    (only,) = summary_table(rows, external=external)
    assert list(only)[3:7] == [
        "internal_auroc",
        "external_auroc",
        "internal_average_precision",
        "external_average_precision",
    ]
    assert list(only.values())[3:7] == ["0.900 ± 0.000", "0.700 ± 0.000", "0.500 ± 0.000", "not defined"]


def test_unequal_seeds_show_a_mean_of_labels():
    (only,) = summary_table([row("a", 0, 0, num_labeled=10), row("a", 1, 0, num_labeled=11)])
    assert only["labels"] == "10.5"


def test_markdown_is_a_table():
    assert markdown([]) == ""
    table = markdown([{"arm": "a|b", "minority_found": "3.0"}])
    assert table == "| arm | minority found |\n| :-- | --: |\n| a\\|b | 3.0 |\n"


def test_summary_refuses_rows_without_a_column():
    incomplete = row("a", 0, 0)
    del incomplete["seconds_embed"]
    with pytest.raises(InputError, match="row 2 of 2 lacks seconds_embed"):
        summary_table([row("a", 1, 0), incomplete])


def test_seeds_that_stopped_early_count_where_they_ended():
    rows = [row("a", 0, 0, auroc=0.5), row("a", 1, 0, auroc=0.6), row("a", 1, 1, num_labeled=20, auroc=0.8)]
    (only,) = summary_table(rows)
    assert (only["seeds"], only["labels"]) == ("2", "15")
    assert only["auroc"].startswith("0.650 ± ")
