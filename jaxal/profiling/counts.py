"""What each strategy cannot do without: bytes read and floating-point operations, counted by hand.

Counted is what the result needs, not what the code happens to do, so that a share of the machine's ceiling below 1 is
room that is left. Compilers' own counts are of no use here: they count the body of a loop once. Everything is float32,
4 bytes; a multiply-add is two operations; exponentials and logarithms count one; sorts, hashes and what is only O(N) or
O(C·D) count nothing, nor do passes that depend on the data beyond the least that there can be.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxal.config import strategies as configs
from jaxal.profiling.sizes import Sizes

__all__ = ["PICKS_PER_PASS", "Work", "count_work"]

FLOAT = 4
# How many greedy picks one pass over the pool can serve: beyond it the arithmetic, not the reading, is the limit.
PICKS_PER_PASS = 128


class Work(NamedTuple):
    """The least there is to do."""

    bytes: int
    flops: int

    def __add__(self, other: tuple) -> "Work":  # that of tuples would string the four numbers together
        """Add bytes to bytes, operations to operations."""
        return Work(self.bytes + other[0], self.flops + other[1])


def count_work(config: configs.StrategyConfig, sizes: Sizes) -> Work:
    """Count the least work of one query of a strategy.

    >>> count_work(configs.CoreSetConfig(), Sizes(1000, 10, 2, 50))
    Work(bytes=80000, flops=2000000)
    """
    return COUNTS[type(config)](config, sizes)


def random_work(config: configs.RandomConfig, sizes: Sizes) -> Work:
    """Read every sample id and label: 8·N bytes, no arithmetic on floats."""
    return Work(2 * FLOAT * sizes.num_rows, 0)


def uncertainty_work(config: Any, sizes: Sizes) -> Work:
    """Read the logits once, 4·N·C bytes; a softmax and its measure are 5·N·C operations."""
    return _logits_pass(sizes.num_rows, sizes.num_classes)


def diversified_work(config: Any, sizes: Sizes) -> Work:
    """As uncertainty, over the source model's classes: 4·N·S bytes, 5·N·S operations."""
    return _logits_pass(sizes.num_rows, sizes.num_source_classes)


def bald_work(config: configs.BALDConfig, sizes: Sizes) -> Work:
    """Read the draws once, 4·M·N·C bytes; softmax, mean and p·log p are 8·M·N·C operations."""
    values = sizes.num_draws * sizes.num_rows * sizes.num_classes
    return Work(FLOAT * values, 8 * values)


def batch_bald_work(config: configs.BatchBALDConfig, sizes: Sizes) -> Work:
    """BALD over the pool where it has more than the n candidates searched. Then for pick j = 1 … Q mix M draws into
    K_j = min(C^(j-1), K) configurations: 2·K_j·M·n·C, and K_j·n·C logarithms of 4 operations; each pick reads the draws
    of the candidates again, 4·M·n·C bytes."""
    num_candidates = min(config.num_candidates or sizes.num_rows, sizes.num_rows)
    values = num_candidates * sizes.num_classes
    flops, num_configurations = 0, 1
    for _ in range(min(sizes.query_size, num_candidates)):
        flops += num_configurations * values * (2 * sizes.num_draws + 4)
        num_configurations = min(num_configurations * sizes.num_classes, config.num_configurations)
    joint = Work(FLOAT * sizes.query_size * sizes.num_draws * values, flops)
    return joint + bald_work(configs.BALDConfig(), sizes) if num_candidates < sizes.num_rows else joint


def core_set_work(config: configs.CoreSetConfig, sizes: Sizes) -> Work:
    """Multiply every row with every labeled one and every pick, 2·N·D·(L + Q); read the embeddings once for the labeled
    and once for each 128 picks, 4·N·D·(1 + ⌈Q/128⌉) bytes."""
    return _greedy(sizes, sizes.width, sizes.num_labeled)


def badge_work(config: configs.BADGEConfig, sizes: Sizes) -> Work:
    """By factors, ⟨q⊗z, q'⊗z'⟩ = (q·q')(z·z'): 2·N·(C + D)·Q, read 4·N·(C + D) bytes for the norms and for each 128
    picks."""
    return _greedy(sizes, sizes.width + sizes.num_classes, 0)


def alfa_mix_work(config: configs.ALFAMixConfig, sizes: Sizes) -> Work:
    """Closed form: gradient and anchors' distances are two products, 4·N·C·D, one pass of 4·N·(C + D) bytes; fixed:
    the logits alone, 2·N·C² and 4·N·C bytes. Then k-means over the candidates, of which there are more than Q: at least
    their seeding and one step, 4·Q·Q·D."""
    n, d, c, q = sizes[:4]
    mixing = Work(FLOAT * n * c, 2 * n * c * c) if config.alpha == "fixed" else Work(FLOAT * n * (c + d), 4 * n * c * d)
    return mixing + Work(2 * FLOAT * q * d, 4 * q * q * d)


