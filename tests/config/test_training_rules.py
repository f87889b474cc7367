"""What settings of training are refused together, and that each is a word of an arm."""

import tomllib

import pytest

from jaxal.config.losses import FocalConfig
from jaxal.config.reading import config_text, experiment_config, parse_study, recheck_study
from jaxal.errors import ConfigError

FROZEN = {"model": {"kind": "resnet", "depth": 18, "trunk": "frozen"}}
TUNED = {"model": "resnet18"}


def study(strategy="random", **arm):
    return {
        "name": "rules",
        "data": {"source": {"kind": "digits"}},
        "schedule": {"initial_size": 0, "query_size": 5, "num_rounds": 1},
        "arms": [{"name": "a", "strategy": strategy} | arm],
    }


@pytest.mark.parametrize(
    ("arm", "told"),
    [
        ({"training": {"regrouping": "sum", "loss": "focal"}}, "regrouping trains cross-entropy"),
        ({"training": {"regrouping": "sum", "start": "continue"}}, 'set start = "restart"'),
        ({"training": {"regrouping": "sum"}, "strategy": "cb_dal"}, "needs the last layer"),
        ({"training": {"regrouping": "argmax"}, "strategy": "balanced(bald)"}, "needs the last layer"),
        ({"training": {"classifier": "linear_svm"}}, 'set model.trunk = "frozen"'),
        (FROZEN | {"training": {"classifier": "linear_svm", "loss": "ldam"}}, "has no use for training.loss"),
        (FROZEN | {"training": {"classifier": "linear_svm", "sampling": "oversample"}}, "no use for training.sampling"),
        ({"training": {"classifier": "cross_validated"}}, "those of an organ_cnn are random"),
        (TUNED | {"training": {"classifier": "cross_validated", "start": "continue"}}, 'set start = "restart"'),
        (TUNED | {"training": {"classifier": "cross_validated", "loss": "ldam"}}, 'loss = "ldam" makes that layer'),
        (FROZEN | {"training": {"classifier": "cross_validated", "regrouping": "sum"}}, "regrouping makes that layer"),
        (FROZEN | {"augmentation": {"blur": 1}}, "augmentation needs trunk"),
        ({"training": {"sampling": "undersample"}}, "sampling"),
        ({"training": {"keep": "last", "early_stop": 5}}, "set early_stop = 0, or keep the best epoch"),
        ({"training": {"restart_every": 3}}, 'every fit begins anew already; set start = "continue"'),
        ({"training": {"start": "continue", "extra_epochs": 1}}, "set restart_every, or remove them"),
        ({"query_training": {"num_epochs": 6}}, "query_training trains a query model, and it has none"),
        ({"query_model": {"width": 2}, "query_training": {"restart_every": 3}}, "every fit begins anew already"),
        ({"augmentation": {"mode": "twice"}}, "mode"),
    ],
)
def test_what_does_not_go_together_is_refused(arm, told):
    with pytest.raises(ConfigError, match=told):
        parse_study(study(**arm))


@pytest.mark.parametrize(
    "arm",
    [
        {"training": {"regrouping": "sum", "sampling": "oversample"}, "strategy": "entropy"},
        {"training": {"regrouping": "argmax", "thresholding": True}, "strategy": "balanced(core_set)"},
        {"training": {"sampling": "class_balanced", "loss": "ldam"}, "strategy": "cb_dal"},
        FROZEN | {"training": {"classifier": "linear_svm", "thresholding": True}},
        FROZEN | {"training": {"classifier": "cross_validated", "thresholding": True}},
        TUNED | {"training": {"classifier": "cross_validated", "sampling": "oversample", "loss": "focal"}},
        {"augmentation": {"elastic": 2, "blur": 1, "mode": "pool_once"}},
        {"training": {"keep": "best_accuracy", "start": "continue", "restart_every": 3, "extra_epochs": 1}},
    ],
)
def test_what_goes_together_is_read(arm):
    resolved = parse_study(study(**arm)).arms[0]
    for table in ("training", "augmentation"):
        for name, value in arm.get(table, {}).items():
            if name != "loss":
                assert getattr(getattr(resolved, table), name) == value


SMALL = {"width": 2}


def test_the_query_model_s_training_lies_over_the_arm_s_and_the_study_s():
    document = study() | {
        "training": {"num_epochs": 40, "batch_size": 8, "loss": "focal"},
        "query_training": {"num_epochs": 6, "loss": {"kind": "focal", "gamma": 1}},
        "query_model": SMALL,
        "arms": [
            {"name": "plain", "strategy": "entropy"},
            {"name": "own", "strategy": "entropy", "training": {"batch_size": 4}},
            {"name": "both", "strategy": "entropy", "training": {"batch_size": 4}, "query_training": {"num_epochs": 7}},
            {"name": "full", "kind": "full", "training": {"batch_size": 4}},
        ],
    }
    parsed = parse_study(document)
    for each in (parsed, parse_study(tomllib.loads(config_text(parsed))), recheck_study(parsed)):
        assert each == parsed
    configs = [experiment_config(parsed, arm, 0) for arm in parsed.arms]
    trained = [(config.training.num_epochs, config.training.batch_size) for config in configs]
    assert trained == [(40, 8), (40, 4), (40, 4), (40, 4)]
    asking = [config.query_training for config in configs]
    assert [each and (each.num_epochs, each.batch_size) for each in asking] == [(6, 8), (6, 4), (7, 4), None]
    assert {each.loss for each in asking if each} == {FocalConfig(gamma=1)}
    assert {config.training.loss for config in configs} == {FocalConfig()}


def test_an_arm_without_a_query_model_has_no_training_of_one():
    arms = [{"name": "asks", "strategy": "entropy", "query_model": SMALL}, {"name": "plain", "strategy": "random"}]
    arms[1] |= {"training": {"batch_size": 4}}
    parsed = parse_study(study() | {"query_training": {"num_epochs": 6}, "arms": arms})
    assert [experiment_config(parsed, arm, 0).query_training is None for arm in parsed.arms] == [False, True]
    with pytest.raises(ConfigError, match="query_training: no arm has a query model to train by it"):
        parse_study(study() | {"query_training": {"num_epochs": 6}})


@pytest.mark.parametrize(
    ("arm", "schedule", "told"),
    [
        ({}, {}, None),
        ({"strategy": "entropy", "query_model": SMALL}, {}, None),
        ({"strategy": "entropy"}, {}, r"arms\.0 \(a\): schedule\.scored_rounds = \"last\" .* give it a query_model"),
        ({"strategy": "core_set"}, {}, "it chooses by that model in every round"),
        ({}, {"plateau_rounds": 2}, "plateau_rounds needs the score of every round"),
    ],
)
def test_only_arms_that_choose_without_the_model_are_scored_at_the_end_alone(arm, schedule, told):
    document = study(**arm)
    document["schedule"] |= {"scored_rounds": "last"} | schedule
    if told is None:
        assert parse_study(document).schedule.scored_rounds == "last"
    else:
        with pytest.raises(ConfigError, match=told):
            parse_study(document)
