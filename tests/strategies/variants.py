"""Every strategy of the table, with every option of theirs taken at least once."""

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

AUTO_FM = {
    "auto_fm": AutoFMConfig(),
    "auto_fm, half": AutoFMConfig(alpha_init="half"),
    "auto_fm, no steps": AutoFMConfig(num_steps=0),
    "auto_fm, loss_change, larger steps": AutoFMConfig(rank="loss_change", num_steps=8, step_size=0.3),
    "auto_fm, global_mean, no penalty": AutoFMConfig(missing_anchor="global_mean", penalty_weight=0.0),
}

MPPS = {
    "mpps": MPPSConfig(),
    "mpps, l2": MPPSConfig(normalize="l2"),
}

VARIANTS = {
    "random": RandomConfig(),
    "entropy": EntropyConfig(),
    "core_set": CoreSetConfig(),
    **AUTO_FM,
    **MPPS,
    "cb_dal": CBDALConfig(),
    "cb_dal, more auto_fm": CBDALConfig(auto_fm=AutoFMConfig(alpha_init="half"), auto_fm_share=0.7),
    "budget_split, two stages": BudgetSplitConfig(
        stages=(
            StageConfig(strategy=CoreSetConfig(), share=0.4),
            StageConfig(strategy=RandomConfig(), share=0.6),
        )
    ),
    "budget_split, three stages": BudgetSplitConfig(
        stages=(
            StageConfig(strategy=EntropyConfig(), share=0.5),
            StageConfig(strategy=MPPSConfig(), share=0.3),
            StageConfig(strategy=EntropyConfig(), share=0.2),
        )
    ),
}
