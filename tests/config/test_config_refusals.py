"""Everything that a config refuses: each message names the file, the place, and what is wrong there."""

import contextlib

import msgspec
import pytest
from config_documents import REMOVE, SAME_EXAMPLES, document_with, tables, values
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxal.config.data import DataConfig, DigitsConfig
from jaxal.config.reading import parse_study, recheck_study
from jaxal.config.strategies import AutoFMConfig, BudgetSplitConfig, MPPSConfig, RandomConfig, StageConfig
from jaxal.config.study import ArmConfig, ScheduleConfig, StudyConfig
from jaxal.config.training import TrainingConfig
from jaxal.errors import ConfigError


def refusal(document: dict) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_study(document, origin="some.toml")
    message = str(caught.value)
    assert message.startswith("some.toml: ")
    return message.removeprefix("some.toml: ")


def test_the_document_of_these_tests_is_accepted():
    study = parse_study(document_with())
    assert [arm.name for arm in study.arms] == ["random", "cb_dal", "split", "full"]
    assert study.data.imbalance.ratio == 20
    assert study.seeds == (0, 1)


@pytest.mark.parametrize(
    ("path", "value", "nearest"),
    [
        ("seed", [0], "seeds"),
        ("data.one_v_rest", "8", "one_vs_rest"),
        ("data.split.validation_fractions", 0.1, "validation_fraction"),
        ("data.imbalance.ratios", 2, "ratio"),
        ("schedule.query_sizes", 3, "query_size"),
        ("model.widht", 8, "width"),
        ("training.epochs", 3, "num_epochs"),
        ("training.optimizer.weight_decy", 0.1, "weight_decay"),
        ("arms.0.strateg", "random", "strategy"),
        ("arms.2.training.batchsize", 4, "batch_size"),
        ("arms.2.augmentation.flip", "both", "flips"),
        ("arms.2.training.optimizer.beta_1", 0.5, "beta1"),
        ("arms.3.model.widths", 4, "width"),
        ("arms.1.strategy.auto_fm_shares", 0.5, "auto_fm_share"),
        ("arms.1.strategy.auto_fm.nmu_steps", 4, "num_steps"),
        ("arms.1.strategy.mpps.normalise", "l2", "normalize"),
        ("arms.2.strategy.stage", [], "stages"),
        ("arms.2.strategy.stages.1.shares", 1, "share"),
        ("arms.2.strategy.stages.1.strategy.normalise", "l2", "normalize"),
    ],
)
def test_unknown_key_is_named_by_path_with_the_nearest_known(path, value, nearest):
    assert f"unknown key {path} (did you mean {nearest}?)" in refusal(document_with((path, value)))


