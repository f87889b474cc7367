"""The two sentences, word for word."""

import pytest
from scipy import stats

from jaxal.report.summary import summarize
from report.report_samples import changed, only, result_row, sample


def test_a_study_of_three_arms_and_three_seeds():
    # Round 1: 1 + 3 against 1 + 1. Round 2: the seeds shift both arms alike, so the paired difference is exact.
    assert summarize(sample()) == (
        "At 14 % of the labels, cb had found 4 of the pool's 20 images of class rare (mean over 3 seeds; 1 of them "
        "given at the start): 2.0× as many as random (2).",
        "At 18 % of the labels, cb ranked the test images with an average precision of 0.510, where random reached "
        "0.310 and all labels 0.800; over 3 seeds the difference is 0.200 ± 0.000 (95 % interval), which leaves zero "
        "out.",
    )


def test_a_difference_whose_interval_holds_zero_may_be_chance():
    scores = [0.2, 0.3, 0.7]
    inputs = changed(
        sample(),
        lambda row: (
            {"average_precision": scores[row["seed"]], "minority_labeled": 2 + 9 * (row["seed"] == 2)}
            if row["arm"] == "cb"
            else {"average_precision": 0.35, "minority_labeled": 2}
        ),
    )
    half = stats.sem(scores) * stats.t.ppf(0.975, 2)
    first, second = summarize(inputs)
    assert first == (
        "At 14 % of the labels, cb had found 5 of the pool's 20 images of class rare (mean over 3 seeds): 2.5× as many "
        f"as random (2); over 3 seeds the difference is 3.0 ± {stats.sem([0, 0, 9]) * stats.t.ppf(0.975, 2):.1f} (95 % "
        "interval), which may be chance."
    )
    assert second.endswith(f"over 3 seeds the difference is 0.050 ± {half:.3f} (95 % interval), which may be chance.")


def test_one_seed_says_so():
    first, second = summarize(sample(seeds=(7,)))
    assert first == (
        "At 14 % of the labels, cb had found 4 of the pool's 20 images of class rare (one seed; 1 of them given at the "
        "start): 2.0× as many as random (2); with one seed, this may be chance."
    )
    assert second == (
        "At 18 % of the labels, cb ranked the test images with an average precision of 0.570, where random reached "
        "0.370 and all labels 0.800; with one seed there is no interval, so the difference may be chance."
    )


def test_without_random_the_weakest_and_the_next_best_are_named():
    third = [
        row | {"arm": "third", "minority_labeled": 9, "average_precision": 0.4}
        for row in sample().rows
        if row["arm"] == "cb"
    ]
    base = sample(random_arms=frozenset())
    inputs = base._replace(rows=base.rows + third, planned_rounds={**base.planned_rounds, "third": 3})
    first, second = summarize(inputs)
    assert "third had found 9 of" in first
    assert first.endswith(": 4.5× as many as random (2), the fewest of all arms.")
    assert "cb ranked the test images" in second
    assert "where third, the next best, reached 0.400 and all labels 0.800" in second


def test_where_random_is_best_it_is_said():
    swap = {"random": "cb", "cb": "random", "full": "full"}
    first, second = summarize(changed(sample(), lambda row: {"arm": swap[row["arm"]]}))
    assert first.endswith(": 2.0× as many as cb (2), the best arm that is not random.")
    assert (
        "random ranked the test images with an average precision of 0.510, where cb, the best arm that is not random, "
        "reached 0.310" in second
    )


def test_where_random_is_best_it_may_be_chance_too():
    found = {"random": [9, 1, 1], "cb": [3, 3, 4]}
    inputs = changed(sample(has_full=False), lambda row: {"minority_labeled": found[row["arm"]][row["seed"]]})
    half = stats.sem([6, -2, -3]) * stats.t.ppf(0.975, 2)
    assert summarize(inputs)[0].endswith(
        f"1.1× as many as cb (3.3), the best arm that is not random; over 3 seeds the difference is 0.3 ± {half:.1f} "
        "(95 % interval), which may be chance."
    )


def with_second_random(inputs):
    again = [row | {"arm": "again"} for row in inputs.rows if row["arm"] == "random"]
    return inputs._replace(
        rows=inputs.rows + again,
        planned_rounds={**inputs.planned_rounds, "again": 3},
        random_arms=frozenset({"random", "again"}),
    )


def test_of_two_random_arms_none_came_next():
    inputs = with_second_random(changed(sample(), lambda row: {"minority_labeled": 4 if row["arm"] == "random" else 2}))
    assert summarize(inputs)[0].endswith(": 2.0× as many as cb (2), the best arm that is not random.")
    assert summarize(only(inputs, "random", "again"))[0].endswith(
        "4 of them given at the start): as many as again (4)."
    )


def test_one_arm_is_compared_with_nothing():
    assert summarize(only(sample(), "cb")) == (
        "At 14 % of the labels, cb had found 4 of the pool's 20 images of class rare (mean over 3 seeds; 1 of them "
        "given at the start); there is no other arm to compare it with.",
        "At 18 % of the labels, cb ranked the test images with an average precision of 0.510 (mean over 3 seeds); "
        "there is no other arm to compare it with.",
    )


