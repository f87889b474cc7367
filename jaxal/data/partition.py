"""Which part each sample of a source belongs to: drawn, given with the data, or told by a column."""

from typing import NamedTuple

import numpy as np

from jaxal.config.data import ExternalConfig, SplitConfig
from jaxal.data.source import TEST, TRAIN, VALIDATION, ImageSource
from jaxal.data.splits import draw_parts, draw_priorities
from jaxal.errors import DataError

__all__ = ["Partition", "partition"]

_EXTERNAL, _LEFT_OUT = "external", "left out"
_INTERNAL = (TEST, VALIDATION, TRAIN)  # where a torn group stays, if it can
_SIDES = (*_INTERNAL, _EXTERNAL)


class Partition(NamedTuple):
    """Source indices of each part, ascending; disjoint, and no group in two of them unless split by image."""

    pool: np.ndarray
    validation: np.ndarray  # empty where validation is held out of the labels
    test: np.ndarray
    external: np.ndarray  # empty where there is no external test set
    notes: tuple[str, ...]  # what was left out, and which parts are the data's own


def partition(source: ImageSource, config: SplitConfig, seed: int) -> Partition:
    """Part a source; the same seed gives the same parts.

    External rows are told by their column, the test and validation parts by the data where it comes with them; what is
    not given is drawn from the rest, stratified by class, whole groups. A group with samples on both sides of the
    external column stays where it has more of them (internal if equal), one that given parts tear apart in the first
    of test, validation and pool that has it; its other samples are left out. With by = "image" groups count for
    nothing, and a note says what leaks.

    Raises:
        DataError: the external column or a value of it is not in the data, a cell of it is empty, or no sample is left
            on one side of it.
    """
    sides = np.full(len(source.labels), TRAIN, dtype="<U10")
    notes = []
    if source.parts is not None and config.given == "use":
        sides = source.parts.astype("<U10")
        if config.validation == "from_labeled" and np.any(sides == VALIDATION):
            sides[sides == VALIDATION] = TRAIN
            notes.append("The data's own validation part joins the pool: validation is held out of the labels bought.")
    if config.external is not None:
        sides[_is_external(source, config.external)] = _EXTERNAL
    groups = source.groups if config.by == "group" else None
    notes += _leave_out_torn(groups, sides)
    if config.external is not None and not (np.any(sides == _EXTERNAL) and np.any(sides == TRAIN)):
        raise DataError(f"data.split.external: no sample is left on one side. {' '.join(notes)}")
    given = [name for name in (VALIDATION, TEST) if np.any(sides == name)]
    if given:
        notes.append(f"The data's own split is used for: {', '.join(given)}.")
    rest = np.flatnonzero(sides == TRAIN)
    fractions = {}
    if not np.any(sides == TEST):
        fractions[TEST] = config.test_fraction
    if config.validation == "fixed" and not np.any(sides == VALIDATION):
        fractions[VALIDATION] = config.validation_fraction
    groups = None if groups is None else groups[rest]
    priorities = draw_priorities(len(source.labels), seed, "split")[rest]
    drawn = draw_parts(source.labels[rest], groups, len(source.class_names), tuple(fractions.values()), priorities)
    for name, positions in zip(fractions, drawn, strict=True):
        sides[rest[positions]] = name
    if config.by == "image":
        notes += _leaks(source.groups, sides)
    parts = (np.flatnonzero(sides == name) for name in (TRAIN, VALIDATION, TEST, _EXTERNAL))
    return Partition(*parts, notes=tuple(notes))


def _is_external(source: ImageSource, config: ExternalConfig) -> np.ndarray:
    values = source.columns.get(config.column)
    if values is None:
        known = ", ".join(source.columns) or "none"
        raise DataError(f"data.split.external.column = {config.column!r}: no such column; further columns: {known}")
    num_blank = int(np.sum(values == ""))
    if num_blank:
        raise DataError(f"data.split.external.column = {config.column!r}: {num_blank} of {len(values)} cells are empty")
    unknown = sorted(set(config.internal) - set(values.tolist()))
    if unknown:
        raise DataError(
            f"data.split.external.internal: {', '.join(map(repr, unknown))} not in column {config.column!r}; it has"
            f" {', '.join(sorted(set(values.tolist()))[:20])}"
        )
    is_external = ~np.isin(values, config.internal)
    if not is_external.any():
        raise DataError(f"data.split.external.internal: every value of column {config.column!r} is internal")
    return is_external


def _leaks(groups: np.ndarray | None, sides: np.ndarray) -> list[str]:
    """Say how many images of each part have their group (patient) in the pool too."""
    if groups is None:
        return ["Split by image: the data has no groups, so what leaks between the parts is not known."]
    names, members = np.unique(groups, return_inverse=True)
    has = {side: np.bincount(members[sides == side], minlength=len(names)) > 0 for side in _SIDES}
    num_torn = int(np.sum(sum(each.astype(np.int64) for each in has.values()) > 1))
    numbers = []
    for side in _SIDES:
        own = members[sides == side]
        if side != TRAIN and len(own):
            num_leaking = int(np.sum(has[TRAIN][own]))
            numbers.append(
                f"{num_leaking} of {len(own)} {side} images ({num_leaking / len(own):.1%}) are of a group (patient)"
                " that is in the pool too"
            )
    return [
        f"WARNING: split by image: {'; '.join(numbers)}. {num_torn} of {len(names)} groups are on more than one side."
        ' Results are better than they would be for new patients; data.split.by = "group" keeps groups together.'
    ]


def _leave_out_torn(groups: np.ndarray | None, sides: np.ndarray) -> list[str]:
    """Mark in place what would put a group on two sides; say how much of which side that is."""
    if groups is None:
        return []
    names, members = np.unique(groups, return_inverse=True)
    before = sides.copy()
    has = {side: np.bincount(members[sides == side], minlength=len(names)) for side in _SIDES}
    is_external = has[_EXTERNAL] > sum(has[side] for side in _INTERNAL)
    kept_in = np.full(len(names), _EXTERNAL, dtype="<U10")
    for side in reversed(_INTERNAL):
        kept_in[(has[side] > 0) & ~is_external] = side
    sides[sides != kept_in[members]] = _LEFT_OUT
    lost = {side: int(np.sum((before == side) & (sides == _LEFT_OUT))) for side in _SIDES}
    torn = names[np.unique(members[sides == _LEFT_OUT])]
    if not len(torn):
        return []
    shown = ", ".join(map(str, torn[:3])) + (", …" if len(torn) > 3 else "")
    numbers = ", ".join(f"{count} of the {side} part" for side, count in lost.items() if count)
    return [
        f"{sum(lost.values())} samples are left out ({numbers}): their groups ({len(torn)}: {shown}) are on two sides"
        " of the given split. Where each center numbers its groups anew, make them distinct."
    ]
