"""The table that says of each strategy its paper, its needs and its cost."""

from typing import NamedTuple

from jaxal.config import strategies as configs

__all__ = ["STRATEGIES", "StrategyEntry", "needs_of"]


class StrategyEntry(NamedTuple):
    """A row of the strategy table."""

    config: type
    paper: str
    needs: tuple[str, ...]  # fields of AcquisitionInputs beyond the pool and its embeddings
    cost: str  # N, D, C, S, M, Q as in jaxal.typing; L labeled


STRATEGIES: dict[str, StrategyEntry] = {
    "random": StrategyEntry(configs.RandomConfig, "–", (), "N log N"),
    "entropy": StrategyEntry(configs.EntropyConfig, "Shannon 1948; Settles 2009", ("logits",), "NC + N log N"),
    "margin": StrategyEntry(configs.MarginConfig, "Scheffer et al. 2001; Settles 2009", ("logits",), "NC + N log N"),
    "least_confidence": StrategyEntry(
        configs.LeastConfidenceConfig, "Lewis & Gale 1994; Settles 2009", ("logits",), "NC + N log N"
    ),
    "bald": StrategyEntry(
        configs.BALDConfig, "Houlsby et al. 2011; Gal et al., ICML 2017", ("mc_logits",), "MNC + N log N"
    ),
    "batch_bald": StrategyEntry(
        configs.BatchBALDConfig, "Kirsch et al., NeurIPS 2019", ("mc_logits",), "MNC + Q·MC·configurations·candidates"
    ),
    "core_set": StrategyEntry(configs.CoreSetConfig, "Sener & Savarese, ICLR 2018", (), "(L + Q)ND"),
    "badge": StrategyEntry(configs.BADGEConfig, "Ash et al., ICLR 2020", ("logits",), "QN(C + D)"),
    "alfa_mix": StrategyEntry(
        configs.ALFAMixConfig, "Parvaneh et al., CVPR 2022", ("logits", "head"), "NCD + k-means QND"
    ),
    "auto_fm": StrategyEntry(
        configs.AutoFMConfig, "Lin et al., MICCAI 2024, Eq. 1-4", ("logits", "head"), "steps·NC²D; closed_form NC²D"
    ),
    "mpps": StrategyEntry(
        configs.MPPSConfig, "Lin et al., MICCAI 2024, Eq. 5", (), "NCD; (L + Q)ND where a class is missing"
    ),
    "cb_dal": StrategyEntry(configs.CBDALConfig, "Lin et al., MICCAI 2024", ("logits", "head"), "auto_fm + mpps"),
    "diversified_entropy": StrategyEntry(
        configs.DiversifiedEntropyConfig, "Aggarwal et al., WACV 2020", ("source_logits",), "NS + N log N"
    ),
    "diversified_margin": StrategyEntry(
        configs.DiversifiedMarginConfig, "Aggarwal et al., WACV 2020", ("source_logits",), "NS + N log N"
    ),
    "diversified_least_confidence": StrategyEntry(
        configs.DiversifiedLeastConfidenceConfig, "Aggarwal et al., WACV 2020", ("source_logits",), "NS + N log N"
    ),
    "typiclust": StrategyEntry(
        configs.TypiClustConfig, "Hacohen et al., ICML 2022", (), "k-means (L + Q)ND + QN²D/(L + Q)"
    ),
    "class_deficit": StrategyEntry(configs.ClassDeficitConfig, "Bengar et al., WACV 2022", ("logits",), "QNC"),
    "balanced": StrategyEntry(
        configs.BalancedConfig, "Aggarwal et al., WACV 2020, Eq. 8-9", (), "its base + NCD + QNC"
    ),
    "budget_split": StrategyEntry(configs.BudgetSplitConfig, "composition", (), "the sum of its stages"),
}


def needs_of(strategy: configs.StrategyConfig) -> frozenset[str]:
    """List what a strategy needs beyond the pool and its embeddings; of a composition, what its parts do."""
    if isinstance(strategy, configs.BalancedConfig):
        return needs_of(strategy.base)
    if isinstance(strategy, configs.BudgetSplitConfig):
        return frozenset().union(*(needs_of(stage.strategy) for stage in strategy.stages))
    return frozenset(STRATEGIES[str(strategy.__struct_config__.tag)].needs)
