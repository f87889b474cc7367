"""The random keys of a round, which are drawn from the seed alone."""

import jax

from jaxal.typing import PRNGKey

__all__ = ["ACQUIRE", "AUGMENT_POOL", "DRAW_HEADS", "DRAW_TRUNK", "FIT", "FOLDS", "REGROUP", "purpose_key"]

# What a round's key is folded with; each purpose draws from its own stream.
FIT, ACQUIRE, DRAW_HEADS, DRAW_TRUNK, AUGMENT_POOL, REGROUP, FOLDS = 0, 1, 2, 3, 4, 5, 6


def purpose_key(seed: int, round_number: int, purpose: int) -> PRNGKey:
    """Derive the key of a purpose in a round from the seed alone, so that a resumed run draws what it would have."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), round_number), purpose)
