"""Settings of the acquisition strategies."""

from typing import Annotated, Literal

from msgspec import Meta

from jaxal.config.struct import LARGEST, ConfigStruct

__all__ = [
    "ALFAMixConfig",
    "AutoFMConfig",
    "BADGEConfig",
    "BALDConfig",
    "BalancedConfig",
    "BatchBALDConfig",
    "BudgetSplitConfig",
    "CBDALConfig",
    "ClassDeficitConfig",
    "CoreSetConfig",
    "DiversifiedEntropyConfig",
    "DiversifiedLeastConfidenceConfig",
    "DiversifiedMarginConfig",
    "EntropyConfig",
    "LeastConfidenceConfig",
    "MPPSConfig",
    "MarginConfig",
    "RandomConfig",
    "StageConfig",
    "StrategyConfig",
    "TypiClustConfig",
]

Share = Annotated[float, Meta(gt=0, le=1)]


class RandomConfig(ConfigStruct, frozen=True, tag_field="kind", tag="random"):
    """Uniform choice without replacement."""


class EntropyConfig(ConfigStruct, frozen=True, tag_field="kind", tag="entropy"):
    """Largest predictive entropy first.

    Fields:
        inverted: smallest first, the most certain (Aggarwal et al., WACV 2020).
        logits_of: "model", or "source" for those of a source model over its own classes.
    """

    inverted: bool = False
    logits_of: Literal["model", "source"] = "model"


class MarginConfig(ConfigStruct, frozen=True, tag_field="kind", tag="margin"):
    """Smallest margin p₁ - p₂ between the two most probable classes first.

    Fields:
        inverted: largest first.
        logits_of: "model", or "source" for those of a source model over its own classes.
    """

    inverted: bool = False
    logits_of: Literal["model", "source"] = "model"


class LeastConfidenceConfig(ConfigStruct, frozen=True, tag_field="kind", tag="least_confidence"):
    """Smallest probability of the predicted class first.

    Fields:
        inverted: largest first.
        logits_of: "model", or "source" for those of a source model over its own classes.
    """

    inverted: bool = False
    logits_of: Literal["model", "source"] = "model"


class BALDConfig(ConfigStruct, frozen=True, tag_field="kind", tag="bald"):
    """Largest mutual information between prediction and model first, by Monte-Carlo dropout on the head."""


class BatchBALDConfig(ConfigStruct, frozen=True, tag_field="kind", tag="batch_bald"):
    """Greedily the largest joint mutual information between the predictions of the query and the model.

    Fields:
        num_configurations: joint outcomes of the picks so far are all counted while C^n is at most so many, and drawn
            (so many of them) beyond.
        num_candidates: only the so many samples of the largest BALD score are searched, as each pick goes over all of
            them and all configurations; 0 searches the whole pool.
    """

    num_configurations: Annotated[int, Meta(ge=1, le=10**6)] = 4096
    num_candidates: Annotated[int, Meta(ge=0)] = 2000


class BADGEConfig(ConfigStruct, frozen=True, tag_field="kind", tag="badge"):
    """k-means++ over the gradients of the last layer."""


class ALFAMixConfig(ConfigStruct, frozen=True, tag_field="kind", tag="alfa_mix"):
    """ALFA-Mix: candidates whose prediction a small mix with an anchor flips, one of each k-means cluster.

    Fields:
        alpha: "closed_form" = the paper's direction of steepest change within a cap that grows; "fixed" = one scalar.
        fixed_alpha: that scalar.
        cap_step: how much the cap grows at a time, up to 1.
    """

    alpha: Literal["closed_form", "fixed"] = "closed_form"
    fixed_alpha: Share = 0.5
    cap_step: Share = 0.2


class TypiClustConfig(ConfigStruct, frozen=True, tag_field="kind", tag="typiclust"):
    """The most typical sample of the largest clusters that no label covers.

    Fields:
        max_clusters: of k-means, at most.
        num_neighbors: whose mean distance is a sample's (a)typicality.
    """

    max_clusters: Annotated[int, Meta(ge=1, le=10**4)] = 500
    num_neighbors: Annotated[int, Meta(ge=1, le=1000)] = 20


class DiversifiedEntropyConfig(ConfigStruct, frozen=True, tag_field="kind", tag="diversified_entropy"):
    """Entropy on the source model's classes, in laps: each predicted class's best, then each one's second best, ….

    Fields:
        inverted: the most certain first (the form that Aggarwal et al. propose).
    """

    inverted: bool = True


class DiversifiedMarginConfig(ConfigStruct, frozen=True, tag_field="kind", tag="diversified_margin"):
    """Margin on the source model's classes, in laps.

    Fields:
        inverted: the most certain first.
    """

    inverted: bool = True


class DiversifiedLeastConfidenceConfig(ConfigStruct, frozen=True, tag_field="kind", tag="diversified_least_confidence"):
    """Least confidence on the source model's classes, in laps.

    Fields:
        inverted: the most certain first.
    """

    inverted: bool = True


