import logging
import resource
import shutil
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxal.errors import InputError, StoreError
from jaxal.store import checkpoints
from jaxal.store.checkpoints import restore, save, steps


class State(NamedTuple):
    params: Any
    strategy: Any
    round: Any


def tree(seed=0):
    rng = np.random.default_rng(seed)
    floats = rng.standard_normal((4, 3)).astype(np.float32)
    return State(
        params={
            "head/odd.name %20'": {0: jnp.asarray(floats), 10: jnp.asarray(floats, jnp.bfloat16)},
            "special": jnp.asarray([np.nan, -0.0, np.inf, 1e-45], jnp.float32),
            "nothing": {},
        },
        strategy=((), [jnp.zeros((0, 5), jnp.bfloat16), np.zeros((3, 0), np.int64)], jnp.asarray([True, False])),
        round={
            "scalar": jnp.asarray(seed, jnp.int32),
            "numpy": np.asfortranarray(rng.standard_normal((3, 2))),
            "generic": np.float64(0.1),
            "key": jax.random.key_data(jax.random.key(seed)),
        },
    )


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()
        assert isinstance(one, jax.Array) == isinstance(other, jax.Array)


def test_every_kind_of_leaf_comes_back_bit_for_bit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path.relative_to(tmp_path) / "arm" / "checkpoints"  # a relative path, folders missing
    digest = save(folder, 0, tree())
    assert_same(restore(folder, 0, tree(seed=1), sha256=digest), tree())
    assert_same(restore(folder, 0, tree(seed=1), sha256=None), tree())


@pytest.mark.parametrize("empty", [(), {}, {"a": np.zeros((0, 2), np.float32)}])
def test_a_tree_without_values_survives(tmp_path, empty):
    assert_same(restore(tmp_path, 3, empty, sha256=save(tmp_path, 3, empty)), empty)


def test_abstract_templates_and_placement(tmp_path):
    device = jax.devices()[0]
    saved = {"a": jnp.arange(3), "b": jnp.ones(2)}
    save(tmp_path, 0, saved)
    abstract = jax.eval_shape(lambda: saved)
    assert_same(restore(tmp_path, 0, abstract, sha256=None), saved)
    found = restore(tmp_path, 0, {"a": jax.device_put(saved["a"], device), "b": saved["b"]}, sha256=None)
    assert (found["a"].committed, found["b"].committed) == (True, False)


def test_the_last_steps_are_kept_and_abandoned_ones_removed(tmp_path):
    assert steps(tmp_path / "missing") == []
    for step in (0, 1, 2, 10):
        save(tmp_path, step, tree(step))
    assert steps(tmp_path) == [2, 10]
    save(tmp_path, 3, tree(3), keep=3)  # 10 belongs to an attempt that was given up
    assert steps(tmp_path) == [2, 3]
    digest = save(tmp_path, 3, tree(30), keep=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "3.sha256.json"]
    assert_same(restore(tmp_path, 3, tree(), sha256=digest), tree(30))


@pytest.mark.parametrize("point", ["hash_and_sync", "write_atomic", "before Orbax", "removal"])
def test_a_save_killed_anywhere_leaves_the_step_before_and_is_cleared_by_the_next(tmp_path, monkeypatch, point):
    digest = save(tmp_path, 0, tree(0))
    save(tmp_path, 1, tree(1))
    leave_alone = [tmp_path / "notes.txt", tmp_path / "007"]
    leave_alone[0].touch()
    leave_alone[1].mkdir()

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if point == "before Orbax":
            patch.setattr(checkpoints.ocp.args, "PyTreeSave", killed)
        elif point == "removal":
            patch.setattr(shutil, "rmtree", killed)
        else:
            patch.setattr(checkpoints, point, killed)
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path, 1, tree(2))
    for name in ("5.orbax-checkpoint-tmp", "6.orbax-checkpoint-tmp-9", "8"):
        (tmp_path / name / "d").mkdir(parents=True)
    for name in ("9.sha256.json", ".1.sha256.json.99.tmp"):
        (tmp_path / name).touch()
    assert steps(tmp_path) == [0]
    assert_same(restore(tmp_path, 0, tree(), sha256=digest), tree(0))
    digest = save(tmp_path, 1, tree(3))
    assert_same(restore(tmp_path, 1, tree(), sha256=digest), tree(3))
    names = {"0", "0.sha256.json", "1", "1.sha256.json", *(path.name for path in leave_alone)}
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ("hash_and_sync", r"cannot save checkpoint 1 in .*No space left on device.*Earlier"),
        ("write_atomic", "the refusal of the manifest"),
    ],
)
def test_a_disk_that_fills_up_is_refused_and_the_step_before_stays(tmp_path, monkeypatch, point, message):
    digest = save(tmp_path, 0, tree(0))

    def full(*_):
        raise StoreError(message) if point == "write_atomic" else OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, point, full)
        with pytest.raises(StoreError, match=message):
            save(tmp_path, 1, tree(1), keep=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "0.sha256.json"]
    assert_same(restore(tmp_path, 0, tree(), sha256=digest), tree(0))


