"""Greedy k-center in PyTorch: a loop without a Python number in it, on a GPU replayed as a CUDA graph."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .checks import Cover
from .contestants import Call
from .pools import Pool
from .torch_device import load_torch, to_torch

BLOCK = 256  # centers a product
NUM_WARM_UPS = 3  # that PyTorch asks for before a capture


def torch_loop(pool: Pool, num_picks: int) -> Call:
    """One product of the pool with a vector for each pick, norms cached; labeled centers by products of matrices."""
    torch, device, _ = load_torch()
    embeddings = to_torch(torch, device, pool.embeddings)
    labeled = to_torch(torch, device, pool.labeled)
    # The state of the loop, in fixed places: a graph replays on addresses.
    nearest = torch.empty(len(pool.labels), device=device)
    norms = torch.empty_like(nearest)
    picks = torch.zeros(num_picks, dtype=torch.int64, device=device)
    position = torch.zeros(1, dtype=torch.int64, device=device)

    def start() -> None:
        torch.linalg.vector_norm(embeddings, dim=1, out=norms).square_()
        nearest.fill_(torch.inf)
        for block in torch.split(labeled, BLOCK):
            distances = norms[block] - 2 * (embeddings @ embeddings[block].T)
            torch.minimum(nearest, distances.amin(dim=1), out=nearest)
        nearest.add_(norms).index_fill_(0, labeled, -torch.inf)
        position.zero_()

    def pick() -> None:
        row = torch.argmax(nearest).view(1)
        picks.scatter_(0, position, row)
        position.add_(1)
        center = embeddings.index_select(0, row)[0]
        distance = torch.addmv(norms, embeddings, center, alpha=-2).add_(norms.index_select(0, row))
        torch.minimum(nearest, distance, out=nearest)
        nearest.index_fill_(0, row, -torch.inf)

    start()
    repeat = pick if device == "cpu" else _captured(torch, pick)

    def run(num_wanted: int) -> Cover:
        start()
        for _ in range(num_wanted):
            repeat()
        return Cover(pool.labeled, np.array(picks[:num_wanted].cpu()))

    return Call(lambda: run(num_picks), run, num_picks)


def _captured(torch: Any, step: Callable[[], None]) -> Callable[[], None]:
    """Record a step once, to be replayed without a launch for each of its operations."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(NUM_WARM_UPS):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay
