"""What several processes must have alike is compared before anything is done, and what differs is named."""

import pytest

from jaxal import processes
from jaxal.errors import ProcessError
from jaxal.processes import talking

HERE = {"config": "3f2a", "data": "77aa", "version of jax": "0.10.2"}


def told_by(monkeypatch, *facts):
    hosts = [f"host{number}" for number in range(len(facts))]
    monkeypatch.setattr(talking, "from_each", lambda what, value: hosts if what == "hosts" else list(facts))


def test_processes_that_are_alike_agree(monkeypatch):
    told_by(monkeypatch, HERE, dict(HERE), dict(HERE))
    processes.agree(HERE)


def test_what_differs_is_named_with_its_process(monkeypatch):
    told_by(monkeypatch, HERE, dict(HERE), HERE | {"data": "beef"}, {**HERE, "extra": "1"})
    with pytest.raises(ProcessError) as refused:
        processes.agree(HERE)
    lines = str(refused.value).splitlines()
    assert lines[1:-1] == [
        "  data: 77aa in process 0 (host0), beef in process 2 (host2)",
        "  extra: nothing in process 0 (host0), 1 in process 3 (host3)",
    ]
    assert "same command" in lines[-1]


def test_a_single_process_is_the_first_and_talks_to_itself():
    assert processes.is_first()
    assert processes.num_processes() == 1
    assert processes.from_first("x", lambda: {"a": 1}) == {"a": 1}
    assert processes.from_each("x", 7) == [7]
    with processes.ending_together():
        processes.agree(HERE)