def test_a_write_that_orbax_cannot_make_is_one_message_without_a_log(tmp_path, capfd):
    small = {"a": np.zeros(3, np.float32)}
    digest = save(tmp_path, 0, small)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # a stand-in for a full disk
    try:
        with pytest.raises(StoreError, match=r"cannot save checkpoint 1 in .*File too large"):
            save(tmp_path, 1, {"a": np.random.default_rng(0).standard_normal(20_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert capfd.readouterr() == ("", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "0.sha256.json"]
    assert_same(restore(tmp_path, 0, small, sha256=digest), small)
    assert_same(restore(tmp_path, 1, small, sha256=save(tmp_path, 1, small)), small)


@pytest.mark.parametrize(
    ("leaf", "message"),
    [
        (3.0, r"leaf \['x'\]\[0\] is float, not an array"),
        (np.array(["a"]), r"leaf \['x'\]\[0\] has the dtype <U1"),
        (np.arange(3, dtype=">i4"), r"leaf \['x'\]\[0\] has the dtype >i4"),
        (jax.random.key(0), r"leaf \['x'\]\[0\] is a typed key"),
    ],
)
def test_leaves_that_are_not_arrays_of_numbers_are_refused_by_path(tmp_path, leaf, message):
    with pytest.raises(TypeError, match=message):
        save(tmp_path, 0, {"x": [leaf]})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ({"a": np.zeros(3, np.float32)}, r"2 leaves differ: \['a'\] is int32\[3\], expected float32\[3\]"),
        ({"a": np.zeros(4, np.int32), "z": np.zeros((0, 2))}, r"\['a'\] is int32\[3\], expected int32\[4\]"),
        ({"a": np.zeros(3, np.int32), "z": np.zeros((0, 3))}, r"\['z'\] is float64\[0,2\], expected float64\[0,3\]"),
        ({"a": np.zeros(3, np.int32), "z": np.zeros((0, 2)), "c": np.zeros(1)}, r"\['c'\] is absent, expected"),
        ([np.zeros(3, np.int32)], r"\[0\] is absent, expected int32\[3\]"),
    ],
)
def test_a_template_that_does_not_fit_is_refused(tmp_path, template, message):
    save(tmp_path, 0, {"a": np.arange(3, dtype=np.int32), "z": np.zeros((0, 2))})
    with pytest.raises(StoreError, match=message):
        restore(tmp_path, 0, template, sha256=None)


def test_sixty_four_bits_are_never_narrowed_silently(tmp_path):
    save(tmp_path, 0, {"a": np.arange(3)})
    with pytest.raises(StoreError, match=r"is int32\[3\], expected int64\[3\]"):
        restore(tmp_path, 0, {"a": jax.ShapeDtypeStruct((3,), np.int64)}, sha256=None)


@pytest.mark.parametrize(("step", "keep"), [(-1, 2), (0, 0)])
def test_impossible_numbers_are_refused(tmp_path, step, keep):
    with pytest.raises(InputError, match=f"step={step} and keep={keep}"):
        save(tmp_path, step, tree(), keep=keep)


def test_nothing_is_logged_or_printed(tmp_path, capfd, caplog):
    with caplog.at_level(logging.WARNING):
        for step in range(3):
            digest = save(tmp_path, step, tree(step))
        restore(tmp_path, 2, tree(), sha256=digest)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
