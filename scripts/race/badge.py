"""The task of BADGE, and who solves it."""

from collections.abc import Callable

import numpy as np

from .badge_jax import jitted_factorised, jitted_materialised, ours
from .badge_law import check_law
from .badge_peers import skactiveml_badge, torch_loop
from .checks import check_picks
from .contestants import Call, Contestant, Task
from .pools import Pool, Size

MATERIALISED, FACTORISED = "gradients written out, N × C·D", "gradients as factors, q ⊗ z"
# min(‖g‖², D²): tested against that law, since the work is the same.
WITH_ORIGIN = f"{MATERIALISED}; another law: the origin is a center too"


class WrongLaw(Exception):
    """Picks that do not follow BADGE's law."""


def badge_task(pool: Pool, size: Size) -> Task:
    """Q gradients by k-means++; every contestant's law is tested on a tiny pool before it may enter."""
    num_picks = size.num_badge_picks

    def contestant(name: str, problem: str, make: Callable[[Pool, int], Call], is_ours: bool = False) -> Contestant:
        def make_lawful(pool: Pool) -> Call:
            wrong = check_law(make, size.num_law_draws, has_origin=problem == WITH_ORIGIN)
            if wrong:
                raise WrongLaw(wrong)
            return make(pool, num_picks)

        return Contestant(name, problem, make_lawful, is_ours)

    def check(contestant: Contestant, picks: np.ndarray) -> str | None:
        return check_picks(picks, len(pool.labels), pool.labeled) or check_first(pool, picks)

    (num_rows, width), num_classes = pool.embeddings.shape, pool.logits.shape[1]
    return Task(
        name="badge",
        title=f"{num_picks} picks by k-means++ over the gradients of {num_classes} classes",
        contestants=(
            contestant("jaxal", FACTORISED, ours, is_ours=True),
            contestant("jitted loop, materialised", MATERIALISED, jitted_materialised),
            contestant("jitted loop, factorised", FACTORISED, jitted_factorised),
            contestant("PyTorch loop, vectorised", FACTORISED, torch_loop),
            contestant("scikit-activeml Badge", WITH_ORIGIN, skactiveml_badge),
        ),
        check=check,
        num_picks=num_picks,
        flops=2.0 * num_rows * (width + num_classes) * num_picks,
        num_bytes=4.0 * num_rows * (width + num_classes),
    )


def check_first(pool: Pool, picks: np.ndarray) -> str | None:
    """The first pick must be the unlabeled row with the largest gradient, up to near-ties."""
    logits = pool.logits.astype(np.float64)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    shares[np.arange(len(shares)), shares.argmax(axis=1)] -= 1
    norms = np.linalg.norm(shares, axis=1) * np.linalg.norm(pool.embeddings.astype(np.float64), axis=1)
    norms[pool.labeled] = -1
    if norms[picks[0]] >= norms.max() * (1 - 1e-5):
        return None
    return f"the first gradient has norm {norms[picks[0]]:.6g}, the largest {norms.max():.6g}"
