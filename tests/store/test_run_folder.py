import json
import tomllib

import pytest

from jaxal.errors import StoreError
from jaxal.store import run_folder
from jaxal.store.lock import hold
from jaxal.store.run_folder import open_run

TEXT = """
name = "a"
limit = nan
[[arms]]
name = "random"
rate = 1.0
[[arms]]
name = "cb_dal"
[arms.strategy]
kind = "cb_dal"
"""
ENVIRONMENT = {"data_sha256": "ab" * 32, "versions": {"jax": "0.10.2"}, "devices": ["cpu"]}


def start(folder, text=TEXT, environment=ENVIRONMENT):
    return open_run(folder, text, tomllib.loads(text), environment)


def snapshot(folder):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_first_creates_then_resumes_without_a_change(tmp_path):
    folder = tmp_path / "runs" / "a"
    assert start(folder) is False
    assert (folder / "config.toml").read_text() == TEXT
    assert (folder / "environment.json").read_text() == json.dumps(ENVIRONMENT, indent=1, sort_keys=True) + "\n"
    before = snapshot(folder)
    assert start(folder) is True
    assert snapshot(folder) == before


def test_a_held_empty_folder_may_be_used(tmp_path):
    with hold(tmp_path):
        assert start(tmp_path) is False
        assert start(tmp_path) is True


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('"random"', '"entropy"', "arms.0.name: recorded 'random', now 'entropy'"),
        ("rate = 1.0", "rate = 1", "arms.0.rate: recorded 1.0, now 1"),
        ("rate = 1.0", "", "arms.0.rate: recorded 1.0, now nothing"),
        ('kind = "cb_dal"', 'kind = "cb_dal"\nalpha = [1]', "arms.1.strategy.alpha: recorded nothing, now [1]"),
        ("limit = nan", "limit = true", "limit: recorded nan, now True"),
        ('[[arms]]\nname = "random"\nrate = 1.0\n', "", "arms.1: recorded {'name': 'cb_dal', "),
    ],
)
def test_another_config_is_refused_by_dotted_path(tmp_path, old, new, line):
    start(tmp_path)
    before = snapshot(tmp_path)
    with pytest.raises(StoreError) as caught:
        start(tmp_path, TEXT.replace(old, new))
    assert line in str(caught.value)
    assert "another --workdir" in str(caught.value)
    assert snapshot(tmp_path) == before


def test_ten_differences_are_listed_and_the_rest_counted(tmp_path):
    text = "".join(f"key{number} = {{}}\n" for number in range(13))
    start(tmp_path, text.format(*[0] * 13))
    with pytest.raises(StoreError, match="13 settings differ") as caught:
        start(tmp_path, text.format(*[1] * 13))
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:11]] == [f"key{number}" for number in range(10)]
    assert lines[11].strip() == "and 3 more"


@pytest.mark.parametrize("now", ["cd" * 32, None])
def test_changed_data_are_refused(tmp_path, now):
    start(tmp_path)
    with pytest.raises(StoreError, match=rf"data_sha256 was abab\w+, now it is {now}"):
        start(tmp_path, environment=ENVIRONMENT | {"data_sha256": now})


def test_another_version_warns_by_name(tmp_path):
    start(tmp_path)
    with pytest.warns(UserWarning, match=r"versions\.jax: recorded '0\.10\.2', now '0\.11\.0'"):
        assert start(tmp_path, environment=ENVIRONMENT | {"versions": {"jax": "0.11.0"}}) is True


@pytest.mark.parametrize("name", ["photo.jpg", "environment.json", "journal.jsonl"])
def test_a_folder_that_is_no_run_folder_is_refused_untouched(tmp_path, name):
    (tmp_path / name).write_text('{"mine": 1}')
    with pytest.raises(StoreError, match=f"not a run folder.*holds {name}"):
        start(tmp_path)
    assert list(snapshot(tmp_path)) == [name]


@pytest.mark.parametrize("writes", [0, 1])
@pytest.mark.parametrize("leftover", ["", ".config.toml.4711.tmp", ".environment.json.4711.tmp"])
def test_a_creation_killed_anywhere_begins_again(tmp_path, monkeypatch, writes, leftover):
    done = []

    def killed(path, data):
        if len(done) == writes:
            raise KeyboardInterrupt
        done.append(path.name)
        path.write_text(data)

    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "write_atomic", killed)
        with pytest.raises(KeyboardInterrupt):
            start(tmp_path)
    assert "config.toml" not in done
    if leftover:
        (tmp_path / leftover).write_text("{")
    assert start(tmp_path) is False
    assert sorted(snapshot(tmp_path)) == ["config.toml", "environment.json"]
    assert start(tmp_path) is True


@pytest.mark.parametrize("name", ["config.toml", "environment.json"])
@pytest.mark.parametrize("content", [b"\xff[", b"{'", None])
def test_a_damaged_head_is_refused(tmp_path, name, content):
    start(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    if (name, content) == ("config.toml", None):  # as an interrupted creation: nothing else is there yet
        assert start(tmp_path) is False
        return
    with pytest.raises(StoreError, match=rf"cannot read .*{name}"):
        start(tmp_path)


def test_a_config_that_is_not_its_text_is_refused(tmp_path):
    with pytest.raises(ValueError, match="config is not what config_text says"):
        open_run(tmp_path, "a = 1", {"a": 1.0}, ENVIRONMENT)
    assert list(tmp_path.iterdir()) == []
