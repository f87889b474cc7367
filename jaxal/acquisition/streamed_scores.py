"""Numbers of each row of a pool on the disk, found in one pass and kept."""

from collections.abc import Callable

import numpy as np

from jaxal.acquisition.streamed_rows import StreamedQuery, refuse_faults, row_blocks
from jaxal.acquisition.streamed_state import Kept, save_state
from jaxal.typing import Array

__all__ = ["score_rows"]


def score_rows(
    query: StreamedQuery, names: tuple[str, ...], measure: Callable[[Array], tuple[Array, ...]]
) -> list[np.ndarray]:
    """Measure every row, or take up what was measured.

    Args:
        query: what goes on, and where that is kept.
        names: of the numbers, under which they are kept.
        measure: rows [B, D] -> numbers float32 [B] for each name, and last the rows' faults, see `faults_of`.

    Returns:
        float32 [N] for each name.

    Raises:
        InputError: rows in use hold what cannot be measured.
        DataError: a file of the embeddings is not the one that was written.

    Cost: one pass over the disk; 4 bytes a row and name.
    """
    num_rows, kept = query.pool.rows.num_images, query.state.kept
    if kept is None:
        numbers = {name: np.zeros(num_rows, np.float32) for name in names}
        arrays, first_row = {**numbers, "faults": np.zeros(num_rows, np.int8)}, 0
    else:
        # Copies, since what was read is written to.
        arrays, first_row = {name: np.array(each) for name, each in kept.arrays.items()}, kept.numbers["first_row"]

    def save(first_row: int) -> None:
        save_state(query.state, Kept({"first_row": first_row}, arrays))

    if first_row < num_rows:
        for part, block in row_blocks(query, first_row, "rows", save):
            for name, values in zip((*names, "faults"), measure(block), strict=True):
                arrays[name][part] = values
        save(num_rows)
    refuse_faults(arrays["faults"], query.pool.labels)  # also where a call before has come so far, and was refused
    return [arrays[name] for name in names]
