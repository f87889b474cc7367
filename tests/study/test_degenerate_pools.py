"""Pools that leave something out: no crash, and an empty cell instead of an invented number."""

import pytest

from jaxal.config.reading import parse_study
from jaxal.errors import ConfigError
from jaxal.study import prepare_study, run_study
from tests.study.conftest import read_csv, tiny

ARMS = [{"name": name, "strategy": name} for name in ("random", "entropy", "core_set", "auto_fm", "mpps", "cb_dal")]


def run(tmp_path, **changes):
    study = parse_study(tiny(**({"seeds": [0], "arms": ARMS} | changes)))
    run_study(study, tmp_path)
    return read_csv(tmp_path / "results.csv")


@pytest.mark.slow
def test_no_label_at_all_at_the_start(tmp_path):
    rows = run(tmp_path, schedule={"initial_size": 0, "query_size": 9, "num_rounds": 2})
    assert len(rows) == 3 * len(ARMS)
    for row in rows:
        assert int(row["num_labeled"]) == 9 * int(row["round"])
        assert (row["imbalance_ratio"] == "") == (int(row["classes_found"]) < 2)
        # The test set holds both classes, whatever is labeled; but nothing is scored that no label has trained.
        assert (row["auroc"] == "") == (row["accuracy"] == "") == (row["round"] == "0")


@pytest.mark.slow
def test_a_query_beyond_the_pool(tmp_path):
    rows = run(tmp_path, schedule={"initial_fraction": 0.5, "query_size": 500, "num_rounds": 3}, arms=ARMS[-1:])
    pool = int(rows[-1]["num_labeled"])
    assert [int(row["num_labeled"]) for row in rows[1:]] == [rows_end(rows, 500), pool, pool]
    assert float(rows[-1]["labeled_fraction"]) == 1


def rows_end(rows, query_size):
    return int(rows[0]["num_labeled"]) + query_size


@pytest.mark.slow
def test_one_class_only(tmp_path):
    data = tiny()["data"] | {"imbalance": {"kind": "counts", "counts": {"8": 0}}}
    rows = run(tmp_path, data=data, arms=[ARMS[0], ARMS[-1]])
    for row in rows:
        assert row["minority_labeled"] == "0"
        assert row["classes_found"] == "1"
        assert row["imbalance_ratio"] == ""
    # Validation lost its minority with the pool: AUROC is not defined there, while the unpruned test set has one.
    metrics = [row for row in read_csv(tmp_path / "metrics.csv") if row["class"] == "" and row["metric"] == "auroc"]
    assert {row["split"]: row["value"] == "" for row in metrics} == {"validation": True, "test": False}


@pytest.mark.slow
def test_ten_classes(tmp_path):
    data = {"source": {"kind": "digits"}, "minority_class": "3", "imbalance": {"kind": "ratio", "ratio": 50}}
    rows = run(tmp_path, data=data, training={"num_epochs": 2}, arms=ARMS[-1:])
    assert {row["classes_found"] for row in rows} == {"10"}


def test_bce_with_ten_classes_is_refused_by_the_arm_that_uses_it():
    document = tiny(data={"source": {"kind": "digits"}}, training={"num_epochs": 2})
    document["arms"] = [ARMS[0], ARMS[1] | {"training": {"loss": "bce"}}]
    with pytest.raises(ConfigError, match=r"arm entropy: training\.loss = 'bce' is for two classes, the data has 10"):
        prepare_study(parse_study(document))
