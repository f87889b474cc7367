"""Whom a test set shows: sex, age and site, where the data says them, so that each can be scored apart."""

from collections.abc import Mapping

import numpy as np

__all__ = ["NOT_GIVEN", "place_of", "subgroups"]

# A fact, and the columns that tell it, in lower case; the first that the data has counts.
FACTS = {
    "sex": ("sex", "gender"),
    "age": ("age", "age_approx"),
    "site": ("anatom_site_general_challenge", "anatom_site_general", "anatom_site", "localization", "site"),
}
NOT_GIVEN = "not given"
BLANKS = frozenset({"", "unknown", "nan", "na", "n/a", "none"})
# Lower ends of the bands of age in years, with their names.
AGES = {0: "under 30", 30: "30-49", 50: "50-69", 70: "70 and over"}
# A column with more values, such as one of places of treatment, makes no subgroups that say anything.
MOST = 20


def subgroups(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Find the subgroups of a part: "sex=female", "age=30-49", "site=torso", …, each with its rows.

    Of every fact the rows are split completely: blanks, "unknown" and ages that are no number are "not given". A fact
    that is the same in all rows, or has more than 20 values, makes no subgroup.

    Args:
        columns: further facts of the part, str [n] each.

    Returns:
        For each subgroup by name bool [n], True for its rows: facts in the order of FACTS, ages by their bands, other
        values by name, "not given" last.
    """
    named = {name.lower(): values for name, values in columns.items()}
    found = {}
    for fact, candidates in FACTS.items():
        column = next((named[name] for name in candidates if name in named), None)
        if column is None:
            continue
        kinds, members = np.unique(column, return_inverse=True)
        values = [_value(fact, str(kind)) for kind in kinds]
        if 1 < len(set(values)) <= MOST:
            for value in set(values):
                found[f"{fact}={value}"] = np.isin(members, [k for k, each in enumerate(values) if each == value])
    return {name: found[name] for name in sorted(found, key=place_of)}


def place_of(subgroup: str) -> tuple:
    """Return what subgroups are sorted by: facts as in FACTS, ages by bands, other values by name, blanks last."""
    fact, _, value = subgroup.partition("=")
    bands = list(AGES.values())
    band = bands.index(value) if fact == "age" and value in bands else 0
    return list(FACTS).index(fact), value == NOT_GIVEN, band, value


def _value(fact: str, cell: str) -> str:
    text = cell.strip().lower()
    if text in BLANKS:
        return NOT_GIVEN
    if fact != "age":
        return text
    try:
        years = float(text)
    except ValueError:
        return NOT_GIVEN
    reached = [name for lowest, name in AGES.items() if years >= lowest]
    return reached[-1] if reached and np.isfinite(years) else NOT_GIVEN
