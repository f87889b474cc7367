"""What `jaxal.select` is given that it must refuse, and how it must."""

import re

import numpy as np
import pytest
from select_pools import Q, pool_arrays

import jaxal
from jaxal.errors import InputError


def at(array, rows, value):
    """Set rows of an array whose last axis but one they are."""
    changed = np.array(array)
    changed[..., rows, :] = value
    return changed


def labels_at(arrays, rows, value):
    labels = arrays["labels"].copy()
    labels[rows] = value
    return {"labels": labels}


def check_refused(strategy, changes, message):
    """Check that a whole pool with these changes (or a function that makes them) is refused by one line."""
    arrays = pool_arrays()
    arguments = {"budget": Q, **arrays, **(changes(arrays) if callable(changes) else changes)}
    with pytest.raises(InputError, match="^" + re.escape(message)) as caught:
        jaxal.select(strategy, **arguments)
    assert isinstance(caught.value, ValueError)
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)
