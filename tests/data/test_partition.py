"""Which part a sample belongs to: disjoint, groups whole, given parts kept, an external test told by its column."""

import numpy as np
import pytest
from data_sources import made_source
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxal.config.data import ExternalConfig, SplitConfig
from jaxal.data.partition import partition
from jaxal.data.splits import draw_parts, draw_priorities
from jaxal.errors import DataError

# A fixed sequence, so that red stays red; no clock, because of the first compilation and shared machines.
SAME_EXAMPLES = settings(deadline=None, derandomize=True, database=None)

CONFIG = SplitConfig(validation_fraction=0.2, test_fraction=0.1)
PARTS = ("pool", "validation", "test", "external")


def source_of(labels, **facts):
    num_classes = int(max(labels)) + 1
    return made_source([int(each) for each in labels], tuple(f"c{c}" for c in range(num_classes)))._replace(**facts)


def sides(split):
    return {name: set(getattr(split, name).tolist()) for name in PARTS}


def assert_disjoint(split):
    rows = np.concatenate([getattr(split, name) for name in PARTS])
    assert len(set(rows.tolist())) == len(rows)


def assert_no_group_on_two_sides(split, groups):
    held = [set(np.asarray(groups)[getattr(split, name)]) for name in PARTS]
    for number, one in enumerate(held):
        for other in held[number + 1 :]:
            assert not one & other


def patients(num_patients, seed, max_images=12, malignant=0.2):
    """Make patients with 1 … max_images images; a patient in five has one or two of class 1."""
    rng = np.random.default_rng(seed)
    groups, labels = [], []
    for patient in range(num_patients):
        count = int(rng.integers(1, max_images + 1))
        own = np.zeros(count, int)
        if rng.random() < malignant:
            own[: rng.integers(1, 3)] = 1
        groups += [f"p{patient}"] * count
        labels += own.tolist()
    order = rng.permutation(len(labels))
    return np.array(labels)[order], np.array(groups)[order]


@pytest.mark.parametrize("seed", range(5))
def test_patients_go_whole_and_classes_keep_their_shares(seed):
    labels, groups = patients(400, 1)
    split = partition(source_of(labels, groups=groups), CONFIG, seed)
    assert_disjoint(split)
    assert_no_group_on_two_sides(split, groups)
    assert sum(len(rows) for rows in sides(split).values()) == len(labels)
    totals = np.bincount(labels)
    for rows, fraction, num_groups in ((split.test, 0.1, 1), (split.validation, 0.2, 1), (split.pool, 0.7, 2)):
        # A group is 12 images at most, of which 2 are of the rare class; the pool is short of what the others took.
        off = np.abs(np.bincount(labels[rows], minlength=2) - fraction * totals)
        assert np.all(off <= np.array([12, 2]) * num_groups + 0.5)


def test_group_size_does_not_decide_the_side():
    labels, groups = patients(300, 2)
    _, members, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    means = []
    for seed in range(60):
        split = partition(source_of(labels, groups=groups), CONFIG, seed)
        means.append([sizes[np.unique(members[getattr(split, name)])].mean() for name in ("pool", "test")])
    pool, test = np.mean(means, axis=0)
    # 12 % of the mean is four standard errors of 60 seeds × 30 groups.
    assert abs(pool - test) < 0.12 * sizes.mean()


def test_from_three_groups_on_a_class_is_on_every_side():
    labels = np.array([0] * 30 + [1] * 30)
    groups = np.array([f"g{number // 10}" for number in range(60)])
    split = partition(source_of(labels, groups=groups), SplitConfig(), 3)
    for name in ("pool", "validation", "test"):
        assert np.bincount(labels[getattr(split, name)], minlength=2).tolist() == [10, 10]


def test_the_same_seed_gives_the_same_groups_and_another_gives_others():
    labels, groups = patients(200, 4)
    source = source_of(labels, groups=groups)
    assert sides(partition(source, CONFIG, 1)) == sides(partition(source, CONFIG, 1))
    assert sides(partition(source, CONFIG, 1)) != sides(partition(source, CONFIG, 2))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=1, max_size=60), st.integers(0, 99))