def test_all_unknown_keys_are_listed_at_once_and_far_ones_with_what_is_known():
    message = refusal(document_with(("model.zzz", 1), ("arms.0.strategy", {"kind": "random", "zzz": 1}), ("qqq", 1)))
    assert "unknown key model.zzz (known are width)" in message
    assert "unknown key arms.0.strategy.zzz (there is nothing to set here)" in message
    assert (
        "unknown key qqq (known are arms, augmentation, data, mc_dropout, model, name, query_model, query_training,"
        " schedule, seeds, source_model, training)" in message
    )


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("arms.0.strategy", "cbdal", "arms.0.strategy: unknown kind 'cbdal' (did you mean cb_dal?); known are alfa"),
        ("arms.2.strategy.stages.0.strategy", "entrpy", "unknown kind 'entrpy' (did you mean entropy?)"),
        ("arms.0.strategy", {"kind": ["random"]}, "arms.0.strategy: unknown kind ['random']"),
        ("arms.0.strategy", {"kind": 3}, "arms.0.strategy: unknown kind 3"),
        ("arms.0.strategy", {}, "arms.0.strategy: kind is missing; known are alfa_mix"),
        (
            "arms.2.strategy.stages.0",
            {"strategy": {}, "share": 1},
            "arms.2.strategy.stages.0.strategy: kind is missing",
        ),
        ("data.source.kind", "digit", "data.source: unknown kind 'digit' (did you mean digits?)"),
        ("data.imbalance.kind", "ratios", "data.imbalance: unknown kind 'ratios' (did you mean ratio?)"),
        ("model.kind", "resnets", "model: unknown kind 'resnets' (did you mean resnet?)"),
        ("training.optimizer.kind", "adamww", "training.optimizer: unknown kind 'adamww' (did you mean adamw?)"),
        ("training.optimizer", {"beta1": 0.5}, "training.optimizer: kind is missing; known are adam, adamw"),
        ("arms.0.kind", "activ", "Invalid enum value 'activ' - at `$.arms[0].kind`"),
    ],
)
def test_unknown_kind_is_named_with_those_that_are_known(path, value, expected):
    assert expected in refusal(document_with((path, value)))


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        ("name", 3, "$.name"),
        ("seeds", 0, "$.seeds"),
        ("seeds", [True], "$.seeds[0]"),
        ("seeds", [0.0], "$.seeds[0]"),
        ("seeds", ["0"], "$.seeds[0]"),
        ("data", 3, "$.data"),
        ("data.one_vs_rest", 8.5, "$.data.one_vs_rest"),
        ("data.imbalance", "ratio", "$.data.imbalance"),
        ("schedule", [], "$.schedule"),
        ("schedule.num_rounds", 2.5, "$.schedule.num_rounds"),
        ("schedule.query_size", "20", "$.schedule.query_size"),
        ("model.width", 8.0, "$.model.width"),
        ("training.num_epochs", "10", "$.training.num_epochs"),
        ("training.num_epochs", True, "$.training.num_epochs"),
        ("training.learning_rate", "1e-3", "$.training.learning_rate"),
        ("training.learning_rate", False, "$.training.learning_rate"),
        ("training.optimizer", 7, "$.training.optimizer"),
        ("arms", {"random": {}}, "$.arms"),
        ("arms.0", "random", "$.arms[0]"),
        ("arms.0.strategy", 7, "$.arms[0].strategy"),
        ("arms.2.strategy.stages", {}, "$.arms[2].strategy.stages"),
        ("arms.2.strategy.stages.0.share", "half", "$.arms[2].strategy.stages[0].share"),
        ("arms.2.training", 3, "$.arms[2].training"),
    ],
)
def test_wrong_type_is_refused_at_its_place(path, value, place):
    message = refusal(document_with((path, value)))
    assert f"- at `{place}`" in message
    assert "got" in message


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", ""),
        ("name", "a b"),
        ("name", "../up"),
        ("name", ".hidden"),
        ("name", "-flag"),
        ("arms.0.name", "a/b"),
        ("seeds", []),
        ("seeds", [-1]),
        ("seeds", [2**31]),
        ("arms", []),
        ("data.split.validation_fraction", 0),
        ("data.split.test_fraction", 1),
        ("data.imbalance.ratio", 0.99),
        ("data.imbalance.parts", "test"),
        ("schedule.initial_fraction", 0),
        ("schedule.initial_fraction", 1),
        ("schedule.query_size", 0),
        ("schedule.num_rounds", -1),
        ("model.width", 0),
        ("training.num_epochs", 0),
        ("training.batch_size", 0),
        ("training.learning_rate", 0),
        ("training.final_learning_rate", -1e-9),
        ("training.loss", {"kind": "focal", "gamma": -1}),
        ("training.validate_every", 0),
        ("training.inference_batch_size", 0),
        ("training.micro_batch_size", -1),
        ("training.early_stop", -1),
        ("training.start", "resume"),
        ("augmentation.flips", "left"),
        ("augmentation.rotation", 181),
        ("augmentation.rotation", -1),
        ("schedule.plateau_rounds", 0),
        ("schedule.plateau_gain", -0.1),
        ("training.optimizer.beta1", 1),
        ("training.optimizer.beta2", -0.1),
        ("training.optimizer.weight_decay", -1),
        ("arms.1.strategy.auto_fm_share", 0),
        ("arms.1.strategy.auto_fm_share", 1),
        ("arms.1.strategy.auto_fm.num_steps", -1),
        ("arms.1.strategy.auto_fm.step_size", 0),
        ("arms.1.strategy.auto_fm.penalty_weight", -1),
        ("arms.1.strategy.auto_fm.rank", "norm"),
        ("arms.1.strategy.mpps.normalize", "l1"),
        ("arms.2.strategy.stages", []),
        ("arms.2.strategy.stages.0.share", 0),
        ("arms.2.strategy.stages.0.share", 1.01),
    ],
)
def test_out_of_range_is_refused_at_its_place(path, value):
    place = "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path.split("."))
    assert f"at `${place}" in refusal(document_with((path, value)))


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize(
    "path", ["training.learning_rate", "data.imbalance.ratio", "arms.1.strategy.auto_fm.penalty_weight"]
)
def test_what_is_not_finite_is_refused(path, value):
    refusal(document_with((path, value)))


