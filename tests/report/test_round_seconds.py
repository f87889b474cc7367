"""The time of each round, and acquisition's share of it."""

from jaxal.report.round_seconds import round_seconds
from jaxal.report.seconds import acquisition_share, arm_seconds
from report.report_samples import changed, sample


def test_means_over_seeds_and_the_share_of_choosing():
    inputs = changed(sample(), lambda row: {"seconds_train": 20.0} if (row["arm"], row["round"]) == ("cb", 2) else {})
    train, embed, acquire, share = round_seconds(inputs)
    assert [name for name, _ in train.columns] == ["round 0", "round 1", "round 2"]
    cells = {table.title: [cell.text for cell in table.rows[1][1]] for table in (train, embed, acquire, share)}
    assert cells == {
        "Seconds of training": ["2.000", "2.000", "20.0"],
        "Seconds of embedding": ["", "0.500", "0.500"],
        "Seconds of choosing": ["", "0.250", "0.250"],
        "Choosing, as a share of its round": ["", "9.1 %", "1.2 %"],  # 0.25 of 2.75, of 20.75
    }
    assert [cell.text for cell in train.rows[2][1]] == ["2.000", "", ""]
    assert train.rows[2][2]


def test_the_share_of_the_whole_is_of_the_rounds_that_asked():
    rows = sample().rows
    assert acquisition_share(rows) == (  # 12 rounds of 2.75 s
        "Choosing took 9.1 % of the 33 s of the 12 rounds that asked (3.0 s); embedding the pool took 18.2 %, training"
        " 72.7 %."
    )
    told = acquisition_share(rows, seconds_trunk=267.0)  # 300 s in all
    assert told.startswith("Choosing took 1 % of the 300 s of the 12 rounds")
    assert "(267.0 s of it the frozen trunk's one pass)" in told
    assert acquisition_share([row for row in rows if row["arm"] == "full"]).startswith("No query has been answered")
    assert [each.acquisition for each in arm_seconds(rows)] == ["6.7 %", "6.7 %", "0 %"]
