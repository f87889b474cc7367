"""Selection from a pool that stays on the disk: the picks of the pool in memory, and what a stop leaves behind."""

import errno
import warnings

import jax
import numpy as np
import pytest

from jaxal.acquisition import select_with_reasons, streamed_rows, streamed_state
from jaxal.acquisition.streamed import select_streamed
from jaxal.acquisition.streamed_alfa_mix import streamed_alfa_mix
from jaxal.acquisition.streamed_core_set import streamed_core_set
from jaxal.acquisition.streamed_rows import StreamedPool, StreamedQuery
from jaxal.acquisition.streamed_state import Kept, hold_state, save_state
from jaxal.config.strategy_words import parse_strategy
from jaxal.data.loading import Images
from jaxal.errors import InputError, StoreError
from jaxal.pool import EXCLUDED, UNLABELED
from jaxal.strategies.registry import make_strategy
from jaxal.typing import LinearHead

N, D, C, Q = 1501, 4, 3, 90
RNG = np.random.default_rng(0)
IDS = RNG.permutation(N).astype(np.int32)
HEAD = LinearHead(*(RNG.normal(size=size).astype(np.float32) for size in ((D, C), (C,))))


class Stopped(BaseException):
    """Ends a selection in the middle, as a signal would."""


def pool_of(embeddings, labels, *, last_read=None):
    """Make a pool that counts what is read of it, and stops at some read."""
    reads = []

    def read(rows):
        if last_read is not None and len(reads) >= last_read:
            raise Stopped
        reads.append(len(rows))
        return embeddings[rows]

    rows = Images(read, len(embeddings), embeddings.shape[1:], np.float32)
    return StreamedPool(rows, labels, lambda: IDS[: len(embeddings)], C, HEAD, "digest"), reads


def made(kind="normal", num_labeled=40):
    rng = np.random.default_rng(1)
    embeddings = rng.normal(size=(N, D)).astype(np.float32)
    labels = np.full(N, UNLABELED, np.int32)
    labels[rng.permutation(N)[:num_labeled]] = np.arange(num_labeled) % C
    unlabeled = np.flatnonzero(labels == UNLABELED)
    labels[unlabeled[:3]] = EXCLUDED
    if kind == "integer":  # distances are exact, and nearly all of them tie
        embeddings = np.round(embeddings)
    embeddings[unlabeled[:3]] = np.nan
    return embeddings, labels


def in_memory(strategy, embeddings, labels, budget=Q):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return select_with_reasons(
            strategy,
            embeddings=embeddings,
            labels=labels,
            head=HEAD,
            budget=budget,
            num_classes=C,
            seed=5,
            sample_ids=IDS[: len(embeddings)],
        )


def check_same(found, expected, rtol=0.0):
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=rtol)
    assert (found.reasons, found.num_fallback) == (expected.reasons, expected.num_fallback)


def streamed(strategy, pool, state, budget=Q):
    """Select in blocks of some hundred rows."""
    read_bytes = 4 * D * 400
    found = select_streamed(parse_strategy(strategy), pool, budget=budget, seed=5, state=state, read_bytes=read_bytes)
    return found[:2]


def query_of(pool, state, tell):
    """Ask for the same, of one way over the disk."""
    return StreamedQuery(
        pool,
        jax.random.key(5),
        num_picks=Q,
        state=state,
        block_bytes=2**20,
        read_bytes=4 * D * 400,
        tell=tell,
        waited=lambda seconds: None,
    )


@pytest.fixture
def often(monkeypatch):
    """Every chance to save is taken."""
    monkeypatch.setattr(streamed_rows, "SECONDS_BETWEEN_SAVES", 0.0)


@pytest.mark.parametrize(("kind", "num_labeled"), [("normal", 40), ("integer", 40), ("normal", 0)])
def test_core_set_picks_what_it_picks_in_memory(tmp_path, kind, num_labeled):
    embeddings, labels = made(kind, num_labeled)
    expected = in_memory("core_set", embeddings, labels)
    pool, reads = pool_of(embeddings, labels)
    told = []
    with hold_state(tmp_path / "state", {}) as state:
        query = query_of(pool, state, lambda *words: told.append(words))
        found = streamed_core_set(query, center_bytes=4 * D * 30)  # fewer than there are labels
    np.testing.assert_array_equal(found.rows, expected.indices)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-6)
    num_passes = len({what for what, *_ in told if "pass" in what})
    assert 2 <= num_passes <= 12
    assert told[-1] == ("picks", Q, Q)
    assert sum(reads) < (num_passes + 1) * 1700 + 512 * num_passes


