"""Opening a study's data: what is remembered of it, and what is opened anew."""

import gc
import weakref

import msgspec
import pytest

from jaxal.config.reading import parse_study
from jaxal.errors import DataError
from jaxal.study import opening
from tests.study.conftest import tiny


def ignore(done, total):
    pass


@pytest.fixture
def num_loads(monkeypatch):
    loads, load_source = [], opening.load_source

    def counting(data, on_images):
        loads.append(data.source)
        return load_source(data, on_images)

    monkeypatch.setattr(opening, "load_source", counting)
    return lambda: len(loads)


def test_a_study_and_its_source_are_opened_once_in_succession(num_loads):
    open_study, first = opening.remembering(), parse_study(tiny())
    once = open_study(first, ignore)
    assert open_study(parse_study(tiny()), ignore) is once
    other = open_study(parse_study(tiny(seeds=[2], name="other")), ignore)
    assert num_loads() == 1
    assert other.source is once.source
    assert other.plan == opening.open_study(parse_study(tiny(seeds=[2], name="other")), ignore).plan
    assert num_loads() == 2


def test_a_study_that_cannot_be_hashed_is_remembered_too(num_loads):
    counts = {"kind": "counts", "counts": {"rest": 100, "8": 10}, "parts": "pool"}
    study = parse_study(tiny(data=tiny()["data"] | {"imbalance": counts}))
    open_study = opening.remembering()
    assert open_study(study, ignore) is open_study(study, ignore)
    assert num_loads() == 1


@pytest.mark.parametrize("changed", [{"one_vs_rest": "3"}, {"classes": ["1", "3", "8"]}])
def test_other_data_is_opened_anew(num_loads, changed):
    open_study, study = opening.remembering(), parse_study(tiny())
    once = open_study(study, ignore)
    other = msgspec.structs.replace(study, data=msgspec.convert(tiny()["data"] | changed, type(study.data)))
    assert open_study(other, ignore).plan == opening.open_study(other, ignore).plan
    assert open_study(other, ignore).plan != once.plan
    before = num_loads()
    assert open_study(study, ignore).plan == once.plan
    assert num_loads() == before + 1


def test_a_source_is_let_go_before_the_next_is_loaded(monkeypatch):
    load_source, alive = opening.load_source, []

    def watching(data, on_images):
        gc.collect()
        assert [each for each in alive if each() is not None] == []
        source = load_source(data, on_images)
        source = source._replace(labels=source.labels.copy())
        alive.append(weakref.ref(source.labels))
        return source

    monkeypatch.setattr(opening, "load_source", watching)
    open_study, data = opening.remembering(), tiny()["data"]
    for one_class in ("8", "3", "8"):
        open_study(parse_study(tiny(data=data | {"one_vs_rest": one_class})), ignore).dataset_of(0)
    assert len(alive) == 3


def test_what_is_refused_is_not_remembered(num_loads):
    open_study, study = opening.remembering(), parse_study(tiny())
    refused = msgspec.structs.replace(study, data=msgspec.structs.replace(study.data, minority_class="no such"))
    for _ in range(2):
        with pytest.raises(DataError, match="no such class"):
            open_study(refused, ignore)
    assert num_loads() == 2
    assert open_study(study, ignore).plan == opening.open_study(study, ignore).plan


def test_datasets_of_a_seed_are_made_once():
    opened = opening.open_study(parse_study(tiny()), ignore)
    assert opened.dataset_of(1) is opened.dataset_of(1)
    assert opened.dataset_of(0).pool.ids.tolist() != opened.dataset_of(1).pool.ids.tolist()
