"""The settings of a study (arms × seeds), and of one experiment in it."""

from typing import Annotated, Literal

from msgspec import Meta

from jaxal.config.augmentation import AugmentationConfig
from jaxal.config.data import DataConfig
from jaxal.config.models import ModelConfig, OrganCNNConfig
from jaxal.config.strategies import StrategyConfig
from jaxal.config.struct import ConfigStruct
from jaxal.config.training import TrainingConfig

__all__ = ["NAME_PATTERN", "ArmConfig", "ExperimentConfig", "MCDropoutConfig", "ScheduleConfig", "StudyConfig"]

NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9._-]*\Z"
Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
Seed = Annotated[int, Meta(ge=0, lt=2**31)]


class ScheduleConfig(ConfigStruct, frozen=True):
    """How many labels are bought when.

    Fields:
        initial_fraction: share of each class of the pool that is labeled at the start, at least one of each (this uses
            labels that nobody has bought yet, as the papers do).
        initial_size: instead of it, so many samples drawn uniformly, whatever their class; 0 is allowed.
        query_size, num_rounds: labels per query, and how many queries.
        labeled_fractions: instead of both, the labeled shares of the pool to reach, one query each.
        reveal_every: of each query so many labels are asked at a time, and revealed before the next are chosen; the
            model is fitted once the query is complete. By default the whole query is asked at once. An arm may say
            otherwise.
        plateau_rounds: nothing more is asked once the best validation AUROC has not grown by more than plateau_gain for
            so many rounds; rounds whose AUROC is not defined do not count. By default the whole budget is spent.
        plateau_gain: AUROC, absolute.
        scored_rounds: "last" fits and scores the model after the last round only: only where it does not choose, that
            is in arms with a query model, of kind "full", or with strategy "random".
    """

    initial_fraction: Annotated[float, Meta(gt=0, lt=1)] | None = None
    initial_size: Annotated[int, Meta(ge=0)] | None = None
    query_size: Annotated[int, Meta(ge=1)] | None = None
    num_rounds: Annotated[int, Meta(ge=0)] | None = None
    labeled_fractions: tuple[Annotated[float, Meta(gt=0, le=1)], ...] | None = None
    reveal_every: Annotated[int, Meta(ge=1)] | None = None
    plateau_rounds: Annotated[int, Meta(ge=1)] | None = None
    plateau_gain: Annotated[float, Meta(ge=0, le=1)] = 0.0
    scored_rounds: Literal["all", "last"] = "all"


class MCDropoutConfig(ConfigStruct, frozen=True):
    """Monte-Carlo dropout on the input of the last layer, for strategies that need draws of the model.

    Fields:
        num_draws: M.
        rate: probability that an embedding coordinate is dropped.
    """

    num_draws: Annotated[int, Meta(ge=1, le=10_000)] = 20
    rate: Annotated[float, Meta(gt=0, lt=1)] = 0.5


class ArmConfig(ConfigStruct, frozen=True):
    """One arm of a study.

    Fields:
        name: unique; names its folder.
        kind: "active" asks by its strategy; "full" trains once on every label of the pool (the upper bound).
        strategy: of an active arm.
        reveal_every: instead of the schedule's.
        model, query_model, training, query_training, augmentation: what this arm changes; in a config file a table
            here overrides the study's, key by key, and a word for a model stands for a table (see MODEL_WORDS).
    """

    name: Name
    kind: Literal["active", "full"] = "active"
    strategy: StrategyConfig | None = None
    reveal_every: Annotated[int, Meta(ge=1)] | None = None
    model: ModelConfig | None = None
    query_model: ModelConfig | None = None
    training: TrainingConfig | None = None
    query_training: TrainingConfig | None = None
    augmentation: AugmentationConfig | None = None


class StudyConfig(ConfigStruct, frozen=True):
    """A study: every arm with every seed, on the same splits and the same initial labels for the same seed.

    Fields:
        query_model: a model, smaller as a rule, that is fitted and asks in place of `model`, which is trained on the
            same labels from its own start in every round, and scored; checkpoints hold the query model. Where absent,
            `model` asks itself.
        query_training: how the query model is trained; in a config file a table that overrides `training`, key by key,
            and an arm's overrides its own `training`, then the study's table here. Where absent, `training`.
        source_model: a pretrained network with classes of its own, whose logits strategies may ask by: it needs no
            label here, and is never trained. A word or a table as of `model`; its init is "imagenet" by default.
    """

    name: Name
    data: DataConfig
    schedule: ScheduleConfig
    arms: Annotated[tuple[ArmConfig, ...], Meta(min_length=1)]
    seeds: Annotated[tuple[Seed, ...], Meta(min_length=1)] = (0,)
    model: ModelConfig = OrganCNNConfig()
    query_model: ModelConfig | None = None
    source_model: ModelConfig | None = None
    training: TrainingConfig = TrainingConfig()
    query_training: TrainingConfig | None = None
    augmentation: AugmentationConfig = AugmentationConfig()
    mc_dropout: MCDropoutConfig = MCDropoutConfig()


class ExperimentConfig(ConfigStruct, frozen=True):
    """One arm with one seed."""

    data: DataConfig
    schedule: ScheduleConfig
    model: ModelConfig
    training: TrainingConfig
    augmentation: AugmentationConfig
    mc_dropout: MCDropoutConfig
    strategy: StrategyConfig | None
    seed: Seed
    query_model: ModelConfig | None = None  # asks in place of `model`
    query_training: TrainingConfig | None = None  # of the query model, where that is not `training`
    source_model: ModelConfig | None = None  # only where the strategy asks by its logits
