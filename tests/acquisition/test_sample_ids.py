"""A choice hangs on the samples' ids, of whatever form, and not on where the samples stand."""

import itertools

import numpy as np
import pytest
from select_pools import N, pool_arrays, select

from jaxal.acquisition import sample_ids
from jaxal.acquisition.sample_ids import int32_ids


@pytest.mark.parametrize("strategy", ["random", "cb_dal"])
def test_ids_hold_the_choice_while_the_pool_changes_its_order(strategy):
    arrays = pool_arrays(10)
    order = np.random.default_rng(0).permutation(N)
    shuffled = {
        name: np.take(arrays[name], order, axis=1 if name == "mc_logits" else 0) for name in arrays if name != "head"
    }
    shuffled["head"] = arrays["head"]
    for ids in (np.arange(N) + 7, np.arange(N) * 2**40 - 5, np.array([f"image {row}.png" for row in range(N)])):
        picks = select(strategy, sample_ids=ids, **arrays)
        again = select(strategy, sample_ids=ids[order], **shuffled)
        np.testing.assert_array_equal(ids[order][again], ids[picks])
        for form in (list, tuple, lambda given: given.astype(object)):
            np.testing.assert_array_equal(select(strategy, sample_ids=form(ids), **arrays), picks)
    np.testing.assert_array_equal(select(strategy, sample_ids=np.arange(N), **arrays), select(strategy, **arrays))


def test_ids_become_numbers_that_depend_on_nothing_else():
    used = np.ones(6, bool)
    ids = [0, 2**31 - 1, 2**31, -1, "0", "ü"]
    numbers = int32_ids(ids, used)
    assert numbers.dtype == np.int32
    assert numbers[:2].tolist() == [0, 2**31 - 1]
    assert len(set(numbers.tolist())) == 6
    assert numbers.min() >= 0
    assert int32_ids(ids[::-1], used)[::-1].tolist() == numbers.tolist()
    for row in range(6):
        assert int32_ids([ids[row]], used[:1])[0] == numbers[row]
    # Written down: an id keeps its number in every version, or a run could not be repeated.
    assert int32_ids(["image 0.png", 2**40], used[:2]).tolist() == [396270326, 932367189]


def test_two_ids_never_share_a_number(monkeypatch):
    whole = sample_ids._hash
    monkeypatch.setattr(sample_ids, "_hash", lambda text, attempt: whole(text, attempt) % 128)
    ids = [*range(20), *(f"image {row}" for row in range(80))]
    numbers = int32_ids(ids, np.ones(100, bool))
    assert len(set(numbers.tolist())) == 100
    assert numbers[:20].tolist() == ids[:20]
    expected = {}
    for name in sorted(ids[20:]):  # the earlier in the order of the texts has its hash, the later a further one
        tried = (whole(f"s{name}", attempt) % 128 for attempt in itertools.count())
        expected[name] = next(number for number in tried if number >= 20 and number not in expected.values())
    assert numbers[20:].tolist() == [expected[name] for name in ids[20:]]
    order = np.random.default_rng(0).permutation(100)
    assert int32_ids([ids[row] for row in order], np.ones(100, bool)).tolist() == numbers[order].tolist()
