"""Who answers a query: here, the hidden truth of a benchmark."""

from typing import NamedTuple, Protocol

import numpy as np

__all__ = ["AnswerFn", "Oracle", "simulated_oracle"]


class AnswerFn(Protocol):
    """Answers pool rows with their classes."""

    def __call__(self, indices: np.ndarray) -> np.ndarray:
        """Return the class, int32, of each pool row asked."""
        ...


class Oracle(NamedTuple):
    """The one place where hidden truth lives."""

    answer: AnswerFn


def simulated_oracle(hidden_labels: np.ndarray) -> Oracle:
    """Answer from the hidden labels [N] of a fully labeled data set; only the rows asked are ever read.

    >>> simulated_oracle(np.array([0, 1, 1])).answer(np.array([2, 0]))
    array([1, 0], dtype=int32)
    """
    truth = np.array(hidden_labels, dtype=np.int32)

    def answer(indices: np.ndarray) -> np.ndarray:
        return truth[np.asarray(indices)]

    return Oracle(answer)
