"""CB-DAL: class-balanced deep active learning by Auto-FM and MPPS (Lin et al., MICCAI 2024)."""

import functools

from jaxal.config.strategies import CBDALConfig
from jaxal.strategies.auto_fm import auto_fm
from jaxal.strategies.budget_split import budget_split
from jaxal.strategies.mpps import mpps
from jaxal.strategies.strategy import Strategy

__all__ = ["cb_dal"]


@functools.cache
def cb_dal(config: CBDALConfig, *, num_classes: int) -> Strategy:
    """Let Auto-FM take the first ⌈Q/2⌉ picks and MPPS the rest from what is left."""
    stages = (
        (auto_fm(config.auto_fm, num_classes=num_classes), config.auto_fm_share),
        (mpps(config.mpps, num_classes=num_classes), 1 - config.auto_fm_share),
    )
    return budget_split(stages, name="cb_dal")
