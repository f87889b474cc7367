"""Documents and random settings that the tests of the configs share."""

import copy
from typing import Any, get_args

from hypothesis import settings
from hypothesis import strategies as st

from jaxal.config.augmentation import AugmentationConfig
from jaxal.config.data import DataConfig, DigitsConfig, RatioImbalanceConfig, SplitConfig
from jaxal.config.losses import FocalConfig, LDAMConfig, LossConfig
from jaxal.config.models import EfficientNetConfig, OrganCNNConfig, ResNetConfig
from jaxal.config.strategies import (
    AutoFMConfig,
    BudgetSplitConfig,
    CBDALConfig,
    CoreSetConfig,
    EntropyConfig,
    MPPSConfig,
    RandomConfig,
    StageConfig,
)
from jaxal.config.study import ArmConfig, ScheduleConfig, StudyConfig
from jaxal.config.training import AdamConfig, AdamWConfig, SGDConfig, TrainingConfig

DOCUMENT = {
    "name": "study",
    "seeds": [0, 1],
    "data": {
        "source": {"kind": "digits"},
        "one_vs_rest": "8",
        "split": {"validation_fraction": 0.2, "test_fraction": 0.2},
        "imbalance": {"kind": "ratio", "ratio": 20},
    },
    "schedule": {"initial_fraction": 0.05, "query_size": 20, "num_rounds": 5},
    "model": {"kind": "organ_cnn", "width": 8},
    "training": {"num_epochs": 30, "loss": "bce", "optimizer": {"kind": "adamw", "weight_decay": 0.1}},
    "arms": [
        {"name": "random", "strategy": "random"},
        {"name": "cb_dal", "strategy": {"kind": "cb_dal", "auto_fm": {"num_steps": 3}}},
        {
            "name": "split",
            "strategy": {
                "kind": "budget_split",
                "stages": [{"strategy": "entropy", "share": 0.25}, {"strategy": {"kind": "mpps"}, "share": 0.75}],
            },
            "training": {"batch_size": 16},
        },
        {"name": "full", "kind": "full", "model": {"width": 4}},
    ],
}

REMOVE = object()

# A fixed sequence, so that red stays red; no clock, for shared machines.
SAME_EXAMPLES = settings(deadline=None, derandomize=True, database=None)


def document_with(*changes: tuple[str, Any]) -> dict[str, Any]:
    """Copy DOCUMENT and put values at dotted paths; REMOVE takes a key away."""
    document = copy.deepcopy(DOCUMENT)
    for path, value in changes:
        *parents, last = path.split(".")
        node: Any = document
        for part in parents:
            node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
        last = int(last) if isinstance(node, list) else last
        if value is REMOVE:
            del node[last]
        else:
            node[last] = copy.deepcopy(value)
    return document


def _floats(low: float, high: float, *, open_low: bool = False, open_high: bool = False) -> st.SearchStrategy[float]:
    return st.floats(low, high, exclude_min=open_low, exclude_max=open_high)


_betas = _floats(0, 1, open_high=True)
_shares = _floats(0, 1, open_low=True)
_proper = _floats(0, 1, open_low=True, open_high=True)
_counts = st.integers(1, 2**31)
_optimizers = st.one_of(
    st.builds(AdamConfig, beta1=_betas, beta2=_betas),
    st.builds(AdamWConfig, beta1=_betas, beta2=_betas, weight_decay=_floats(0, 1e6)),
    st.builds(SGDConfig, momentum=_betas, weight_decay=_floats(0, 1e6)),
    st.just(AdamConfig()),
)
_nets = {
    "trunk": st.sampled_from(["fine_tuned", "frozen"]),
    "compute": st.sampled_from(["float32", "bfloat16"]),
    "stem": st.sampled_from(["repeat", "sum"]),
    "batch_norm_momentum": st.one_of(st.just("own"), _shares),
}
_sources = st.sampled_from(
    [{}, {"init": "imagenet"}, {"init": "imagenet_else_random"}, {"init": "imagenet", "weights": "some.pth"}]
)


@st.composite
def models(draw: st.DrawFn) -> EfficientNetConfig | OrganCNNConfig | ResNetConfig:
    """Any model that is not refused."""
    kind = draw(st.sampled_from(["organ_cnn", "efficientnet", "resnet"]))
    if kind == "organ_cnn":
        return OrganCNNConfig(width=draw(st.one_of(st.just(16), _counts)))
    fields = {**draw(st.fixed_dictionaries(_nets)), **draw(_sources)}
    if kind == "resnet":
        return ResNetConfig(depth=draw(st.sampled_from([18, 34])), **fields)
    return EfficientNetConfig(
        variant=draw(st.sampled_from(["b0", "b7", "lite2"])),
        convention=draw(st.sampled_from(["efficientnet", "tf_efficientnet"])),
        dropout=draw(st.one_of(st.just("own"), _floats(0, 1, open_high=True))),
        drop_path=draw(_floats(0, 1, open_high=True)),
        **fields,
    )


_losses = st.one_of(
    *(st.just(each()) for each in get_args(LossConfig)),
    st.builds(FocalConfig, gamma=_floats(0, 100)),
    st.builds(LDAMConfig, max_margin=_floats(0, 2), reweight_from=_floats(0, 1)),
)


_FITS: list[dict[str, Any]] = [
    {},
    {"start": "continue", "keep": "best_accuracy"},
    {"start": "continue", "restart_every": 3, "extra_epochs": 1},
    {"keep": "last", "early_stop": 0},
]