@pytest.mark.parametrize("name", ["study\n", "figures", "Figures", "config.toml", "results.csv", "environment.json"])
def test_arm_name_that_cannot_be_a_folder_of_its_own_is_refused(name):
    assert "arms" in refusal(document_with(("arms.0.name", name)))


@pytest.mark.parametrize("path", ["name", "data", "schedule", "arms", "data.source", "data.imbalance.ratio"])
def test_missing_setting_is_named(path):
    assert f"missing required field `{path.split('.')[-1]}`" in refusal(document_with((path, REMOVE)))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([("seeds", [3, 3])], "seeds: must differ, got [3, 3]"),
        ([("arms.1.name", "random")], "arms: names must differ"),
        ([("arms.1.name", "RANDOM")], "repeated: RANDOM, random"),
        ([("arms.0.name", "figures")], "arms.0 (figures): the name is taken"),
        ([("arms.0.strategy", REMOVE)], "arms.0 (random): strategy is missing"),
        ([("arms.3.strategy", "random")], "arms.3 (full): an arm of kind full asks nothing"),
        ([("schedule.initial_size", 4)], "schedule: give one of initial_fraction and initial_size"),
        ([("schedule.initial_fraction", REMOVE)], "schedule: give one of initial_fraction and initial_size"),
        ([("schedule.query_size", REMOVE)], "schedule: give either query_size and num_rounds, or labeled_fractions"),
        ([("schedule.num_rounds", REMOVE)], "schedule: give either query_size and num_rounds, or labeled_fractions"),
        (
            [("schedule", {"initial_size": 4})],
            "schedule: give either query_size and num_rounds, or labeled_fractions",
        ),
        ([("schedule.labeled_fractions", [0.2])], "schedule: give either query_size and num_rounds, or"),
        (
            [("schedule.labeled_fractions", [0.2]), ("schedule.query_size", REMOVE)],
            "schedule: give either query_size and num_rounds, or labeled_fractions",
        ),
        (
            [("schedule", {"initial_size": 0, "labeled_fractions": [0.1, 0.3, 0.3]})],
            "schedule.labeled_fractions: must grow, got [0.1, 0.3, 0.3]",
        ),
        ([("data.split", {"validation_fraction": 0.5, "test_fraction": 0.5})], "data.split: "),
        ([("schedule.plateau_gain", 0.01)], "schedule: plateau_gain needs plateau_rounds"),
        (
            [("training.micro_batch_size", 12)],
            "arms.0 (random): training.micro_batch_size = 12 does not divide batch_size = 32",
        ),
        (
            [("arms.2.training.micro_batch_size", 32)],
            "arms.2 (split): training.micro_batch_size = 32 does not divide batch_size = 16",
        ),
        (
            [("arms.0.model", {"kind": "resnet", "depth": 18, "trunk": "frozen"}), ("augmentation.flips", "both")],
            'arms.0 (random): augmentation needs trunk = "fine_tuned"',
        ),
        (
            [
                ("model", {"kind": "resnet", "depth": 18, "trunk": "frozen"}),
                ("arms.1.augmentation.rotation", 5),
                ("arms.3.model", REMOVE),
            ],
            "arms.1 (cb_dal): augmentation needs",
        ),
        ([("training.final_learning_rate", 0.1)], "arms.0 (random): training.final_learning_rate exceeds"),
        ([("arms.2.training.learning_rate", 1e-13)], "arms.2 (split): training.final_learning_rate exceeds"),
        ([("arms.2.strategy.stages.0.share", 0.5)], "arms.2 (split).strategy: the stages' shares sum to 1.25, not 1"),
        (
            [
                (
                    "arms.2.strategy.stages.1.strategy",
                    {"kind": "budget_split", "stages": [{"strategy": "random", "share": 0.5}]},
                )
            ],
            "arms.2 (split).strategy.stages.1: the stages' shares sum to 0.5, not 1",
        ),
    ],
)
def test_contradictions_are_refused(changes, expected):
    assert expected in refusal(document_with(*changes))


