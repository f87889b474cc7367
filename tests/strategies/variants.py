"""Every strategy of the table, with every option of theirs taken at least once."""

import pytest

from jaxal.config import strategies as configs

AUTO_FM = {
    "auto_fm": configs.AutoFMConfig(),
    "auto_fm, half": configs.AutoFMConfig(alpha_init="half"),
    "auto_fm, no steps": configs.AutoFMConfig(num_steps=0),
    "auto_fm, loss_change, larger steps": configs.AutoFMConfig(rank="loss_change", num_steps=8, step_size=0.3),
    "auto_fm, global_mean, no penalty": configs.AutoFMConfig(missing_anchor="global_mean", penalty_weight=0.0),
    "auto_fm, closed_form": configs.AutoFMConfig(alpha="closed_form"),
    "auto_fm, fixed": configs.AutoFMConfig(alpha="fixed"),
    "auto_fm, fixed, two of them": configs.AutoFMConfig(alpha="fixed", fixed_alphas=(0.25, 0.5)),
    "auto_fm, half, k_means": configs.AutoFMConfig(alpha_init="half", diversify="k_means"),
    "auto_fm, half, k_center": configs.AutoFMConfig(alpha_init="half", diversify="k_center", candidates_per_pick=2),
}

MPPS = {
    "mpps": configs.MPPSConfig(),
    "mpps, l2": configs.MPPSConfig(normalize="l2"),
    "mpps, round_robin": configs.MPPSConfig(minority="round_robin"),
}

BALANCED = {
    "balanced, entropy": configs.BalancedConfig(base=configs.EntropyConfig()),
    "balanced, core_set, no denominator": configs.BalancedConfig(base=configs.CoreSetConfig(), denominator="none"),
    "balanced, cb_dal": configs.BalancedConfig(
        base=configs.CBDALConfig(auto_fm=configs.AutoFMConfig(alpha_init="half"))
    ),
}

VARIANTS = {
    "random": configs.RandomConfig(),
    "entropy": configs.EntropyConfig(),
    "entropy, inverted": configs.EntropyConfig(inverted=True),
    "margin": configs.MarginConfig(),
    "margin, inverted": configs.MarginConfig(inverted=True),
    "least_confidence": configs.LeastConfidenceConfig(),
    "least_confidence, inverted": configs.LeastConfidenceConfig(inverted=True),
    "bald": configs.BALDConfig(),
    "batch_bald": configs.BatchBALDConfig(),
    "batch_bald, few configurations": configs.BatchBALDConfig(num_configurations=16),
    "batch_bald, few candidates": configs.BatchBALDConfig(num_candidates=3),
    "core_set": configs.CoreSetConfig(),
    "badge": configs.BADGEConfig(),
    "alfa_mix": configs.ALFAMixConfig(),
    "alfa_mix, finer caps": configs.ALFAMixConfig(cap_step=0.1),
    "alfa_mix, fixed": configs.ALFAMixConfig(alpha="fixed"),
    **AUTO_FM,
    **MPPS,
    "cb_dal": configs.CBDALConfig(),
    "cb_dal, more auto_fm": configs.CBDALConfig(auto_fm=configs.AutoFMConfig(alpha_init="half"), auto_fm_share=0.7),
    "diversified_entropy": configs.DiversifiedEntropyConfig(),
    "diversified_entropy, uncertain": configs.DiversifiedEntropyConfig(inverted=False),
    "diversified_margin": configs.DiversifiedMarginConfig(),
    "diversified_margin, uncertain": configs.DiversifiedMarginConfig(inverted=False),
    "diversified_least_confidence": configs.DiversifiedLeastConfidenceConfig(),
    "diversified_least_confidence, uncertain": configs.DiversifiedLeastConfidenceConfig(inverted=False),
    "typiclust": configs.TypiClustConfig(),
    "typiclust, few": configs.TypiClustConfig(max_clusters=4, num_neighbors=3),
    "class_deficit": configs.ClassDeficitConfig(),
    "class_deficit, margin": configs.ClassDeficitConfig(score="margin", weight=3.0),
    "class_deficit, least_confidence": configs.ClassDeficitConfig(score="least_confidence"),
    **BALANCED,
    "budget_split, two stages": configs.BudgetSplitConfig(
        stages=(
            configs.StageConfig(strategy=configs.CoreSetConfig(), share=0.4),
            configs.StageConfig(strategy=configs.RandomConfig(), share=0.6),
        )
    ),
    "budget_split, three stages": configs.BudgetSplitConfig(
        stages=(
            configs.StageConfig(strategy=configs.EntropyConfig(), share=0.5),
            configs.StageConfig(strategy=configs.MPPSConfig(), share=0.3),
            configs.StageConfig(strategy=configs.EntropyConfig(), share=0.2),
        )
    ),
}

# Settings of functions that other variants compile and run too: tried with `-m slow` only.
REPEATED = {
    "least_confidence, inverted",
    "margin, inverted",
    "batch_bald, few configurations",
    "batch_bald, few candidates",
    "alfa_mix, finer caps",
    "alfa_mix, fixed",
    "auto_fm, half",
    "auto_fm, half, k_means",
    "auto_fm, no steps",
    "auto_fm, loss_change, larger steps",
    "auto_fm, global_mean, no penalty",
    "auto_fm, fixed, two of them",
    "mpps, l2",
    "cb_dal, more auto_fm",
    "diversified_margin, uncertain",
    "diversified_least_confidence",
    "diversified_least_confidence, uncertain",
    "typiclust, few",
    "class_deficit, margin",
    "class_deficit, least_confidence",
    "balanced, core_set, no denominator",
    "balanced, cb_dal",
    "budget_split, three stages",
}


# One of each way to choose: for what compiles every strategy once more.
FEW = {"margin", "core_set", "badge", "alfa_mix", "cb_dal", "diversified_entropy", "balanced, entropy"}


def each_variant(*without: str) -> list:
    """Give all names for `parametrize`, the repeated ones marked slow."""
    names = [name for name in VARIANTS if name not in without]
    return [pytest.param(name, marks=pytest.mark.slow) if name in REPEATED else name for name in names]


def few_variants() -> list:
    """Give all names for `parametrize`, all but a few marked slow."""
    assert set(VARIANTS) >= FEW
    return [name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in VARIANTS]
