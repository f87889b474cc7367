"""How a round's fit is begun, and which images it sees: what the settings of training come to in an experiment."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxal.config.reading import experiment_config, parse_study
from jaxal.data.dataset import load_source, make_dataset
from jaxal.experiment import fitting, make_experiment, rounds, start, tell
from jaxal.pool import Query
from jaxal.study import prepare_study
from jaxal.training.augmentation import augmented
from jaxal.training.trainer import FitResult
from tests.study.conftest import tiny

RANDOM = {"name": "random", "strategy": "random"}


def experiment_of(**changes):
    study = parse_study(tiny(**changes))
    dataset = make_dataset(load_source(study.data), study.data, 0)
    return make_experiment(experiment_config(study, study.arms[0], 0), dataset)


@pytest.mark.parametrize("begin", ["restart", "continue"])
def test_a_fit_begins_anew_or_with_what_the_round_before_kept(monkeypatch, begin):
    begun = []

    def fit(model, training, key, *arguments, begin, **settings):
        begun.append(begin)
        return FitResult(model.init(key), 1, 1)

    monkeypatch.setattr(fitting, "fit", fit)
    monkeypatch.setattr(rounds, "_scored", lambda *_: [])  # compiling a network takes ten seconds
    experiment = experiment_of(arms=[RANDOM], training={"start": begin})
    query = Query(jnp.arange(9, dtype=jnp.int32), jnp.zeros(9, bool))
    zeroth, _ = start(experiment)
    first, record = tell(experiment, zeroth, query, np.zeros(0, np.int32))
    tell(experiment, first, query, np.zeros(0, np.int32))
    assert record.num_epochs == 1
    if begin == "restart":
        assert begun == [None, None, None]
    else:
        assert begun[0] is None
        for given, kept in zip(begun[1:], (zeroth.variables, first.variables), strict=True):
            assert jax.tree.all(jax.tree.map(np.array_equal, given, kept))


def test_an_arm_s_augmentation_reaches_its_training_alone():
    arms = [RANDOM | {"augmentation": {"rotation": 0}}, RANDOM | {"name": "turned"}]
    changes = {"arms": arms, "augmentation": {"flips": "both", "rotation": 15}}
    plain, flipped = experiment_of(arms=[RANDOM]), experiment_of(**changes)
    assert flipped.model is augmented(plain.model, flipped.config.augmentation)
    assert flipped.model.embed is plain.model.embed
    notes = prepare_study(parse_study(tiny(**changes))).notes
    assert "random: Training images are changed by chance: flipped over both axes." in notes
    assert "turned: Training images are changed by chance: flipped over both axes, turned by up to ±15°." in notes


def test_a_pool_changed_once_is_the_same_for_choosing_and_training():
    changes = {"augmentation": {"rotation": 30, "elastic": 1, "blur": 1, "mode": "pool_once"}, "arms": [RANDOM]}
    plain, changed = experiment_of(arms=[RANDOM]), experiment_of(**changes)
    assert changed.model is plain.model
    streamed = experiment_of(**changes, data=tiny()["data"] | {"images_in_memory": 0}).pool_images
    rows = np.arange(len(changed.pool_ids))[::-7]  # in other batches and another order
    np.testing.assert_array_equal(streamed.read(rows), changed.pool_images[rows])
    share_kept = np.mean(np.asarray(changed.pool_images == plain.pool_images).all(axis=(1, 2, 3)))
    assert share_kept < 0.05
    for name, part in {"validation": changed.validation, **changed.test_sets}.items():
        original = plain.validation if name == "validation" else plain.test_sets[name]
        np.testing.assert_array_equal(part.images, original.images)
    told = prepare_study(parse_study(tiny(**changes))).notes
    assert any(note.startswith("Each image of the pool is changed once by chance, for choosing too") for note in told)


def test_by_default_nothing_is_told_of_the_protocol():
    told = prepare_study(parse_study(tiny())).notes
    assert not any("chance" in note or "goes on from" in note or "better validation" in note for note in told)
