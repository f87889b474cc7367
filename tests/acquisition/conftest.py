"""A pool in a file."""

import numpy as np
import pytest
from select_files import file_arrays


@pytest.fixture
def pool(tmp_path, monkeypatch):
    """A whole pool in an otherwise empty current folder."""
    monkeypatch.chdir(tmp_path)
    np.savez("pool.npz", **file_arrays())
    return "pool.npz"
