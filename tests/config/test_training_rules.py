"""What settings of training are refused together, and that each is a word of an arm."""

import pytest

from jaxal.config.reading import parse_study
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
    ],
)
def test_what_goes_together_is_read(arm):
    resolved = parse_study(study(**arm)).arms[0]
    for table in ("training", "augmentation"):
        for name, value in arm.get(table, {}).items():
            if name != "loss":
                assert getattr(getattr(resolved, table), name) == value