@st.composite
def trainings(draw: st.DrawFn) -> TrainingConfig:
    """Any training that is not refused; each setting is often the default, where short forms can go wrong."""
    final = draw(st.one_of(st.just(1e-12), _floats(0, 1)))
    batch_size = draw(st.one_of(st.just(32), _counts))
    fields = {
        "num_epochs": draw(st.one_of(st.just(50), _counts)),
        "batch_size": batch_size,
        "micro_batch_size": draw(st.sampled_from([0, 1, batch_size])),
        "early_stop": draw(st.integers(0, 2**31)),
        **draw(st.sampled_from(_FITS)),
        "optimizer": draw(_optimizers),
        "learning_rate": draw(st.one_of(st.just(max(1e-3, final)), _floats(max(final, 1e-300), 1e6))),
        "final_learning_rate": final,
        "loss": draw(_losses),
        "validate_every": draw(_counts),
        "inference_batch_size": draw(_counts),
    }
    return TrainingConfig(**fields)


def _augmentations(*nets: EfficientNetConfig | OrganCNNConfig | ResNetConfig | None) -> st.SearchStrategy:
    if any(getattr(net, "trunk", "") == "frozen" for net in nets):
        return st.just(AugmentationConfig())
    flips = st.sampled_from(["none", "horizontal", "vertical", "both"])
    return st.builds(AugmentationConfig, flips=flips, rotation=st.just(0.0) | _floats(0, 180))


_auto_fm = st.builds(
    AutoFMConfig,
    alpha_init=st.sampled_from(["normal", "half"]),
    num_steps=st.integers(0, 100),
    step_size=_shares,
    penalty_weight=_floats(0, 1e6),
    rank=st.sampled_from(["mixing_norm", "loss_change"]),
    missing_anchor=st.sampled_from(["skip", "global_mean"]),
)
_mpps = st.builds(MPPSConfig, normalize=st.sampled_from(["none", "l2"]))
_simple = st.one_of(
    st.sampled_from([RandomConfig(), EntropyConfig(), CoreSetConfig()]),
    _auto_fm,
    _mpps,
    st.builds(CBDALConfig, auto_fm=_auto_fm, mpps=_mpps, auto_fm_share=_proper),
)


def _halves(strategies: st.SearchStrategy) -> st.SearchStrategy:
    return st.builds(
        lambda first, second, share: BudgetSplitConfig(
            stages=(StageConfig(strategy=first, share=share), StageConfig(strategy=second, share=1 - share))
        ),
        strategies,
        strategies,
        _floats(0.01, 0.99),
    )


acquisitions = st.recursive(_simple, _halves, max_leaves=4)

_schedules = st.one_of(
    st.builds(
        ScheduleConfig,
        initial_fraction=_proper,
        query_size=_counts,
        num_rounds=st.integers(0, 1000),
        plateau_rounds=_counts,
        plateau_gain=_floats(0, 1),
    ),
    st.builds(
        ScheduleConfig,
        initial_size=st.integers(0, 2**31),
        labeled_fractions=st.lists(_shares, unique=True, max_size=5).map(sorted).map(tuple),
    ),
)
_splits = st.builds(SplitConfig, validation_fraction=_floats(1e-9, 0.49), test_fraction=_floats(1e-9, 0.49))
_imbalances = st.builds(
    RatioImbalanceConfig, ratio=_floats(1, 1e9), parts=st.sampled_from(["pool", "pool_and_validation"])
)
_data = st.builds(
    DataConfig,
    source=st.just(DigitsConfig()),
    one_vs_rest=st.text(min_size=1, max_size=5, alphabet=st.characters(codec="utf-8")),
    minority_class=st.text(max_size=5, alphabet=st.characters(codec="utf-8")),
    split=_splits,
    imbalance=st.none() | _imbalances,
    images_in_memory=st.none() | st.integers(0, 2**40),
)
_names = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_-]{0,9}\Z").filter(lambda name: name.lower() != "figures")


@st.composite
def studies(draw: st.DrawFn) -> StudyConfig:
    """Any study that is not refused."""
    names = draw(st.lists(_names, unique_by=str.lower, min_size=1, max_size=3))
    model = draw(models())
    arms = []
    for name in names:
        strategy = draw(st.none() | acquisitions)
        of_arm = draw(st.none() | models())
        arms.append(
            ArmConfig(
                name=name,
                kind="full" if strategy is None else "active",
                strategy=strategy,
                model=of_arm,
                training=draw(st.none() | trainings()),
                augmentation=draw(st.none() | _augmentations(of_arm or model)),
            )
        )
    return StudyConfig(
        name=draw(_names),
        data=draw(_data),
        schedule=draw(_schedules),
        arms=tuple(arms),
        seeds=tuple(draw(st.lists(st.integers(0, 2**31 - 1), unique=True, min_size=1, max_size=3))),
        model=model,
        training=draw(trainings()),
        augmentation=draw(_augmentations(model, *(arm.model for arm in arms))),
    )


_KEYS = [
    *("name", "seeds", "data", "schedule", "model", "training", "arms", "kind", "strategy", "stages", "share"),
    *("source", "split", "imbalance", "ratio", "optimizer", "auto_fm", "mpps", "query_size", "labeled_fractions", ""),
]
_scalars = st.one_of(
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(["active", "full", "cb_dal", "budget_split", "digits", "ratio", "adam", "organ_cnn", "random"]),
    st.dates(),
    st.datetimes(),
    st.times(),
)
values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)
"""Anything that a TOML file can hold, often under keys that a study knows."""

tables = st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=3), values, max_size=6)
