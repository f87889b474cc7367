"""Subgroups of a part by sex, age and site."""

import numpy as np
import pytest

from jaxal.data.subgroups import NOT_GIVEN, subgroups


def column(*cells):
    return np.array(cells, np.str_)


def test_every_fact_splits_the_rows_completely():
    found = subgroups(
        {
            "patient": column("a", "b", "c", "d", "e"),
            "Sex": column("female", "Male", "", "unknown", "female"),
            "age_approx": column("29.9", "30", "70.0", "NA", "69"),
            "anatom_site_general_challenge": column("torso", "head/neck", "torso", "", "torso"),
        }
    )
    assert {name: np.flatnonzero(rows).tolist() for name, rows in found.items()} == {
        "sex=female": [0, 4],
        "sex=male": [1],
        "sex=not given": [2, 3],
        "age=under 30": [0],
        "age=30-49": [1],
        "age=50-69": [4],
        "age=70 and over": [2],
        "age=not given": [3],
        "site=head/neck": [1],
        "site=torso": [0, 2, 4],
        "site=not given": [3],
    }


@pytest.mark.parametrize("age", ["", "old", "-3", "nan", "inf", "1e999"])
def test_an_age_that_is_none_is_not_given(age):
    found = subgroups({"age": column("40", age)})
    assert found[f"age={NOT_GIVEN}"].tolist() == [False, True]


def test_what_does_not_part_makes_no_subgroup():
    assert subgroups({}) == {}
    assert subgroups({"sex": column("f", "f"), "center": column("A", "B")}) == {}
    assert subgroups({"localization": column(*(f"place {k}" for k in range(21)))}) == {}
    assert len(subgroups({"localization": column(*(f"place {k}" for k in range(20)))})) == 20


def test_the_first_column_that_tells_a_fact_counts():
    found = subgroups({"site": column("x", "y"), "localization": column("back", "face")})
    assert list(found) == ["site=back", "site=face"]