def typiclust_work(config: configs.TypiClustConfig, sizes: Sizes) -> Work:
    """k-means into K = min(L + Q, max_clusters): seeding and one step are 4·N·K·D, two passes of 4·N·D bytes and one
    for each 128 seeds; then the pairs of min(Q, K) clusters of N/K rows, 2·min(Q, K)·(N/K)²·D."""
    n, d, _, q = sizes[:4]
    num_clusters = min(sizes.num_labeled + q, config.max_clusters, n)
    pairs = 2 * min(q, num_clusters) * (n // num_clusters) ** 2 * d
    passes = 2 + -(-num_clusters // PICKS_PER_PASS)
    return Work(FLOAT * n * d * passes, 4 * n * num_clusters * d + pairs)


def auto_fm_work(config: configs.AutoFMConfig, sizes: Sizes) -> Work:
    """Learned: for each of C anchors and T + 1 iterates the shift of the logits (αd)W, 2·C·D + D a row, for T of them
    the slope rW', 2·C·D, and the step on α, 5·D: N·C·D·((T + 1)(2·C + 1) + T(2·C + 5)). Closed form: the squares of
    (w_j - w_ŷ)(μ_c - z), 5·N·C²·D. Fixed: logits alone, 2·N·C². Read 4·N·(C + D) bytes once (fixed: 4·N·C). The
    spread of candidates, where it is asked for, multiplies candidates with picks: 2·Q·(P·Q)·D."""
    n, d, c, q = sizes[:4]
    steps = config.num_steps
    if config.alpha == "fixed":
        work = Work(FLOAT * n * c, 2 * n * c * c)
    elif config.alpha == "closed_form":
        work = Work(FLOAT * n * (c + d), 5 * n * c * c * d)
    else:
        work = Work(FLOAT * n * (c + d), n * c * d * ((steps + 1) * (2 * c + 1) + steps * (2 * c + 5)))
    if config.diversify == "none":
        return work
    num_spread = min(config.candidates_per_pick * q, n)
    return work + Work(FLOAT * num_spread * d, 2 * q * num_spread * d)


def mpps_work(config: configs.MPPSConfig, sizes: Sizes) -> Work:
    """Multiply the rows with the C centroids, 2·N·C·D, and square them, 2·N·D: one pass of 4·N·D bytes. Every class has
    labels here."""
    n, d, c, _ = sizes[:4]
    return Work(FLOAT * n * d, 2 * n * d * (c + 1))


def cb_dal_work(config: configs.CBDALConfig, sizes: Sizes) -> Work:
    """Auto-FM's and MPPS's, each for its share of the query; the embeddings are read by both."""
    first = _part_of(sizes, config.auto_fm_share)
    return auto_fm_work(config.auto_fm, first) + mpps_work(config.mpps, sizes)


def class_deficit_work(config: configs.ClassDeficitConfig, sizes: Sizes) -> Work:
    """One uncertainty pass, then for each pick min, max and sum over every row's classes: 3·Q·N·C operations; the
    probabilities are read for each pick, 4·Q·N·C bytes, as each depends on the one before."""
    values = sizes.num_rows * sizes.num_classes
    return uncertainty_work(config, sizes) + Work(FLOAT * sizes.query_size * values, 3 * sizes.query_size * values)


def balanced_work(config: configs.BalancedConfig, sizes: Sizes) -> Work:
    """The base's, and the distances to the C centroids, 2·N·C·D and 4·N·D bytes; balancing picks may be none."""
    n, d, c, _ = sizes[:4]
    return count_work(config.base, sizes) + Work(FLOAT * n * d, 2 * n * c * d)


def budget_split_work(config: configs.BudgetSplitConfig, sizes: Sizes) -> Work:
    """The sum of the stages', each for its share of the query."""
    works = (count_work(stage.strategy, _part_of(sizes, stage.share)) for stage in config.stages)
    return functools.reduce(Work.__add__, works, Work(0, 0))


def _logits_pass(num_rows: int, num_columns: int) -> Work:
    return Work(FLOAT * num_rows * num_columns, 5 * num_rows * num_columns)


def _greedy(sizes: Sizes, width: int, num_centers: int) -> Work:
    """A pool of rows of a width, all of them multiplied with the centers and with each pick."""
    passes = 1 + -(-sizes.query_size // PICKS_PER_PASS)
    products = num_centers + sizes.query_size
    return Work(FLOAT * sizes.num_rows * width * passes, 2 * sizes.num_rows * width * products)


def _part_of(sizes: Sizes, share: float) -> Sizes:
    return sizes._replace(query_size=max(round(share * sizes.query_size), 1))


COUNTS: dict[type, Callable[[Any, Sizes], Work]] = {
    configs.RandomConfig: random_work,
    configs.EntropyConfig: uncertainty_work,
    configs.MarginConfig: uncertainty_work,
    configs.LeastConfidenceConfig: uncertainty_work,
    configs.BALDConfig: bald_work,
    configs.BatchBALDConfig: batch_bald_work,
    configs.CoreSetConfig: core_set_work,
    configs.BADGEConfig: badge_work,
    configs.ALFAMixConfig: alfa_mix_work,
    configs.TypiClustConfig: typiclust_work,
    configs.AutoFMConfig: auto_fm_work,
    configs.MPPSConfig: mpps_work,
    configs.CBDALConfig: cb_dal_work,
    configs.DiversifiedEntropyConfig: diversified_work,
    configs.DiversifiedMarginConfig: diversified_work,
    configs.DiversifiedLeastConfidenceConfig: diversified_work,
    configs.ClassDeficitConfig: class_deficit_work,
    configs.BalancedConfig: balanced_work,
    configs.BudgetSplitConfig: budget_split_work,
}
