"""`jaxal embed`: a study's images through its network, once, whatever stops it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from embedding_folders import files_of

import jaxal
from jaxal.cli import main
from jaxal.data import embedding_shards
from jaxal.data.dataset import load_source
from jaxal.data.embedding_manifest import digest_of, read_manifest
from tests.study.conftest import tiny

BATCH, SHARD = 64, 2**12  # bytes: of 8 numbers a row, two batches
WORDS = ["--training.inference_batch_size", str(BATCH), "--no-compilation-cache"]

PROGRAM = """
import os, signal, sys
from jaxal.cli import main
from jaxal.data import embedding_shards
from jaxal.training import embedding

compute = embedding.forward_batches

def dying(*arguments):
    for number, result in enumerate(compute(*arguments)):
        if number == 13:
            os.kill(os.getpid(), getattr(signal, sys.argv[1]))
        yield result

embedding_shards.SHARD_BYTES, embedding.forward_batches = int(sys.argv[2]), dying
sys.exit(main(sys.argv[3:]))
"""


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(embedding_shards, "SHARD_BYTES", SHARD)


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A config file in an otherwise empty current folder; of the digits every class is told apart."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(tomli_w.dumps(tiny()))
    return "tiny.toml"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The files of a folder that was made without a disturbance, and what was said of it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(embedding_shards, "SHARD_BYTES", SHARD)
        folder = tmp_path_factory.mktemp("whole")
        (folder / "tiny.toml").write_text(tomli_w.dumps(tiny()))
        assert main(["embed", str(folder / "tiny.toml"), "--out", str(folder / "emb"), *WORDS]) == 0
    return folder / "emb"


def embed(config, *more):
    return ["embed", config, "--out", "emb", *WORDS, *more]


def test_all_images_of_the_source_are_embedded_and_what_was_made_is_said(config, capsys):
    assert main(embed(config)) == 0
    said = capsys.readouterr().out.splitlines()
    manifest = read_manifest(Path("emb"))
    assert said[0] == "note: organ_cnn, random weights, drawn from seed 0: nothing has trained it"
    assert said[1].startswith("1797 images embedded in ")
    assert said[2] == f"1797 rows of 8 numbers, SHA-256 {digest_of(manifest)}"
    before = files_of(Path("emb"))
    assert main(embed(config)) == 0
    assert "emb is complete: every shard is as it was" in capsys.readouterr().out
    assert files_of(Path("emb")) == before
    opened = jaxal.open_embeddings("emb")
    assert opened.class_names == ("rest", "8")
    assert len(opened.ids) == len(set(opened.ids)) == 1797
    assert np.all(np.isfinite(opened.embeddings))
    assert np.std(opened.embeddings) > 0
    picks = jaxal.select("random", embeddings=opened.embeddings, labels=np.full(1797, -1), num_classes=2, budget=5)
    assert len(set(picks.tolist())) == 5
    # What is hidden from a selection is nowhere in the folder.
    hidden = load_source(jaxal.load_study(config).data).labels
    assert (Path("emb") / "samples.csv").read_text().splitlines()[1] == f"0,{opened.ids[0]}"
    assert set(hidden) == {0, 1}


def test_an_arm_s_own_model_other_seeds_and_other_folders(config, capsys, whole):
    assert main(embed(config, "--arms.1.model", "{kind = 'organ_cnn', width = 2}", "--arm", "random")) == 0
    assert "1797 rows of 4 numbers" in capsys.readouterr().out
    assert main(embed(config)) == 1
    said = capsys.readouterr().err
    assert "holds other embeddings; nothing was changed" in said
    assert "model.width: 2 there, 4 here" in said
    assert main(embed(config, "--arm", "rand")) == 2
    assert "--arm rand: no such arm; there are cb, random" in capsys.readouterr().err
    assert main(["embed", config, "--out", str(whole), *WORDS, "--seeds", "[1, 0]"]) == 1
    assert "seed: 0 there, 1 here" in capsys.readouterr().err
    assert main(["embed", config, "--out", ".", *WORDS]) == 1
    assert "holds something else (emb, tiny.toml)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kill", "code"), [pytest.param("SIGKILL", -9, marks=pytest.mark.slow), ("SIGTERM", 143), ("SIGINT", 130)]
)
def test_a_stopped_command_goes_on_and_ends_with_the_same_bytes(config, tmp_path, capsys, whole, kill, code):
    """Killed at the fourteenth batch: six shards are there, and the batch of the seventh is lost."""
    if kill == "SIGKILL":
        words = [sys.executable, "-c", PROGRAM, kill, str(SHARD), *embed(config)]
        done = subprocess.run(
            words, capture_output=True, text=True, env=os.environ | {"JAX_PLATFORMS": "cpu"}, timeout=100
        )
        assert done.returncode == code, done.stderr
    else:
        with pytest.MonkeyPatch.context() as patched:
            from jaxal.training import embedding

            compute = embedding.forward_batches

            def dying(*arguments):
                for number, result in enumerate(compute(*arguments)):
                    if number == 13:
                        signal.raise_signal(getattr(signal, kill))
                    yield result

            patched.setattr(embedding, "forward_batches", dying)
            assert main(embed(config)) == code
        assert "The same command goes on where it was." in capsys.readouterr().err
    names = set(files_of(tmp_path / "emb"))
    assert "embeddings.json" not in names
    assert {"embeddings-00005.npy", "embeddings-00005.json"} <= names
    assert "embeddings-00006.npy" not in names
    assert main(embed(config)) == 0
    assert f"{1797 - 6 * 2 * BATCH} images embedded in" in (said := capsys.readouterr().out)
    assert f", {6 * 2 * BATCH} were there" in said
    found = {name: data for name, data in files_of(tmp_path / "emb").items() if not name.endswith(".tmp")}
    assert found == files_of(whole)