@settings(SAME_EXAMPLES)
def test_groups_are_never_torn_whatever_they_hold(samples, seed):
    labels = np.array([label for label, _ in samples])
    groups = np.array([f"g{group}" for _, group in samples])
    parts = draw_parts(labels, groups, 4, (0.1, 0.2), draw_priorities(len(labels), seed, "split"))
    rest = np.setdiff1d(np.arange(len(labels)), np.concatenate(parts))
    held = [set(groups[part]) for part in (*parts, rest)]
    assert sum(map(len, held)) == len(set(groups))
    assert len(rest) > 0


GIVEN = np.array(["train"] * 60 + ["validation"] * 20 + ["test"] * 20)
MIXED = np.array([0, 0, 0, 1] * 25)


def test_given_parts_are_used_as_they_are():
    split = partition(source_of(MIXED, parts=GIVEN), CONFIG, 0)
    assert split.pool.tolist() == list(range(60))
    assert split.validation.tolist() == list(range(60, 80))
    assert split.test.tolist() == list(range(80, 100))
    assert split.notes == ("The data's own split is used for: validation, test.",)


def test_a_given_test_part_alone_leaves_validation_to_be_drawn_from_the_training_part():
    parts = np.array(["train"] * 80 + ["test"] * 20)
    split = partition(source_of(MIXED, parts=parts), CONFIG, 0)
    assert split.test.tolist() == list(range(80, 100))
    assert np.bincount(MIXED[split.validation]).tolist() == [12, 4]  # 0.2 of 60 and 20
    assert_disjoint(split)


def test_given_parts_can_be_ignored():
    split = partition(source_of(MIXED, parts=GIVEN), SplitConfig(given="ignore"), 0)
    assert np.bincount(MIXED[split.test]).tolist() == [8, 3]
    assert split.notes == ()


def test_validation_from_labeled_leaves_no_validation_part():
    drawn = partition(source_of(MIXED), SplitConfig(validation="from_labeled", test_fraction=0.2), 0)
    assert (len(drawn.pool), len(drawn.validation), len(drawn.test)) == (80, 0, 20)
    given_one = partition(source_of(MIXED, parts=GIVEN), SplitConfig(validation="from_labeled"), 0)
    assert (len(given_one.pool), len(given_one.validation), len(given_one.test)) == (80, 0, 20)
    assert "validation part joins the pool" in given_one.notes[0]


def test_groups_torn_by_a_given_split_stay_in_the_test_part():
    groups = np.array([f"group-{number}" for number in range(100)])
    groups[[0, 1, 99]] = "torn"
    groups[[2, 60]] = "other"
    split = partition(source_of(MIXED, parts=GIVEN, groups=groups), CONFIG, 0)
    assert_no_group_on_two_sides(split, groups)
    assert split.test.tolist() == list(range(80, 100))
    assert 60 in split.validation
    assert not {0, 1, 2} & set(split.pool.tolist())
    assert split.notes[0].startswith("3 samples are left out (3 of the train part): their groups (2: other, torn) are")


CENTERS = np.array(["A", "B", "C", "B"] * 25)


def test_an_external_test_is_told_by_its_column():
    source = source_of(MIXED, columns={"center": CENTERS})
    config = SplitConfig(external=ExternalConfig(column="center", internal=("B",)))
    split = partition(source, config, 0)
    assert set(split.external.tolist()) == set(np.flatnonzero(CENTERS != "B").tolist())
    assert_disjoint(split)
    for name in ("pool", "validation", "test"):
        assert len(getattr(split, name))
        assert set(CENTERS[getattr(split, name)]) == {"B"}


def test_a_patient_seen_in_two_centers_stays_where_most_of_the_images_are():
    groups = np.array([f"g{number // 2}" for number in range(100)])  # pairs of A and B, of C and B
    source = source_of(MIXED, columns={"center": CENTERS}, groups=groups)
    config = SplitConfig(external=ExternalConfig(column="center", internal=("A",)))
    split = partition(source, config, 0)
    assert_no_group_on_two_sides(split, groups)
    assert sum(map(len, (split.pool, split.validation, split.test))) == 25
    assert set(CENTERS[split.external]) == {"B", "C"}
    assert "25 samples are left out (25 of the external part)" in split.notes[0]
    groups[:8] = "mostly external"  # two of A, six of others
    split = partition(source._replace(groups=groups), config, 0)
    assert_no_group_on_two_sides(split, groups)
    assert set(range(8)) - {0, 4} <= set(split.external)
    assert "2 of the train part" in split.notes[0]


