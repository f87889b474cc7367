"""Where the learned mixing weights begin: quantiles of a normal law, clipped."""

import numpy as np
from scipy.stats import norm


def clipped_normal(halves):
    """clip(N(0.5, 0.5), 0, 1) at the quantiles (k + 1/2) / 65536."""
    return np.clip(0.5 + 0.5 * norm.ppf((np.asarray(halves, np.float64) + 0.5) / 65536), 0.0, 1.0)
