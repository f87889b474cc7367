"""The persistent compilation cache: where it lies, when it is off, what is cleared away, and that it works."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import filelock
import jax
import numpy as np
import pytest

import jaxal
from jaxal import compilation_cache
from jaxal.cli import main
from jaxal.compilation_cache import ENVIRONMENT_VARIABLE, use_compilation_cache


@pytest.fixture
def settings(monkeypatch, tmp_path):
    """Stand in for JAX: collect what is set, and not in this process."""
    changed = {}
    values = {"jax_compilation_cache_dir": None}
    config = SimpleNamespace(update=changed.__setitem__, values=values)
    monkeypatch.setattr(compilation_cache, "jax", SimpleNamespace(config=config))
    monkeypatch.delenv(ENVIRONMENT_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return SimpleNamespace(changed=changed, values=values)


def test_by_default_it_lies_in_the_user_s_cache_folder_and_is_bounded(settings, tmp_path):
    folder = use_compilation_cache()
    assert folder.parent == tmp_path / "xdg" / "jaxal" / "compiled"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert settings.changed == {
        "jax_compilation_cache_dir": str(folder),
        "jax_compilation_cache_max_size": 512 * 2**20,
        "jax_persistent_cache_min_compile_time_secs": 0.0,
    }
    assert set(settings.changed) <= set(jax.config.values)  # JAX's own names of this version
    assert use_compilation_cache() == folder


@pytest.mark.parametrize("words", ["off", "OFF", "0", "false", None])
def test_it_can_be_switched_off(settings, monkeypatch, tmp_path, words):
    settings.values["jax_compilation_cache_dir"] = "/theirs"
    if words is not None:
        monkeypatch.setenv(ENVIRONMENT_VARIABLE, words)
    assert use_compilation_cache(is_wanted=words is not None) is None
    assert settings.changed == {"jax_enable_compilation_cache": False}
    assert not (tmp_path / "xdg").exists()


def test_a_cache_that_jax_was_given_is_left_as_it_is(settings, monkeypatch, tmp_path):
    settings.values["jax_compilation_cache_dir"] = str(tmp_path / "theirs")
    assert use_compilation_cache() == tmp_path / "theirs"
    assert settings.changed == {}
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "mine"))
    assert use_compilation_cache().parent == tmp_path / "mine"


def test_code_of_another_processor_is_not_found(settings, monkeypatch):
    here = use_compilation_cache()
    told = Path("/proc/cpuinfo").read_text()

    def other(path, *arguments, **named):
        return told.replace("flags\t\t: ", "flags\t\t: amx ") + "flags : amx\n"

    monkeypatch.setattr(compilation_cache.Path, "read_text", other)
    elsewhere = use_compilation_cache()
    assert elsewhere.parent == here.parent
    assert elsewhere != here

    def nothing(path, *arguments, **named):
        raise FileNotFoundError(2, "No such file", str(path))

    monkeypatch.setattr(compilation_cache.Path, "read_text", nothing)
    monkeypatch.setattr(compilation_cache.platform, "node", lambda: "one")
    first = use_compilation_cache()
    monkeypatch.setattr(compilation_cache.platform, "node", lambda: "two")
    assert len({here, elsewhere, first, use_compilation_cache()}) == 4


def test_a_folder_that_cannot_be_used_is_a_warning(settings, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "file"))
    with pytest.warns(UserWarning, match=r"Not a directory \(.*file.*\); everything is compiled anew. Set JAXAL_COMP"):
        assert use_compilation_cache() is None
    monkeypatch.delenv(ENVIRONMENT_VARIABLE)
    use_compilation_cache().chmod(0o777)
    settings.changed.clear()
    with pytest.warns(UserWarning, match="others can write to it"):
        assert use_compilation_cache() is None
    assert settings.changed == {}


def entry(folder, key, used=1, size=10):
    (folder / f"{key}-cache").write_bytes(b"x" * size)
    if used is not None:
        (folder / f"{key}-atime").write_bytes(used.to_bytes(8, "little"))


def keys_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lockfile")


def test_what_was_left_unfinished_is_cleared_away(settings):
    folder = use_compilation_cache()
    entry(folder, "whole")
    entry(folder, "killed", used=None)
    entry(folder, "empty", size=0)
    (folder / "other").write_text("")
    use_compilation_cache()
    assert keys_in(folder) == ["other", "whole-atime", "whole-cache"]


def test_of_too_many_the_oldest_go(settings, monkeypatch):
    monkeypatch.setattr(compilation_cache, "MAX_ENTRIES", 4)
    folder = use_compilation_cache()
    for number in range(4):
        entry(folder, f"key{number}", used=1000 - number)
    use_compilation_cache()
    assert len(keys_in(folder)) == 8
    entry(folder, "key4", used=2000)
    use_compilation_cache()
    assert keys_in(folder) == ["key0-atime", "key0-cache", "key4-atime", "key4-cache"]


def test_nothing_is_cleared_away_under_another_s_hands(settings, monkeypatch):
    monkeypatch.setattr(compilation_cache, "LOCK_SECONDS", 0.05)
    folder = use_compilation_cache()
    entry(folder, "written just now", used=None)
    with filelock.FileLock(folder / ".lockfile"):
        assert use_compilation_cache() == folder
    assert keys_in(folder) == ["written just now-cache"]


@pytest.fixture
def pool(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.where(np.arange(200) < 20, np.arange(200) % 2, -1)
    path = tmp_path / "pool.npz"
    np.savez(path, embeddings=rng.normal(size=(200, 5)).astype(np.float32), labels=labels, num_classes=2)
    return str(path)


def test_the_commands_switch_it_on_and_selecting_from_python_does_not(pool, monkeypatch, tmp_path):
    wanted = []
    monkeypatch.setattr(compilation_cache, "use_compilation_cache", wanted.append)
    words = ["select", pool, "--strategy", "random", "--budget", "3", "--out", str(tmp_path / "out.csv")]
    assert main(words) == 0
    assert main([*words, "--no-compilation-cache"]) == 0
    assert main(["select", "--no-compilation-cache", *words[1:]]) == 0
    assert wanted == [True, False, False]
    with np.load(pool) as arrays:
        jaxal.select("random", embeddings=arrays["embeddings"], labels=arrays["labels"], num_classes=2, budget=3)
    assert len(wanted) == 3
    assert jax.config.values["jax_compilation_cache_dir"] is None


COUNTING = """
import sys, jax
from jaxal.cli import main
events = []
jax.monitoring.register_event_listener(lambda name, **_: events.append(name.rpartition("/")[2]))
code = main(sys.argv[1:])
print("COUNTS", events.count("compile_requests_use_cache"), events.count("cache_hits"))
sys.exit(code)
"""


def begin(words, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", COUNTING, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def counts_of(process):
    """Return how many functions were looked up and how many found, of a command that ended well and was silent."""
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    return [int(number) for number in out.splitlines()[-1].split()[1:]]


@pytest.mark.slow
def test_a_second_process_finds_what_two_at_once_have_compiled_and_picks_the_same(pool, tmp_path):
    cache = tmp_path / "cache"

    def selecting(name, *flags, **environment):
        words = ["select", pool, "--strategy", "core_set", "--budget", "7", "--out", str(tmp_path / name), *flags]
        return begin(words, **{ENVIRONMENT_VARIABLE: str(cache), **environment})

    both = [selecting("a.csv"), selecting("b.csv")]
    looked_up, _ = counts_of(both[0])
    assert looked_up > 3
    counts_of(both[1])
    [folder] = cache.iterdir()
    largest = max(folder.glob("*-cache"), key=lambda path: path.stat().st_size)
    # As a kill in the middle of writing leaves it: JAX would complain in every process from then on.
    largest.write_bytes(largest.read_bytes()[:100])
    largest.with_name(largest.name.replace("-cache", "-atime")).unlink()
    assert counts_of(selecting("c.csv")) == [looked_up, looked_up - 1]
    assert counts_of(selecting("d.csv")) == [looked_up, looked_up]
    assert counts_of(selecting("e.csv", "--no-compilation-cache")) == [0, 0]
    assert len({(tmp_path / f"{name}.csv").read_bytes() for name in "abcde"}) == 1