def test_contradictions_are_listed_together():
    message = refusal(document_with(("seeds", [3, 3]), ("arms.1.name", "random"), ("schedule.initial_size", 4)))
    assert message.count("; ") >= 2
    assert all(part in message for part in ("seeds: ", "arms: ", "schedule: "))


def study(**changes) -> StudyConfig:
    fields = {
        "name": "study",
        "data": DataConfig(source=DigitsConfig()),
        "schedule": ScheduleConfig(initial_size=10, query_size=5, num_rounds=1),
        "arms": (ArmConfig(name="random", strategy=RandomConfig()),),
    }
    return StudyConfig(**(fields | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "a b"},
        {"name": 3},
        {"name": object()},
        {"seeds": ()},
        {"seeds": (-1,)},
        {"seeds": (1, 1)},
        {"seeds": (True,)},
        {"arms": ()},
        {"arms": (ArmConfig(name="random"),)},
        {"arms": (ArmConfig(name="a", strategy="radnom"),)},
        {"arms": (ArmConfig(name="a", strategy=AutoFMConfig(num_steps=-1)),)},
        {"arms": (ArmConfig(name="a", strategy=MPPSConfig(normalize="l1")),)},
        {
            "arms": (
                ArmConfig(
                    name="a", strategy=BudgetSplitConfig(stages=(StageConfig(strategy=RandomConfig(), share=0.5),))
                ),
            )
        },
        {"schedule": ScheduleConfig()},
        {"schedule": ScheduleConfig(initial_size=-1, query_size=5, num_rounds=1)},
        {"training": TrainingConfig(learning_rate=-1.0)},
        {"training": TrainingConfig(learning_rate=float("nan"))},
        {"training": TrainingConfig(num_epochs=2.5)},
        {"training": {"num_epoch": 3}},
        {"data": None},
    ],
)
def test_recheck_refuses_what_constructors_let_through(changes):
    with pytest.raises(ConfigError, match=r"^config: "):
        recheck_study(study(**changes))


def test_recheck_returns_an_equal_study_and_turns_lists_into_tuples():
    sound = study(training=TrainingConfig(num_epochs=3))
    assert recheck_study(sound) == sound
    lists = study(seeds=[4, 5], arms=[ArmConfig(name="random", strategy=RandomConfig())])
    assert recheck_study(lists) == study(seeds=(4, 5))
    assert isinstance(hash(recheck_study(lists)), int)


def test_configs_are_frozen():
    with pytest.raises(AttributeError):
        study().training.num_epochs = 3
    assert msgspec.structs.replace(study().training, num_epochs=3).num_epochs == 3


@given(tables)
@settings(SAME_EXAMPLES)
def test_garbage_is_refused_and_nothing_but_refused(garbage):
    with pytest.raises(ConfigError):
        parse_study(garbage)


PLACES = [
    *("name", "seeds", "data", "data.source", "data.split", "data.imbalance", "schedule", "model", "training"),
    *("training.optimizer", "arms", "arms.0", "arms.0.strategy", "arms.1.strategy.auto_fm", "arms.2.training"),
    *("arms.2.strategy.stages", "arms.2.strategy.stages.0", "arms.2.strategy.stages.0.strategy", "arms.3.model"),
]


@given(st.sampled_from(PLACES), values)
@settings(SAME_EXAMPLES)
def test_garbage_anywhere_is_accepted_or_refused_as_a_config_error(path, garbage):
    accepted = None
    with contextlib.suppress(ConfigError):
        accepted = parse_study(document_with((path, garbage)))
    assert accepted is None or recheck_study(accepted) == accepted