def test_an_external_test_that_groups_leave_nothing_of_is_refused():
    groups = np.array([f"{number // 4}" for number in range(100)])  # each center numbers from 0: A, B, C and B share
    source = source_of(MIXED, columns={"center": CENTERS}, groups=groups)
    config = SplitConfig(external=ExternalConfig(column="center", internal=("A", "B")))
    with pytest.raises(DataError, match=r"external: no sample is left on one side. 25 samples are left out .*distinct"):
        partition(source, config, 0)


def test_an_empty_cell_is_no_center():
    centers = np.where(np.arange(100) < 3, "", CENTERS)
    config = SplitConfig(external=ExternalConfig(column="center", internal=("B",)))
    with pytest.raises(DataError, match=r"column = 'center': 3 of 100 cells are empty"):
        partition(source_of(MIXED, columns={"center": centers}), config, 0)


def test_given_test_rows_that_are_all_external_are_not_called_used():
    parts = np.where(CENTERS == "B", "train", "test")
    source = source_of(MIXED, columns={"center": CENTERS}, parts=parts)
    split = partition(source, SplitConfig(external=ExternalConfig(column="center", internal=("B",))), 0)
    assert split.notes == ()
    assert 0 < len(split.test) < 10
    assert set(CENTERS[split.test]) == {"B"}


@pytest.mark.parametrize("seed", range(20))
def test_a_patient_with_most_of_the_images_stays_in_the_pool(seed):
    groups = np.array(["giant"] * 150 + [f"p{number}" for number in range(10)])
    labels = np.arange(160) % 5 == 0
    split = partition(source_of(labels.astype(int), groups=groups), SplitConfig(), seed)
    assert set(range(150)) <= set(split.pool)
    assert len(split.test) >= 1
    assert len(split.validation) >= 1


@pytest.mark.parametrize(
    ("external", "message"),
    [
        (ExternalConfig(column="hospital", internal=("A",)), r"column = 'hospital': no such column; .*: center"),
        (ExternalConfig(column="center", internal=("A", "D")), r"internal: 'D' not in column 'center'; it has A, B, C"),
        (ExternalConfig(column="center", internal=("A", "B", "C")), r"every value of column 'center' is internal"),
    ],
)
def test_an_external_column_that_does_not_fit_is_refused(external, message):
    source = source_of(MIXED, columns={"center": CENTERS})
    with pytest.raises(DataError, match=message):
        partition(source, SplitConfig(external=external), 0)


def isic_patients(seed):
    """Make 33,126 images of 2,056 patients (1 … 115 images, skewed), 584 malignant in 428 of them."""
    rng = np.random.default_rng(seed)
    sizes = np.clip(np.round(rng.lognormal(2.2, 1.1, 2056)), 1, 115).astype(int)
    sizes[0] = 115
    while (left := 33126 - sizes.sum()) != 0:
        some = rng.choice(np.arange(1, 2056), min(abs(left), 500), replace=False)
        sizes[some] = np.clip(sizes[some] + np.sign(left), 1, 115)
    malignant = np.zeros(2056, int)
    chosen = rng.choice(2056, 428, replace=False)
    malignant[chosen] = 1
    while malignant.sum() < 584:
        patient = rng.choice(chosen)
        malignant[patient] += malignant[patient] < min(8, sizes[patient])
    groups = np.repeat(np.arange(2056), sizes)
    labels = np.concatenate([np.arange(size) < count for size, count in zip(sizes, malignant, strict=True)])
    order = rng.permutation(33126)
    return labels[order].astype(int), np.char.add("IP_", groups[order].astype(str))