@pytest.mark.parametrize(
    ("found", "ending"),
    [
        ({"cb": 0, "random": 0}, "no arm had found any of the pool's 20 images of class rare (mean over 3 seeds)."),
        ({"cb": 2, "random": 0}, "(mean over 3 seeds): where random had found none."),
        ({"cb": 2, "random": 2}, "(mean over 3 seeds): as many as random (2)."),
    ],
)
def test_zeros_and_ties_divide_nothing(found, ending):
    inputs = changed(
        sample(has_full=False),
        lambda row: {"minority_labeled": found[row["arm"]] if row["round"] else row["seed"] + len(row["arm"])},
    )
    assert summarize(inputs)[0].endswith(ending)


def test_a_class_that_the_pool_lacks():
    inputs = sample(part_counts={"pool": {"rest": 80, "rare": 0}})
    assert summarize(inputs)[0] == "The pool holds no image of class rare, so there was none to find."


def test_auroc_stands_in_for_an_undefined_average_precision():
    blank = changed(sample(), lambda row: {"average_precision": None})
    assert "cb ranked the test images with an AUROC of 0.910, where random reached 0.710" in summarize(blank)[1]
    nothing = changed(blank, lambda row: {"auroc": None})
    assert summarize(nothing)[1] == (
        "After round 2 neither average precision nor AUROC is defined: a class is missing in the test set, or no label "
        "had trained the model."
    )


def test_more_than_two_classes_have_a_mean_average_precision():
    inputs = sample(class_names=("rest", "rare", "third"))
    assert "with a mean average precision of 0.510" in summarize(inputs)[1]


def test_nothing_finished():
    inputs = sample(rows=[], asked=[])
    assert summarize(inputs) == ("No round has been finished yet.", "No round has been finished yet.")
    initial = inputs._replace(rows=[result_row("cb", 0, 0)])
    assert summarize(initial)[0] == "No query has been answered yet."
    assert summarize(initial)[1].startswith("At 10 % of the labels, cb ranked")


def test_full_alone():
    assert summarize(only(sample(), "full")) == (
        "No arm asks for labels: each trains once on all of them.",
        "Trained on all labels, the model ranked the test images with an average precision of 0.800 (mean over 3 "
        "seeds).",
    )


def test_only_seeds_that_both_arms_have_count():
    # Seed 2 of random is missing, so cb's mean is over seeds 0 and 1 too: 0.5 + 0.005.
    inputs = sample()
    inputs = inputs._replace(rows=[row for row in inputs.rows if (row["arm"], row["seed"]) != ("random", 2)])
    first, second = summarize(inputs)
    assert "(mean over 2 of 3 seeds;" in first
    assert (
        "average precision of 0.505, where random reached 0.305 and all labels 0.800 (2 of 3 seeds define it for every "
        "arm); over 2 seeds the difference is" in second
    )


def test_all_labels_are_of_the_same_seeds():
    inputs = changed(
        sample(),
        lambda row: (
            {"average_precision": 0.6 + 0.1 * row["seed"]}
            if row["arm"] == "full"
            else {"average_precision": None if row["arm"] == "cb" and row["seed"] != 1 else row["average_precision"]}
        ),
    )
    assert summarize(inputs)[1].endswith(
        "cb ranked the test images with an average precision of 0.510, where random reached 0.310 and all labels 0.700 "
        "(1 of 3 seeds define it for every arm); with one seed there is no interval, so the difference may be chance."
    )
    unfinished = [row for row in inputs.rows if (row["arm"], row["seed"]) != ("full", 1)]
    assert "all labels" not in summarize(inputs._replace(rows=unfinished))[1]
    assert summarize(only(inputs._replace(rows=unfinished), "full"))[1].endswith("of 0.700 (mean over 2 of 3 seeds).")


def test_pools_of_different_sizes_have_no_size():
    inputs = sample(sizes_vary=True)
    start = (
        "At 14 % of the labels, cb had found 4 images of class rare (mean over 3 seeds; 1 of them given at the start)"
    )
    assert summarize(inputs)[0].startswith(start)
    # The first seed's pool has none, others have.
    assert summarize(inputs._replace(part_counts={"pool": {"rest": 80, "rare": 0}}))[0].startswith(start)
    none = changed(inputs, lambda row: {"minority_labeled": 0})
    assert "no arm had found any images of class rare (mean over 3 seeds; none of them given" in summarize(none)[0]


def test_arms_without_a_seed_in_common():
    inputs = sample()
    inputs = inputs._replace(rows=[row for row in inputs.rows if (row["arm"] == "cb") == (row["seed"] == 0)])
    inputs = only(inputs, "cb", "random")
    assert summarize(inputs) == (
        "The arms have finished no query with the same seed yet.",
        "The arms have finished no round with the same seed yet.",
    )


def test_arms_are_compared_before_any_run_stopped():
    inputs = sample()
    stopped = [r for r in inputs.rows if (r["arm"], r["seed"], r["round"]) != ("cb", 1, 2)]
    _, ranking = summarize(inputs._replace(rows=stopped, stopped={("cb", 1): 1}))
    assert ranking.startswith("At 14 % of the labels")
    assert "3 seeds" in ranking
    assert summarize(inputs)[1].startswith("At 18 % of the labels")
