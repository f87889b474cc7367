"""The report of a study that was run."""

import json

import msgspec
import numpy as np
import pytest

from jaxal.data.dataset import load_source, make_dataset
from jaxal.study import run_study
from jaxal.study.plan import plan_study
from jaxal.study.report_inputs import collect_report
from tests.study.conftest import read_csv


def test_the_run_folder_has_a_report_with_everything_in_it(finished):
    study, result = finished
    text = (result.workdir / "report.html").read_text(encoding="utf-8")
    assert "<h1><bdi>tiny</bdi></h1>" in text
    assert "This study is not finished" not in text
    last = result.table[-1]
    assert last["arm"] == "random"
    pool = make_dataset(load_source(study.data), study.data, 0).pool
    assert f"of the pool&#39;s {int(pool.labels.sum())} images of class 8 (mean over 2 seeds;" in text
    for arm in ("cb", "random"):
        journal = result.workdir / arm / "seed-0" / "journal.jsonl"
        events = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
        asked = [event for event in events if event["event"] == "asked"]
        assert len(asked) == 2
        for event in asked:
            for name, reason in zip(event["ids"], event["reason"], strict=True):
                assert f'alt="{name}, ' in text
                assert f'<span class="why">{reason}</span>' in text.replace("<wbr>", "")
    for line in ("outside the label budget", "auto_fm_share = 0.5", "packages.jax"):
        assert line in text
    assert "<script" not in text


def test_the_numbers_behind_the_figures_are_those_of_the_journals(finished):
    study, result = finished
    counts = read_csv(result.workdir / "figures" / "asked_classes.csv")
    rows = [row for row in result.table if row["arm"] == "cb"]
    for number in (1, 2):
        bought = [
            row["minority_labeled"] - before["minority_labeled"]
            for row in rows
            for before in rows
            if row["round"] == number and (before["seed"], before["round"]) == (row["seed"], number - 1)
        ]
        (found,) = [
            float(row["count"])
            for row in counts
            if (row["arm"], row["round"], row["class"]) == ("cb", str(number), "8")
        ]
        assert found == sum(bought) / len(study.seeds)


def test_a_second_run_leaves_the_report_alone(finished):
    study, result = finished
    files = [result.workdir / "report.html", *(result.workdir / "figures").iterdir()]
    assert len(files) > 15
    before = [path.stat().st_mtime_ns for path in files]
    run_study(study, result.workdir)
    assert [path.stat().st_mtime_ns for path in files] == before


@pytest.mark.parametrize(
    ("has_groups", "num_seeds", "sizes_vary"), [(True, 2, True), (True, 1, False), (False, 2, False)]
)
def test_only_whole_groups_of_several_seeds_make_sizes_vary(finished, has_groups, num_seeds, sizes_vary):
    study, result = finished
    study = msgspec.structs.replace(study, seeds=study.seeds[:num_seeds])
    dataset = make_dataset(load_source(study.data), study.data, 0)
    if has_groups:
        groups = np.arange(len(dataset.pool.labels)).astype(np.str_)
        dataset = dataset._replace(pool=dataset.pool._replace(groups=groups))
    inputs = collect_report(study, result.workdir, plan_study(study, dataset), lambda seed: dataset)
    assert inputs.sizes_vary == sizes_vary
