"""Which part each sample of a source belongs to: drawn, given with the data, or told by a column."""

from typing import NamedTuple

import numpy as np

from jaxal.config.data import ExternalConfig, SplitConfig
from jaxal.data.source import TEST, TRAIN, VALIDATION, ImageSource
from jaxal.data.splits import draw_parts, draw_priorities
from jaxal.errors import DataError

__all__ = ["Partition", "partition"]


class Partition(NamedTuple):
    """Source indices of each part, ascending; disjoint, and no group in two of them."""

    pool: np.ndarray
    validation: np.ndarray  # empty where validation is held out of the labels
    test: np.ndarray
    external: np.ndarray  # empty where there is no external test set
    notes: tuple[str, ...]  # what was left out, and which parts are the data's own


def partition(source: ImageSource, config: SplitConfig, seed: int) -> Partition:
    """Part a source; the same seed gives the same parts.

    External rows are told by their column, the test and validation parts by the data where it comes with them; what is
    not given is drawn from the rest, stratified by class, whole groups. A group that given parts or centers tear apart
    stays in the first of test, validation, pool and external that has it; its other samples are left out.

    Raises:
        DataError: the external column or a value of it is not in the data.
    """
    sides, notes = _given_sides(source, config)
    sides, more_notes = _one_side_per_group(source, sides)
    notes += more_notes
    rest = np.flatnonzero(sides == TRAIN)
    fractions = {}
    if not np.any(sides == TEST):
        fractions[TEST] = config.test_fraction
    if config.validation == "fixed" and not np.any(sides == VALIDATION):
        fractions[VALIDATION] = config.validation_fraction
    groups = None if source.groups is None else source.groups[rest]
    priorities = draw_priorities(len(source.labels), seed, "split")[rest]
    drawn = draw_parts(source.labels[rest], groups, len(source.class_names), tuple(fractions.values()), priorities)
    for name, positions in zip(fractions, drawn, strict=True):
        sides[rest[positions]] = name
    parts = (np.flatnonzero(sides == name) for name in (TRAIN, VALIDATION, TEST, _EXTERNAL))
    return Partition(*parts, notes=tuple(notes))


_EXTERNAL, _LEFT_OUT = "external", "left out"


def _given_sides(source: ImageSource, config: SplitConfig) -> tuple[np.ndarray, list[str]]:
    sides = np.full(len(source.labels), TRAIN, dtype="<U10")
    notes = []
    if source.parts is not None and config.given == "use":
        sides = source.parts.astype("<U10")
        given = [name for name in (VALIDATION, TEST) if np.any(sides == name)]
        if config.validation == "from_labeled" and VALIDATION in given:
            sides[sides == VALIDATION] = TRAIN
            given.remove(VALIDATION)
            notes.append("The data's own validation part joins the pool: validation is held out of the labels bought.")
        if given:
            notes.append(f"The data's own split is used for: {', '.join(given)}.")
    if config.external is not None:
        sides[_is_external(source, config.external)] = _EXTERNAL
    return sides, notes


def _is_external(source: ImageSource, config: ExternalConfig) -> np.ndarray:
    values = source.columns.get(config.column)
    if values is None:
        known = ", ".join(source.columns) or "none"
        raise DataError(f"data.split.external.column = {config.column!r}: no such column; further columns: {known}")
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


def _one_side_per_group(source: ImageSource, sides: np.ndarray) -> tuple[np.ndarray, list[str]]:
    if source.groups is None:
        return sides, []
    _, members = np.unique(source.groups, return_inverse=True)
    torn, num_left_out = np.zeros(members.max() + 1, bool), 0
    kept_in = np.full(len(torn), "", dtype="<U10")
    for side in (TEST, VALIDATION, TRAIN, _EXTERNAL):
        here = np.flatnonzero(sides == side)
        elsewhere = (kept_in[members[here]] != "") & (kept_in[members[here]] != side)
        torn[members[here[elsewhere]]] = True
        num_left_out += int(elsewhere.sum())
        sides[here[elsewhere]] = _LEFT_OUT
        kept_in[members[here[~elsewhere]]] = side
    if not num_left_out:
        return sides, []
    names = source.groups[np.unique(members, return_index=True)[1]][torn]
    shown = ", ".join(map(str, names[:3])) + (", …" if len(names) > 3 else "")
    note = (
        f"{num_left_out} samples are left out: their groups ({len(names)}: {shown}) are on two sides of the given"
        " split. Where each center numbers its groups anew, make them distinct."
    )
    return sides, [note]
