"""Sources and the data of one experiment."""

import msgspec
import numpy as np
import pytest
from data_sources import made_source

from jaxal.config.data import CountsImbalanceConfig, DataConfig, DigitsConfig, RatioImbalanceConfig, SplitConfig
from jaxal.data.dataset import load_source, make_dataset
from jaxal.data.readers.digits import read_digits
from jaxal.data.source import class_index, keep_classes, one_vs_rest
from jaxal.errors import DataError

SPLIT = SplitConfig(validation_fraction=0.25, test_fraction=0.25)
SOURCE = made_source([0, 1, 2, 1, 0, 0, 1, 0, 0, 0] * 20, ("common", "middle", "rare"))  # 120, 60, 20


def config(**changes) -> DataConfig:
    return DataConfig(**({"source": DigitsConfig(), "split": SPLIT} | changes))


@pytest.fixture(scope="module")
def digits():
    return read_digits(DigitsConfig())


def test_the_digits_are_all_there_and_described_truly(digits):
    images = digits.read(np.arange(len(digits.labels)))
    assert images.shape == (1797, 8, 8, 1)
    assert digits.image_shape == images.shape[1:]
    assert images.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 255)
    assert digits.labels.dtype == np.int32
    assert np.bincount(digits.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert digits.class_names == tuple("0123456789")
    assert len(set(digits.ids)) == 1797
    assert (digits.ids[0], digits.ids[1796]) == ("digit-0000", "digit-1796")
    np.testing.assert_allclose(digits.mean, [images.mean() / 255], atol=1e-3)
    np.testing.assert_allclose(digits.std, [images.std() / 255], atol=1e-3)


def test_the_digits_are_those_of_scikit_learn(digits):
    from sklearn.datasets import load_digits

    rows = np.array([3, 1000, 3])
    ink = load_digits().images[rows]
    np.testing.assert_allclose(digits.read(rows)[..., 0], ink * 255 / 16, atol=0.5)
    assert digits.read(np.array([], np.int64)).shape == (0, 8, 8, 1)


def test_the_digits_fingerprint_is_the_same_each_time(digits):
    assert read_digits(DigitsConfig()).fingerprint == digits.fingerprint
    assert len(bytes.fromhex(digits.fingerprint)) == 32


def test_one_against_the_rest(digits):
    eights = one_vs_rest(digits, "8")
    assert eights.class_names == ("rest", "8")
    assert eights.labels.dtype == np.int32
    assert np.array_equal(eights.labels == 1, digits.labels == 8)
    assert np.array_equal(eights.ids, digits.ids)
    assert eights.read is digits.read


def test_classes_are_kept_in_the_order_asked_and_all_else_is_left_out(digits):
    columns = {"written by": np.array([f"hand {n % 7}" for n in range(len(digits.labels))])}
    source = digits._replace(columns=columns, groups=columns["written by"], parts=np.full(len(digits.labels), "train"))
    kept = keep_classes(source, ("8", "3"))
    rows = np.flatnonzero(np.isin(digits.labels, [3, 8]))
    assert kept.class_names == ("8", "3")
    assert kept.labels.dtype == np.int32
    assert np.array_equal(kept.labels, digits.labels[rows] == 3)
    assert np.array_equal(kept.ids, digits.ids[rows])
    assert np.array_equal(kept.groups, columns["written by"][rows])
    assert np.array_equal(kept.columns["written by"], columns["written by"][rows])
    assert len(kept.parts) == len(rows)
    some = np.array([5, 0, 5, len(rows) - 1])
    assert np.array_equal(kept.read(some), digits.read(rows[some]))
    assert any(note.startswith(f"{len(digits.labels) - len(rows)} images of classes") for note in kept.notes)
    fingerprints = {keep_classes(digits, names).fingerprint for names in (("3", "8"), ("8", "3"), ("3",))}
    assert len({digits.fingerprint, *fingerprints}) == 4
    with pytest.raises(DataError, match=r"data\.classes = 'x': no such class; there are 0, 1,"):
        keep_classes(digits, ("3", "x"))
    with pytest.raises(DataError, match=r"data\.classes: a class is named twice: 3, 3"):
        keep_classes(digits, ("3", "3"))


def test_classes_are_found_by_name_or_refused(digits):
    assert class_index(digits, "7", "data.minority_class") == 7
    with pytest.raises(DataError) as caught:
        class_index(digits, "ten", "data.minority_class")
    assert str(caught.value) == ("data.minority_class = 'ten': no such class; there are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9")


def test_load_source_makes_two_classes_where_asked_and_checks_names():
    assert load_source(config()).class_names == tuple("0123456789")
    assert load_source(config(one_vs_rest="3", minority_class="3")).class_names == ("rest", "3")
    assert load_source(config(classes=("5", "3"))).class_names == ("5", "3")
    with pytest.raises(DataError, match=r"at least two classes are needed, found 1"):
        load_source(config(classes=("5",)))
    with pytest.raises(DataError, match=r"data\.one_vs_rest = 'x': no such class; there are 0, 1,"):
        load_source(config(one_vs_rest="x"))
    with pytest.raises(DataError, match=r"data\.minority_class = '5': no such class; there are rest, 3"):
        load_source(config(one_vs_rest="3", minority_class="5"))


def test_parts_are_disjoint_complete_and_hold_what_they_say():
    dataset = make_dataset(SOURCE, config(), 0)
    parts = (dataset.pool, dataset.validation, dataset.test)
    assert sorted(np.concatenate([part.sample_ids for part in parts])) == list(range(200))
    for part in parts:
        assert part.sample_ids.dtype == np.int32
        assert part.labels.dtype == np.int32
        assert np.array_equal(part.labels, SOURCE.labels[part.sample_ids])
        assert np.array_equal(part.ids, SOURCE.ids[part.sample_ids])
        assert (part.images.num_images, part.images.image_shape) == (len(part.ids), (2, 2, 1))
        assert np.array_equal(part.images.read(np.arange(len(part.ids)))[:, 0, 0, 0], part.sample_ids % 256)
    assert np.bincount(dataset.test.labels).tolist() == [30, 15, 5]
    assert (dataset.class_names, dataset.mean, dataset.std) == (SOURCE.class_names, SOURCE.mean, SOURCE.std)


def test_the_same_seed_gives_the_same_data_and_another_gives_others_of_the_same_sizes():
    imbalanced = config(imbalance=RatioImbalanceConfig(ratio=30.0))
    one, same, other = (make_dataset(SOURCE, imbalanced, seed) for seed in (1, 1, 2))
    for name in ("pool", "validation", "test"):
        assert np.array_equal(getattr(one, name).sample_ids, getattr(same, name).sample_ids)
        assert not np.array_equal(getattr(one, name).sample_ids, getattr(other, name).sample_ids)
        assert len(getattr(one, name).labels) == len(getattr(other, name).labels)


def test_making_the_parts_reads_no_image():
    def refuse(rows):
        raise AssertionError

    dataset = make_dataset(SOURCE._replace(read=refuse), config(), 0)
    with pytest.raises(AssertionError):
        dataset.pool.images.read(np.arange(1))


@pytest.mark.parametrize("parts", ["pool", "pool_and_validation"])
def test_the_test_part_is_never_pruned_and_the_others_as_asked(parts):
    whole = make_dataset(SOURCE, config(), 3)
    pruned = make_dataset(SOURCE, config(imbalance=RatioImbalanceConfig(ratio=30.0, parts=parts)), 3)
    assert np.array_equal(pruned.test.sample_ids, whole.test.sample_ids)
    assert np.bincount(pruned.pool.labels).tolist() == [60, 30, 3]
    if parts == "pool":
        assert np.array_equal(pruned.validation.sample_ids, whole.validation.sample_ids)
    else:
        assert np.bincount(pruned.validation.labels == 2).tolist() == [30, 1]
    assert set(pruned.pool.sample_ids) < set(whole.pool.sample_ids)
    assert pruned.minority == 2


def test_the_minority_is_the_rarest_or_the_one_named():
    assert make_dataset(SOURCE, config(), 0).minority == 2
    named = config(minority_class="middle", imbalance=RatioImbalanceConfig(ratio=5.0))
    dataset = make_dataset(SOURCE, named, 0)
    assert dataset.minority == 1
    assert np.bincount(dataset.pool.labels).tolist() == [60, 14, 10]


def test_one_class_against_the_rest_is_the_minority_whatever_its_size():
    source = one_vs_rest(SOURCE, "common")
    half = config(one_vs_rest="common", imbalance=RatioImbalanceConfig(ratio=10.0))
    dataset = make_dataset(source, half, 0)
    assert np.bincount(dataset.pool.labels).tolist() == [40, 4]
    assert dataset.minority == 1
    even = msgspec.structs.replace(half, imbalance=RatioImbalanceConfig(ratio=1.0))
    dataset = make_dataset(source, even, 0)
    assert np.bincount(dataset.pool.labels).tolist() == [40, 40]
    assert dataset.minority == 1


@pytest.mark.parametrize(("counts", "expected"), [({"common": 30, "middle": 9}, [39, 10]), ({"rest": 50}, [50, 10])])
def test_counts_are_of_the_two_classes_or_of_those_behind_them(counts, expected):
    imbalance = CountsImbalanceConfig(counts=counts, parts="pool")
    source = one_vs_rest(SOURCE, "rare")
    dataset = make_dataset(source, config(one_vs_rest="rare", imbalance=imbalance), 0)
    assert np.bincount(dataset.pool.labels).tolist() == expected
    if "common" in counts:
        assert np.bincount(SOURCE.labels[dataset.pool.sample_ids]).tolist() == [30, 9, 10]
    wrong = CountsImbalanceConfig(counts={"none": 1})
    with pytest.raises(DataError, match=r"no class 'none' \(there are common, middle, rare\)"):
        make_dataset(source, config(one_vs_rest="rare", imbalance=wrong), 0)


def test_an_empty_part_is_refused_by_name():
    few = made_source([0, 1, 0, 1], ("a", "b"))
    with pytest.raises(DataError, match=r"^data\.split: the validation part is empty \(4 samples in all\)\. Set"):
        make_dataset(few, config(split=SplitConfig(validation_fraction=0.1, test_fraction=0.5)), 0)
    with pytest.raises(DataError, match=r"^data\.split: the test part is empty"):
        make_dataset(few, config(split=SplitConfig(validation_fraction=0.5, test_fraction=0.1)), 0)
    with pytest.raises(DataError, match=r"^data\.split: the pool part is empty"):
        make_dataset(few, config(split=SplitConfig(validation_fraction=0.4, test_fraction=0.5)), 0)