@pytest.mark.parametrize(
    "strategy",
    [
        "random",
        {"kind": "margin", "inverted": True},
        "cb_dal",
        pytest.param("alfa_mix", marks=pytest.mark.slow),
        pytest.param({"kind": "alfa_mix", "alpha": "fixed", "fixed_alpha": 0.02}, marks=pytest.mark.slow),
        pytest.param({"kind": "mpps", "minority": "round_robin", "normalize": "l2"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_what_ranks_row_by_row_picks_what_it_picks_in_memory(tmp_path, strategy):
    embeddings, labels = made()
    expected = in_memory(strategy, embeddings, labels)
    pool, reads = pool_of(embeddings, labels)
    found, notes = streamed(strategy, pool, tmp_path / "state")
    check_same(found, expected, rtol=1e-5)  # of logits, block by block
    assert len(notes) == (found.num_fallback > 0)
    assert sum(reads) < N + 400 + 40
    again, _ = streamed(strategy, pool_of(embeddings, labels, last_read=4)[0], tmp_path / "state")
    check_same(again, found)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "num_passes"), [("normal", 6), ("integer", 6), ("certain", 4)])
def test_badge_picks_what_it_picks_in_memory(tmp_path, kind, num_passes):
    embeddings, labels = made(kind)
    if kind == "certain":  # gradients of a few rows, zeros of all others
        embeddings[np.flatnonzero(labels == UNLABELED)[60:]] *= 1e4
    expected = in_memory("badge", embeddings, labels, budget=300)
    pool, reads = pool_of(embeddings, labels)
    found, _ = streamed("badge", pool, tmp_path / "state", budget=300)
    check_same(found, expected, rtol=1e-4)
    assert len(set(found.reasons)) == (3 if kind == "certain" else 2)
    assert sum(size == 400 for size in reads) <= 4 * num_passes  # the rows of a block of draws are read by 256


@pytest.mark.parametrize(
    "strategy",
    ["core_set", "cb_dal", "entropy", *(pytest.param(name, marks=pytest.mark.slow) for name in ("badge", "alfa_mix"))],
    ids=str,
)
def test_a_stopped_selection_goes_on_to_the_same_picks(tmp_path, often, strategy):
    embeddings, labels = made()
    pool, reads = pool_of(embeddings, labels)
    expected, _ = streamed(strategy, pool, tmp_path / "whole")
    num_stops = 0
    for last_read in range(1, 100):
        pool, some = pool_of(embeddings, labels, last_read=last_read)
        try:
            found, _ = streamed(strategy, pool, tmp_path / "state")
            break
        except Stopped:
            num_stops += 1
    assert num_stops >= 2
    check_same(found, expected)
    assert len(some) < len(reads)  # it went on, and did not begin anew
    pool, some = pool_of(embeddings, labels)
    again, _ = streamed(strategy, pool, tmp_path / "state")
    check_same(again, expected)
    assert len(some) <= 4  # from what was kept


@pytest.mark.parametrize("num_rows", [6, 7])
def test_badge_knows_duplicates_however_few_and_narrow_the_rows(tmp_path, num_rows):
    # The head of seven rows, of a block of rows and of the picks that these are measured against must be one.
    embeddings = np.random.default_rng(2).normal(size=(4, D)).astype(np.float32)[np.arange(num_rows) % 4]
    labels = np.full(num_rows, UNLABELED, np.int32)
    expected = in_memory("badge", embeddings, labels, budget=6)
    assert expected.num_fallback == 2
    check_same(streamed("badge", pool_of(embeddings, labels)[0], tmp_path / "state", budget=6)[0], expected)


def test_an_error_that_has_nothing_to_do_with_the_state_is_not_blamed_on_it(tmp_path):
    with pytest.raises(BrokenPipeError), hold_state(tmp_path / "state", {}):
        raise BrokenPipeError


def test_a_state_that_cannot_be_written_says_so_and_the_earlier_one_stays(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    kept = Kept({"first_row": 3}, {"best": np.arange(3)})
    with hold_state(tmp_path, {}) as state:
        save_state(state, kept)
        monkeypatch.setattr(streamed_state.np, "save", full)
        with pytest.raises(StoreError, match=r"No space left.*earlier content is kept"):
            save_state(state, kept._replace(numbers={"first_row": 9}))
    monkeypatch.undo()
    with hold_state(tmp_path, {}) as state:
        assert state.kept is not None
        assert state.kept.numbers == kept.numbers
        np.testing.assert_array_equal(state.kept.arrays["best"], kept.arrays["best"])


def test_the_place_of_another_selection_is_refused(tmp_path):
    embeddings, labels = made()
    pool, _ = pool_of(embeddings, labels)
    state = tmp_path / "state"
    streamed("random", pool, state, budget=5)
    labels = labels.copy()
    labels[np.flatnonzero(labels >= 0)[0]] = UNLABELED
    with pytest.raises(
        StoreError, match=r"another selection; nothing was changed:\n  budget: 5 there, 6 here\n  label"
    ):
        streamed("random", pool._replace(labels=labels), state, budget=6)
    (array,) = (tmp_path / "state").glob("best-*.npy")
    array.write_bytes(array.read_bytes()[:-1] + b"x")
    with pytest.raises(StoreError, match="not the file that was written"):
        streamed("random", pool, state, budget=5)
    (tmp_path / "state" / "mine.txt").touch()
    with pytest.raises(StoreError, match=r"holds something else \(mine.txt\)"):
        streamed("random", pool, state, budget=5)


def test_more_candidates_of_alfa_mix_than_there_is_room_for_are_refused(tmp_path):
    config = parse_strategy({"kind": "alfa_mix", "alpha": "fixed"})
    with hold_state(tmp_path / "state", {}) as state:
        query = query_of(pool_of(*made())[0], state, lambda *words: None)
        with pytest.raises(InputError, match=r"strategy: \d+ of 1501 rows are candidates .* there is room for 90\."):
            streamed_alfa_mix(make_strategy(config, num_classes=C), config, query, candidate_bytes=4 * D * 90 + 1)


@pytest.mark.parametrize("strategy", ["core_set", "random"])
def test_rows_that_cannot_be_measured_are_refused_as_in_memory(tmp_path, strategy):
    embeddings, labels = made()
    bad = np.flatnonzero(labels == UNLABELED)[[5, 700]]
    embeddings[bad] = [[np.inf], [1e19]]
    with pytest.raises(InputError) as in_memory_too:
        in_memory(strategy, embeddings, labels)
    with pytest.raises(InputError) as refusal:
        streamed(strategy, pool_of(embeddings, labels)[0], tmp_path / "state")
    assert str(refusal.value) == str(in_memory_too.value)
    embeddings[bad[0]] = 0
    with pytest.raises(InputError, match=r"embeddings: 1 of 1501 rows are so long"):
        streamed(strategy, pool_of(embeddings, labels)[0], tmp_path / "other")


def test_strategies_that_need_the_whole_pool_say_so(tmp_path):
    embeddings, labels = made()
    pool, reads = pool_of(embeddings, labels)
    for strategy, message in (
        ("typiclust", "strategy: typiclust needs the whole pool in memory"),
        ({"kind": "auto_fm", "diversify": "k_means"}, "strategy: auto_fm with diversify needs the whole pool"),
        ({"kind": "entropy", "logits_of": "source"}, "strategy: entropy needs the whole pool"),
    ):
        with pytest.raises(InputError, match=message):
            streamed(strategy, pool, tmp_path / "state")
    with pytest.raises(InputError, match="head: entropy needs it"):
        streamed("entropy", pool._replace(head=None), tmp_path / "state")
    few = np.where(labels == 2, UNLABELED, labels)
    with pytest.raises(InputError, match="strategy: 1 of 3 classes have no label, and mpps then"):
        streamed("mpps", pool._replace(labels=few), tmp_path / "state")
    assert reads == []
    assert not (tmp_path / "state").exists()