def test_a_hundred_splits_of_isic_2020_keep_patients_whole_and_classes_in_their_shares():
    labels, groups = isic_patients(0)
    assert (len(labels), labels.sum(), len(np.unique(groups))) == (33126, 584, 2056)
    source = source_of(labels, groups=groups)
    _, members = np.unique(groups, return_inverse=True)
    tests = set()
    for seed in range(100):
        split = partition(source, SplitConfig(), seed)
        sizes = {name: len(getattr(split, name)) for name in PARTS}
        assert sum(sizes.values()) == len(labels)
        on_sides = [np.bincount(members[getattr(split, name)], minlength=2056) > 0 for name in PARTS]
        assert np.sum(on_sides, axis=0).tolist() == [1] * 2056
        for name, fraction in (("pool", 0.8), ("validation", 0.1), ("test", 0.1)):
            own = labels[getattr(split, name)]
            assert abs(len(own) / len(labels) - fraction) <= 0.01
            assert abs(own.mean() - labels.mean()) <= 0.01  # of a part's images, so many are of the class
            assert abs(own.sum() / labels.sum() - fraction) <= 0.01  # of a class, so many are in the part
        tests.add(split.test.tobytes())
        assert split.notes == ()
    assert len(tests) == 100


@pytest.mark.parametrize("num_classes", [2, 5])
def test_a_hundred_splits_of_few_patients_keep_classes_in_their_shares(num_classes):
    rng = np.random.default_rng(0)
    groups = np.array([f"p{number}" for number in rng.integers(0, 150, 1500)])
    labels = np.minimum(rng.geometric(0.6, 1500) - 1, num_classes - 1)
    source, tests = source_of(labels, groups=groups), set()
    shares = np.bincount(labels) / len(labels)
    for seed in range(100):
        split = partition(source, SplitConfig(), seed)
        assert_disjoint(split)
        assert_no_group_on_two_sides(split, groups)
        for name, fraction in (("pool", 0.8), ("validation", 0.1), ("test", 0.1)):
            rows = getattr(split, name)
            assert abs(len(rows) / len(labels) - fraction) <= 0.01
            assert np.abs(np.bincount(labels[rows], minlength=num_classes) / len(rows) - shares).max() <= 0.01
        tests.add(split.test.tobytes())
    assert len(tests) == 100


def test_split_by_image_says_what_leaks():
    labels = np.arange(100) % 2
    groups = np.array([f"p{number // 10}" for number in range(100)])
    source = source_of(labels, groups=groups)
    split = partition(source, SplitConfig(by="image"), 0)
    assert [len(sides(split)[name]) for name in PARTS] == [80, 10, 10, 0]
    pool, test, validation = (set(groups[rows]) for rows in (split.pool, split.test, split.validation))
    leaking = sum(groups[row] in pool for row in split.test)
    torn = len((pool & test) | (pool & validation) | (test & validation))
    assert leaking > 5
    leaking_too = sum(groups[row] in pool for row in split.validation)
    assert split.notes == (
        f"WARNING: split by image: {leaking} of 10 test images ({leaking / 10:.1%}) are of a group (patient) that is in"
        f" the pool too; {leaking_too} of 10 validation images ({leaking_too / 10:.1%}) are of a group (patient) that"
        f" is in the pool too. {torn} of 10 groups are on more than one side. Results are better than they would be for"
        ' new patients; data.split.by = "group" keeps groups together.',
    )
    alone = partition(source._replace(groups=None), SplitConfig(by="image"), 0)
    assert sides(alone) == sides(split)
    assert alone.notes == ("Split by image: the data has no groups, so what leaks between the parts is not known.",)
    assert sides(alone) == sides(partition(source._replace(groups=None), SplitConfig(), 0))


def test_split_by_image_takes_given_parts_as_they_are():
    groups = np.array([f"p{number % 7}" for number in range(100)])
    source = source_of(np.arange(100) % 2, groups=groups, parts=GIVEN)
    split = partition(source, SplitConfig(by="image"), 0)
    assert [len(sides(split)[name]) for name in PARTS] == [60, 20, 20, 0]
    assert "20 of 20 test images (100.0%)" in split.notes[-1]
    assert "7 of 7 groups are on more than one side" in split.notes[-1]
