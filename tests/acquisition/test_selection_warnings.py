"""What `jaxal.select` warns of, and where its warnings point to."""

import inspect

import numpy as np
import pytest
from select_pools import Q, X, only, pool_arrays

import jaxal
from jaxal.acquisition import select_with_reasons
from jaxal.errors import SelectionWarning


@pytest.mark.parametrize("function", [jaxal.select, select_with_reasons])
def test_a_warning_points_to_the_line_that_called(function):
    line = inspect.currentframe().f_lineno + 2
    with pytest.warns(SelectionWarning, match=r"^budget: 100 asked for") as caught:
        function("random", budget=100, **pool_arrays())
    assert [(each.filename, each.lineno) for each in caught] == [(__file__, line)]


@pytest.mark.parametrize("function", [jaxal.select, select_with_reasons])
def test_arguments_that_are_none_are_python_s_own_error(function):
    with pytest.raises(TypeError, match="unexpected keyword argument 'embedings'"):
        function("random", budget=Q, embedings=0, **pool_arrays())
    with pytest.raises(TypeError, match=r"missing .*'budget'"):
        function("random", **pool_arrays())


@pytest.mark.parametrize(
    ("strategy", "name"), [("entropy", "logits"), ("bald", "mc_logits"), ("diversified_margin", "source_logits")]
)
def test_probabilities_are_told_from_logits(strategy, name):
    arrays = only(pool_arrays(), name)
    shares = np.exp(arrays[name]) / np.exp(arrays[name]).sum(-1, keepdims=True)
    of_excluded = np.where((arrays["labels"] == X)[:, None], 7, shares)  # those are not looked at
    for given in (shares, of_excluded, shares.astype(np.float16)):
        with pytest.warns(SelectionWarning, match=rf"^{name}: every row lies in 0 … 1 and sums to 1") as caught:
            jaxal.select(strategy, budget=Q, num_classes=3, **{**arrays, name: given})
        assert len(caught) == 1
    one_is_none = shares.copy()
    one_is_none[..., 40, :] *= 2
    for given in (np.log(shares), one_is_none, shares - shares.mean(-1, keepdims=True)):
        assert len(jaxal.select(strategy, budget=Q, num_classes=3, **{**arrays, name: given})) == Q
