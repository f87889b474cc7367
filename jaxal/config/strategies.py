"""Settings of the acquisition strategies, and the table that says of each its paper, its needs and its cost."""

from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

from jaxal.config.struct import LARGEST, ConfigStruct

__all__ = [
    "STRATEGIES",
    "AutoFMConfig",
    "BudgetSplitConfig",
    "CBDALConfig",
    "CoreSetConfig",
    "EntropyConfig",
    "MPPSConfig",
    "RandomConfig",
    "StageConfig",
    "StrategyConfig",
    "StrategyEntry",
]

Share = Annotated[float, Meta(gt=0, le=1)]


class RandomConfig(ConfigStruct, frozen=True, tag_field="kind", tag="random"):
    """Uniform choice without replacement."""


class EntropyConfig(ConfigStruct, frozen=True, tag_field="kind", tag="entropy"):
    """Largest predictive entropy first."""


class CoreSetConfig(ConfigStruct, frozen=True, tag_field="kind", tag="core_set"):
    """Greedy k-center over the embeddings, the labeled samples as centers."""


class AutoFMConfig(ConfigStruct, frozen=True, tag_field="kind", tag="auto_fm"):
    """Automatic feature mixing with a learned per-dimension α.

    Fields:
        alpha_init: α₀, "normal" = clip(N(0.5, 0.5), 0, 1) by seed and sample, "half" = 0.5 (deterministic).
        num_steps, step_size: sign steps on α.
        penalty_weight: λ of the penalty on mean|α|.
        rank: "mixing_norm" = smallest flipping mix first; "loss_change" = flips first, largest Taylor change (Eq. 3).
        missing_anchor: a class without labels is passed over ("skip") or anchored at the mean of all labeled samples.
    """

    alpha_init: Literal["normal", "half"] = "normal"
    num_steps: Annotated[int, Meta(ge=0)] = 5
    step_size: Share = 0.1
    penalty_weight: Annotated[float, Meta(ge=0, le=LARGEST)] = 1.0
    rank: Literal["mixing_norm", "loss_change"] = "mixing_norm"
    missing_anchor: Literal["skip", "global_mean"] = "skip"


class MPPSConfig(ConfigStruct, frozen=True, tag_field="kind", tag="mpps"):
    """Minority push-pull sampling.

    Fields:
        normalize: "l2" puts embeddings on the unit sphere first, where far outliers cannot pass for prototypes.
    """

    normalize: Literal["none", "l2"] = "none"


class CBDALConfig(ConfigStruct, frozen=True, tag_field="kind", tag="cb_dal"):
    """CB-DAL: Auto-FM takes the first share of the query (rounded up), MPPS the rest from what is left."""

    auto_fm: AutoFMConfig = AutoFMConfig()
    mpps: MPPSConfig = MPPSConfig()
    auto_fm_share: Annotated[float, Meta(gt=0, lt=1)] = 0.5


class StageConfig(ConfigStruct, frozen=True):
    """One stage of a budget split: a strategy and its share of every query."""

    strategy: "StrategyConfig"
    share: Share


class BudgetSplitConfig(ConfigStruct, frozen=True, tag_field="kind", tag="budget_split"):
    """Stages that share each query: every stage chooses from what the stages before it left; shares sum to 1."""

    stages: Annotated[tuple[StageConfig, ...], Meta(min_length=1)]


StrategyConfig = (
    RandomConfig | EntropyConfig | CoreSetConfig | AutoFMConfig | MPPSConfig | CBDALConfig | BudgetSplitConfig
)


class StrategyEntry(NamedTuple):
    """A row of the strategy table."""

    config: type
    paper: str
    needs: tuple[str, ...]  # fields of AcquisitionInputs beyond the pool and its embeddings
    cost: str  # N, D, C, Q as in jaxal.typing; L labeled


STRATEGIES: dict[str, StrategyEntry] = {
    "random": StrategyEntry(RandomConfig, "–", (), "N log N"),
    "entropy": StrategyEntry(EntropyConfig, "Shannon 1948; Settles 2009", ("logits",), "NC + N log N"),
    "core_set": StrategyEntry(CoreSetConfig, "Sener & Savarese, ICLR 2018", (), "(L + Q)ND"),
    "auto_fm": StrategyEntry(AutoFMConfig, "Lin et al., MICCAI 2024, Eq. 1-4", ("logits", "head"), "steps·NC²D"),
    "mpps": StrategyEntry(MPPSConfig, "Lin et al., MICCAI 2024, Eq. 5", (), "NCD; (L + Q)ND where a class is missing"),
    "cb_dal": StrategyEntry(CBDALConfig, "Lin et al., MICCAI 2024", ("logits", "head"), "auto_fm + mpps"),
    "budget_split": StrategyEntry(BudgetSplitConfig, "composition", (), "the sum of its stages"),
}
