"""A study whose images do not fit in memory: the same results from few images at a time, also after a crash."""

import gc
import itertools
import os
import threading
import weakref

import numpy as np
import pytest
from PIL import Image

from jaxal.config.reading import parse_study
from jaxal.data.dataset import load_source
from jaxal.data.loading import NUM_THREADS, PREFETCH
from jaxal.errors import DataError
from jaxal.store import checkpoints
from jaxal.study import opening, run_study
from jaxal.study.runner import StudyListener
from tests.study.conftest import outcome, tiny

STREAMED = {"images_in_memory": 0}


class Crash(BaseException):
    """What a kill leaves behind, without the cost of a new process."""


def streamed(**changes):
    document = tiny(**changes)
    return parse_study(document | {"data": document["data"] | STREAMED})


class Alive:
    """How many images that a source has read are held at once."""

    def __init__(self):
        self.changes = []  # appending is atomic, whichever thread or garbage collection does it

    def watch(self, read):
        def noted(rows):
            images = read(rows)
            self.changes.append(len(rows))
            weakref.finalize(images, self.changes.append, -len(rows))
            return images

        return noted

    def most(self):
        return max(itertools.accumulate(self.changes))


@pytest.fixture
def alive(monkeypatch):
    counted = Alive()

    def load_and_watch(*arguments):
        source = load_source(*arguments)
        return source._replace(read=counted.watch(source.read))

    monkeypatch.setattr(opening, "load_source", load_and_watch)
    return counted


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A streamed study that nothing has stopped."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    run_study(streamed(), folder)
    return outcome(folder)


@pytest.fixture
def compiled_as_for_users():
    """Streamed or in place, images go through different programs: only XLA's default emitters round them alike."""
    if "--xla_cpu_use_fusion_emitters=false" in os.environ["XLA_FLAGS"]:
        pytest.skip('set XLA_FLAGS=""')


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_as_for_users")
def test_streamed_images_give_the_same_results(finished, tmp_path):
    _, result = finished
    run_study(streamed(), tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(result.workdir)
    assert "images_in_memory = 0" in (tmp_path / "run" / "config.toml").read_text()
    assert "images_in_memory" not in (result.workdir / "config.toml").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_as_for_users")
def test_few_images_are_held_at_a_time(tmp_path, alive):
    """Embedding, training, validation and test read batches of 8 from a pool of over 1,200; no part is read whole."""
    split = {"validation_fraction": 0.1, "test_fraction": 0.2, "validation": "from_labeled"}
    changes = {
        "data": {"source": {"kind": "digits"}, "split": split},
        "training": {"num_epochs": 2, "batch_size": 8, "inference_batch_size": 8},
        "schedule": {"initial_fraction": 0.03, "query_size": 9, "num_rounds": 1},
        "seeds": [0],
        "arms": [{"name": "entropy", "strategy": "entropy"}],
    }
    run_study(parse_study(tiny(**changes)), tmp_path / "whole")
    assert alive.most() > 1200  # the watch sees what lies in place
    gc.collect()
    assert sum(alive.changes) < 100
    alive.changes.clear()
    run_study(streamed(**changes), tmp_path / "some")
    # Read ahead, on the device or on their way there, and those that a thread has just handed over.
    assert 8 < alive.most() <= 8 * (PREFETCH + NUM_THREADS + 4)
    assert sum(change for change in alive.changes if change > 0) > 2000
    assert outcome(tmp_path / "some") == outcome(tmp_path / "whole")


@pytest.mark.parametrize(
    ("fatal_read", "error"),
    [
        (40, DataError("a shard is damaged")),
        *(pytest.param(number, Crash(), marks=pytest.mark.slow) for number in (3, 40, 200)),
    ],
)
def test_a_crash_amid_streamed_images_changes_nothing(undisturbed, tmp_path, monkeypatch, fatal_read, error):
    reads = 0

    def load_and_crash(*arguments):
        source = load_source(*arguments)

        def dying(rows):
            nonlocal reads
            reads += 1
            if reads >= fatal_read:
                raise error
            return source.read(rows)

        return source._replace(read=dying)

    with monkeypatch.context() as patched:
        patched.setattr(opening, "load_source", load_and_crash)
        with pytest.raises(type(error)) as caught:
            run_study(streamed(), tmp_path / "run")
    assert caught.value is error
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("jaxal-load")]
    run_study(streamed(), tmp_path / "run")
    assert outcome(tmp_path / "run") == undisturbed


@pytest.mark.slow
def test_a_shard_that_is_damaged_amid_a_study_is_one_error_and_nothing_is_lost(tmp_path):
    digits = load_source(parse_study(tiny()).data)
    for row, (image, label) in enumerate(zip(digits.read(np.arange(400)), digits.labels, strict=False)):
        folder = tmp_path / "images" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(folder / f"{row}.png")
    source = {"kind": "folder", "path": str(tmp_path / "images"), "image_size": 8, "color": "gray"}
    source |= {"cache": str(tmp_path / "cache")}
    data = tiny()["data"] | {"source": source, "one_vs_rest": "1", "images_in_memory": 0}
    study = parse_study(tiny(data=data, seeds=[0], arms=[{"name": "random", "strategy": "random"}]))
    run_study(study, tmp_path / "undisturbed")
    (shard,) = (tmp_path / "cache").rglob("*.npy")

    def damage(arm, seed, number, num_rounds):
        content = bytearray(shard.read_bytes())
        content[-100] ^= 1
        shard.write_bytes(content)

    with pytest.raises(DataError, match="changed or damaged while in use"):
        run_study(study, tmp_path / "run", StudyListener(on_round=damage))
    journal = (tmp_path / "run" / "random" / "seed-0" / "journal.jsonl").read_text()
    assert '"event": "round", "round": 0' in journal or '"event":"round","round":0' in journal
    run_study(study, tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_stop_while_images_are_streamed_leaves_no_thread_and_goes_on(finished, tmp_path):
    _, result = finished

    def stop(num_steps):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(streamed(), tmp_path / "run", StudyListener(on_steps=stop))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("jaxal-load")]
    run_study(streamed(), tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(result.workdir)
    assert np.all(np.diff(sorted(checkpoints.steps(tmp_path / "run" / "cb" / "seed-0" / "checkpoints"))) == 1)
