"""PyTorch on the device of the race, in the precision of the race."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from .contestants import NotPossible, peer


def load_torch() -> tuple[Any, str, Callable[[], None]]:
    """Import PyTorch: (module, device, function that waits for the device), in true float32 as the others.

    Raises:
        NotInstalled: there is no PyTorch.
        NotPossible: jax runs on an accelerator that this PyTorch does not see.
    """
    torch = peer("torch")
    if jax.default_backend() == "cpu":
        return torch, "cpu", lambda: None
    if not torch.cuda.is_available():
        raise NotPossible(f"this PyTorch {torch.__version__} has no CUDA")
    torch.set_float32_matmul_precision("highest")
    return torch, "cuda", torch.cuda.synchronize


def to_torch(torch: Any, device: str, values: np.ndarray) -> Any:
    """Give a tensor on the device; on a host it shares the array's memory."""
    return torch.from_numpy(np.ascontiguousarray(values)).to(device)
