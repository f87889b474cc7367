"""The tasks of greedy k-center, and who solves them."""

from typing import Any

import numpy as np

from .checks import Cover, check_cover
from .contestants import Contestant, Task
from .core_set_jax import jitted_differences, jitted_products, ours, products_alone
from .core_set_peers import faiss_loop, fpsample_fps, numpy_loop, skactiveml_core_set, skmatter_fps
from .core_set_torch import torch_loop
from .pools import Pool, Size

TOGETHER = "labeled centers folded in together"
ONE_BY_ONE = "labeled centers are its first picks, one pass each"
PRODUCTS_ALONE = "matrix products alone"


def core_set_task(pool: Pool, size: Size) -> Task:
    """Q picks from L labeled centers, against everybody."""
    num_picks = size.num_picks

    def contestant(name: str, problem: str, make: Any, is_ours: bool = False) -> Contestant:
        return Contestant(name, problem, lambda pool: make(pool, num_picks), is_ours)

    contestants = (
        contestant("jaxal", TOGETHER, ours, is_ours=True),
        contestant("jitted loop, a product a pick", TOGETHER, jitted_products),
        contestant("jitted loop, differences (textbook)", ONE_BY_ONE, jitted_differences),
        contestant("NumPy loop, a product a pick, cached norms", TOGETHER, numpy_loop),
        contestant("PyTorch loop, vectorised", TOGETHER, torch_loop),
        contestant("scikit-activeml CoreSet", TOGETHER, skactiveml_core_set),
        contestant("skmatter FPS", ONE_BY_ONE, skmatter_fps),
        contestant("fpsample fps_sampling", ONE_BY_ONE, fpsample_fps),
        contestant("faiss IndexFlatL2, a search a pick", TOGETHER, faiss_loop),
    )
    return _task("core_set", pool, num_picks, contestants)


def large_core_set_task(pool: Pool, size: Size) -> Task:
    """Many picks: ours against the products of matrices that any exact answer needs."""
    num_picks = size.num_many_picks
    contestants = (
        Contestant("jaxal", TOGETHER, lambda pool: ours(pool, num_picks), is_ours=True),
        Contestant(PRODUCTS_ALONE, "no picks: pool × (labeled + picks)", lambda pool: products_alone(pool, num_picks)),
    )
    return _task("large_core_set", pool, num_picks, contestants)


def _task(name: str, pool: Pool, num_picks: int, contestants: tuple[Contestant, ...]) -> Task:
    num_rows, width = pool.embeddings.shape
    num_labeled = len(pool.labeled)
    checked: dict[bytes, str | None] = {}  # several go the same way; one walk is enough

    def check(contestant: Contestant, answer: Cover) -> str | None:
        if contestant.name == PRODUCTS_ALONE:
            return None
        way = np.asarray(answer.centers, np.int64).tobytes() + b"|" + np.asarray(answer.picks, np.int64).tobytes()
        if way not in checked:
            checked[way] = check_cover(pool.embeddings, answer)
        return checked[way]

    return Task(
        name=name,
        title=f"{num_picks} picks by greedy k-center from {num_labeled} labeled centers",
        contestants=contestants,
        check=check,
        num_picks=num_picks,
        flops=2.0 * num_rows * width * (num_labeled + num_picks),
        num_bytes=4.0 * num_rows * width,
    )
