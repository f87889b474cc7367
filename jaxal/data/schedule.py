"""How many labels are bought in each round, known before the first."""

import numpy as np

from jaxal.config.study import ScheduleConfig
from jaxal.data.dataset import Part
from jaxal.data.splits import choose_per_class, draw_priorities, round_half_up
from jaxal.pool import UNLABELED

__all__ = ["initial_labels", "query_sizes"]


def initial_labels(config: ScheduleConfig, pool: Part, num_classes: int, seed: int) -> np.ndarray:
    """Choose the samples that are labeled from the start: int32 [N], UNLABELED elsewhere.

    With initial_fraction, a share of each class, rounded half up, at least one of a class that is there at all; with
    initial_size, so many drawn uniformly (all, where the pool is smaller), so a rare class may have none.
    """
    priorities = draw_priorities(len(pool.labels), seed, "initial")
    if config.initial_fraction is not None:
        counts = np.bincount(pool.labels, minlength=num_classes)
        wanted = np.array([max(round_half_up(count * config.initial_fraction), 1) for count in counts])
        chosen = choose_per_class(pool.labels, wanted, priorities)
    else:
        chosen = np.argsort(priorities)[: config.initial_size]
    labels = np.full(len(pool.labels), UNLABELED, np.int32)
    labels[chosen] = pool.labels[chosen]
    return labels


def query_sizes(config: ScheduleConfig, num_pool: int, num_initial: int) -> tuple[int, ...]:
    """Plan the labels to buy in each round; once the pool is used up, the rounds that are left buy none.

    With labeled_fractions each round buys up to its share of the pool, rounded half up.
    """
    if config.labeled_fractions is not None:
        targets = [round_half_up(fraction * num_pool) for fraction in config.labeled_fractions]
    else:
        query_size, num_rounds = config.query_size or 0, config.num_rounds or 0
        targets = [num_initial + query_size * (number + 1) for number in range(num_rounds)]
    sizes, num_labeled = [], num_initial
    for target in targets:
        sizes.append(max(min(target, num_pool) - num_labeled, 0))
        num_labeled += sizes[-1]
    return tuple(sizes)