class CoreSetConfig(ConfigStruct, frozen=True, tag_field="kind", tag="core_set"):
    """Greedy k-center over the embeddings, the labeled samples as centers."""


class AutoFMConfig(ConfigStruct, frozen=True, tag_field="kind", tag="auto_fm"):
    """Automatic feature mixing.

    Fields:
        alpha: "learned" = per dimension, by sign steps; "closed_form" = the smallest L2 change that flips, no box;
            "fixed" = the scalars of fixed_alphas.
        alpha_init: α₀ of "learned", "normal" = clip(N(0.5, 0.5), 0, 1) by seed and sample, "half" = 0.5
            (deterministic).
        num_steps, step_size: sign steps on α; of "learned".
        penalty_weight: λ of the penalty on mean|α|; of "learned".
        rank: "mixing_norm" = smallest flipping mix first ("fixed": smallest margin first, since the flips of one scalar
            tie); "loss_change" = flips first, largest Taylor change (Eq. 3).
        missing_anchor: a class without labels is passed over ("skip") or anchored at the mean of all labeled samples.
        fixed_alphas: of "fixed"; a sample is a candidate if one of them flips it.
        diversify: "none", or candidates spread over the embeddings by k-means or k-center.
        candidates_per_pick: with diversify, how many of the best per pick are spread.
    """

    alpha: Literal["learned", "closed_form", "fixed"] = "learned"
    alpha_init: Literal["normal", "half"] = "normal"
    num_steps: Annotated[int, Meta(ge=0)] = 5
    step_size: Share = 0.1
    penalty_weight: Annotated[float, Meta(ge=0, le=LARGEST)] = 1.0
    rank: Literal["mixing_norm", "loss_change"] = "mixing_norm"
    missing_anchor: Literal["skip", "global_mean"] = "skip"
    fixed_alphas: Annotated[tuple[Share, ...], Meta(min_length=1)] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    diversify: Literal["none", "k_means", "k_center"] = "none"
    candidates_per_pick: Annotated[int, Meta(ge=1, le=1000)] = 5


class MPPSConfig(ConfigStruct, frozen=True, tag_field="kind", tag="mpps"):
    """Minority push-pull sampling.

    Fields:
        normalize: "l2" puts embeddings on the unit sphere first, where far outliers cannot pass for prototypes.
        minority: "rarest" pulls towards the rarest class alone; "round_robin" takes turns among all classes with fewer
            labels than the mean, rarest first.
    """

    normalize: Literal["none", "l2"] = "none"
    minority: Literal["rarest", "round_robin"] = "rarest"


class CBDALConfig(ConfigStruct, frozen=True, tag_field="kind", tag="cb_dal"):
    """CB-DAL: Auto-FM takes the first share of the query (rounded up), MPPS the rest from what is left."""

    auto_fm: AutoFMConfig = AutoFMConfig()
    mpps: MPPSConfig = MPPSConfig()
    auto_fm_share: Annotated[float, Meta(gt=0, lt=1)] = 0.5


class ClassDeficitConfig(ConfigStruct, frozen=True, tag_field="kind", tag="class_deficit"):
    """Greedy choice by a score and by what the predicted classes of the query lack to equal shares of labels.

    Fields:
        score: of each sample, smaller first.
        weight: λ of the deficit.
    """

    score: Literal["entropy", "margin", "least_confidence"] = "entropy"
    weight: Annotated[float, Meta(ge=0, le=LARGEST)] = 1.0


class BalancedConfig(ConfigStruct, frozen=True, tag_field="kind", tag="balanced"):
    """The balancing step of Aggarwal et al.: the base's choice until the budget left is needed to even out classes.

    Fields:
        base: the strategy whose picks come first.
        denominator: of Eq. 9, "max" = distance to the farthest over-represented centroid, "none" = 1 (the ablation).
    """

    base: "StrategyConfig"
    denominator: Literal["max", "none"] = "max"


class StageConfig(ConfigStruct, frozen=True):
    """One stage of a budget split: a strategy and its share of every query."""

    strategy: "StrategyConfig"
    share: Share


class BudgetSplitConfig(ConfigStruct, frozen=True, tag_field="kind", tag="budget_split"):
    """Stages that share each query: every stage chooses from what the stages before it left; shares sum to 1."""

    stages: Annotated[tuple[StageConfig, ...], Meta(min_length=1)]


StrategyConfig = (
    RandomConfig
    | EntropyConfig
    | MarginConfig
    | LeastConfidenceConfig
    | BALDConfig
    | BatchBALDConfig
    | CoreSetConfig
    | BADGEConfig
    | ALFAMixConfig
    | AutoFMConfig
    | MPPSConfig
    | CBDALConfig
    | DiversifiedEntropyConfig
    | DiversifiedMarginConfig
    | DiversifiedLeastConfidenceConfig
    | TypiClustConfig
    | ClassDeficitConfig
    | BalancedConfig
    | BudgetSplitConfig
)
