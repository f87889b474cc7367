"""What curves, references and captions claim."""

import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from jaxal.evaluation.learning_curve import learning_curves
from jaxal.report.asked_figures import minority_rate_picture
from jaxal.report.curve_figures import curve_pictures, prevalence
from jaxal.report.curve_panel import METRICS, draw_panel
from jaxal.report.drawing import ARM_COLORS
from jaxal.report.seconds import seconds_picture
from report.report_samples import changed, sample


def captions(inputs):
    return {picture.key: picture.caption for picture in curve_pictures(inputs)}


def panel(inputs, key):
    axes, handles = Figure().subplots(), {}
    draw_panel(axes, METRICS[key], learning_curves(inputs.rows, key), inputs.full_arms, handles)
    return axes, handles


def ticks(axis, limits):
    return [tick for tick in axis.get_ticklocs() if limits[0] <= tick <= limits[1]]


def test_nothing_is_said_of_chance_but_of_auroc():
    two = sample()
    assert prevalence(two, "test") == (0.1, "prevalence 0.100")
    assert prevalence(two, "external") is None
    many = sample(class_names=("rest", "rare", "third"))
    assert prevalence(many, "test") == (1 / 3, "mean share of a class 0.333")
    for inputs, dotted in ((two, "the prevalence"), (many, "the mean share of a class")):
        told = captions(inputs)
        assert f"; dotted: {dotted}." in told["average_precision"]
        assert [key for key, caption in told.items() if "chance" in caption] == ["auroc"]


def test_shares_near_none_and_all_keep_their_digits():
    counts = {"pool": {"rest": 33000, "rare": 1}, "test": {"rest": 9999, "rare": 3}}
    inputs = sample(part_counts=counts)
    assert prevalence(inputs, "test")[1] == "prevalence 0.0003"
    assert captions(inputs)["accuracy"].endswith("naming the largest class always reaches 0.9997.")


def test_sizes_of_the_first_seed_are_no_sizes_of_the_mean(texts):
    told = captions(sample())
    assert told["minority_labeled"].endswith("; the pool holds 20.")
    assert told["accuracy"].endswith("; naming the largest class always reaches 0.900.")
    inputs = sample(sizes_vary=True)
    told = captions(inputs)
    assert told["minority_labeled"].endswith("the initial ones included.")
    assert told["accuracy"] == "Share of images classified rightly."
    minority_rate_picture(inputs)
    assert {"prevalence 0.100 (first seed)", "in the pool: 20.0 (first seed)"} <= set(texts())


@pytest.mark.parametrize("found", [0, 1, 7])
@pytest.mark.parametrize("num_rounds", [0, 2])
def test_a_constant_count_has_whole_ticks(found, num_rounds):
    axes, _ = panel(changed(sample(num_rounds=num_rounds), lambda row: {"classes_found": found}), "classes_found")
    low, high = axes.get_ylim()
    assert (low, high) == pytest.approx((max(0, found - 1), found + 1))
    for axis, limits in ((axes.yaxis, (low, high)), (axes.xaxis, axes.get_xlim())):
        values = ticks(axis, limits)
        assert len(values) > 1
        assert all(value == round(value) for value in values)


def test_every_color_stands_out_from_white():
    def linear(value):
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    for color in ARM_COLORS:
        red, green, blue = map(linear, to_rgb(color))
        assert 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05) >= 3


def test_each_of_many_arms_has_its_own_color_and_dashes():
    base = sample(has_full=False, num_rounds=1)
    rows = [row | {"arm": f"arm {place}"} for place in range(20) for row in base.rows if row["arm"] == "cb"]
    _, handles = panel(base._replace(rows=rows), "auroc")
    assert (
        len({(line.get_color(), line._dash_pattern[1] and tuple(line._dash_pattern[1])) for line in handles.values()})
        == 20
    )
    assert {line.get_linestyle() for line in list(handles.values())[:7]} == {"-"}


LONG = {"random": "cb_dal_width_64_final_lr_1e-4_a", "cb": "cb_dal_width_64_final_lr_1e-4_b", "full": "full"}


def test_long_names_are_told_apart(texts):
    inputs = changed(sample(), lambda row: {"arm": LONG[row["arm"]], "auroc": None if row["arm"] != "full" else 0.5})
    inputs = inputs._replace(planned_rounds={LONG[arm]: num for arm, num in inputs.planned_rounds.items()})
    curve_pictures(inputs)
    assert {"cb_dal_width_6…nal_lr_1e-4_a", "cb_dal_width_6…nal_lr_1e-4_b", "full (every label)"} <= set(texts())
    assert "not defined for 2 of 3 arms" in texts()
    seconds_picture(inputs)
    assert {"cb_dal_wi…r_1e-4_a", "cb_dal_wi…r_1e-4_b"} <= set(texts())


def test_one_seed_has_no_mean():
    assert seconds_picture(sample()).caption.startswith("Mean over seeds, all rounds together.")
    assert seconds_picture(sample(seeds=(4,))).caption.startswith("All rounds together.")
