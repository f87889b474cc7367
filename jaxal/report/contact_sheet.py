"""The first images that each arm asked for, round by round: what a physician looks at."""

import re
from typing import NamedTuple

import numpy as np

from jaxal.report.asked import class_counts
from jaxal.report.inputs import Asked, ReportInputs
from jaxal.report.thumbnails import thumbnail
from jaxal.report.wording import number

__all__ = ["ArmSheet", "Pick", "RoundSheet", "contact_sheets", "images_per_round"]

_MOST, _IN_ALL = 30, 900
_NO_CLASS = "skipped"
_TINY = 64  # px below which a picture is shown larger than it is


class Pick(NamedTuple):
    """One image asked."""

    rank: int  # from 1
    id: str
    class_name: str
    is_minority: bool
    reason: tuple[str, ...]  # in pieces between which a line may break
    words: str  # id, class, reason and score, for the pointer and for a screen reader
    uri: str


class RoundSheet(NamedTuple):
    """One query: how much of it is shown, and all of it by reason."""

    round: int
    num_asked: int
    num_minority: int
    num_skipped: int
    reasons: tuple[str, ...]  # "mpps.push_pull 500 (210 of class Shirt)"
    picks: tuple[Pick, ...]


class ArmSheet(NamedTuple):
    """One arm with one seed."""

    arm: str
    seed: int
    is_tiny: bool  # pixels are to be shown as squares
    rounds: tuple[RoundSheet, ...]


def images_per_round(num_rounds_in_all: int) -> int:
    """Chooses how many images of a query are shown, so that the page stays small: 30, of many queries as few as 1."""
    return min(_MOST, max(1, _IN_ALL // max(1, num_rounds_in_all)))


def contact_sheets(inputs: ReportInputs) -> list[ArmSheet]:
    """Collects the first images of every query of the first seed, by arm in the config's order.

    An arm whose first seed has not asked anything has a sheet without rounds.
    """
    if not inputs.seeds:
        return []
    seed = inputs.seeds[0]
    queries = {
        arm: [each for each in inputs.asked if (each.arm, each.seed) == (arm, seed)] for arm in inputs.active_arms
    }
    shown = images_per_round(sum(map(len, queries.values())))
    known: dict[int, str] = {}
    is_tiny = False
    sheets = []
    for arm, of_arm in queries.items():
        of_arm = sorted(of_arm, key=lambda query: query.round)
        wanted = sorted({index for query in of_arm for index in query.indices[:shown]} - set(known))
        if wanted:
            images = inputs.images_of(seed, np.array(wanted, np.int64))
            known |= {index: thumbnail(image) for index, image in zip(wanted, images, strict=True)}
            is_tiny = max(images.shape[1:3]) < _TINY
        sheets.append(ArmSheet(arm, seed, is_tiny, tuple(_round(inputs, query, shown, known) for query in of_arm)))
    return sheets


def _round(inputs: ReportInputs, query: Asked, shown: int, uris: dict[int, str]) -> RoundSheet:
    picks = tuple(_pick(inputs, query, place, uris[index]) for place, index in enumerate(query.indices[:shown]))
    minority = sum(label == inputs.minority for label in query.labels)
    skipped = sum(label < 0 for label in query.labels)
    return RoundSheet(query.round, len(query.ids), minority, skipped, _reasons(inputs, query), picks)


def _reasons(inputs: ReportInputs, query: Asked) -> tuple[str, ...]:
    told = []
    for reason in dict.fromkeys(query.reasons):
        labels = tuple(label for label, each in zip(query.labels, query.reasons, strict=True) if each == reason)
        found = int(class_counts(labels, len(inputs.class_names))[inputs.minority])
        told.append(f"{reason} {number(len(labels))} ({number(found)} of class {inputs.minority_name})")
    return tuple(told)


def _pick(inputs: ReportInputs, query: Asked, place: int, uri: str) -> Pick:
    label, score = query.labels[place], query.scores[place]
    name = inputs.class_names[label] if label >= 0 else _NO_CLASS
    words = f"{query.ids[place]}, {name}, {query.reasons[place]}, " + (
        "no score" if score is None else f"score {score:.6g}"
    )
    return Pick(
        place + 1,
        query.ids[place],
        name,
        label == inputs.minority,
        tuple(re.findall(r"[^._]*[._]|[^._]+", query.reasons[place])),
        words,
        uri,
    )
