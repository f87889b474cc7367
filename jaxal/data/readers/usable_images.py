"""Which of the labeled image files can be used, whether enough of them can, and what a user should know of them."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from jaxal.data.image_shards import CachedImages
from jaxal.data.problems import Problem, examples, group_by_kind, refusal
from jaxal.data.records import ImageRecord

__all__ = ["NOT_UTF8", "Usable", "conversion_notes", "copy_notes", "is_utf8", "usable_images"]

NOT_UTF8 = "file name is not UTF-8"


class Usable(NamedTuple):
    """Records whose images can be used, and what is said of all."""

    kept: list[ImageRecord]  # as many as there are images, in their order
    bad: list[Problem]  # one for each other record, in their order
    notes: tuple[str, ...]


def usable_images(
    records: Sequence[ImageRecord],
    is_named: Sequence[bool],
    images: CachedImages,
    *,
    max_bad: int,
    setting: str,
    class_names: tuple[str, ...],
    where: str,
) -> Usable:
    """Part records into those whose images can be used and the others, unless these are too many.

    Args:
        records: with distinct ids.
        is_named: which of them have names that can be written down, and so were opened.
        images: of those, in order.
        max_bad: how many may be left out.
        setting: how a user sets max_bad, such as "data.source.max_bad =".
        class_names: of all records.
        where: what the records are from, for refusals.

    Raises:
        DataError: more than max_bad images cannot be used, or none of a class can.
    """
    named = [position for position, flag in enumerate(is_named) if flag]
    kinds = {position: NOT_UTF8 for position, flag in enumerate(is_named) if not flag}
    kinds |= {named[position]: kind for position, kind in images.problems.items()}
    bad = [Problem(records[position].id, kinds[position]) for position in sorted(kinds)]
    if len(bad) > max_bad:
        raise refusal(
            bad,
            heading=f"{where}: {len(bad)} of {len(records)} images cannot be used, {max_bad} may be left out",
            advice=f"Repair or remove them, or leave them out with {setting} {len(bad)}.",
        )
    kept = [record for position, record in enumerate(records) if position not in kinds]
    lost = sorted(set(class_names) - {record.label for record in kept})
    if lost or not kept:
        raise refusal(
            bad,
            heading=f"{where}: no image can be used of {len(lost)} classes ({examples(lost)})",
            advice="Repair them, or remove these classes.",
        )
    used = [(sha256, records[named[position]]) for position, sha256 in enumerate(images.sha256) if sha256]
    left_out = tuple(
        f"{len(names)} {'images were' if len(names) > 1 else 'image was'} left out, {kind}: {examples(names)}"
        for kind, names in group_by_kind(bad).items()
    )
    return Usable(kept, bad, (*left_out, *conversion_notes(images.conversions, len(kept)), *copy_notes(used)))


def conversion_notes(conversions: Counter[str], num_images: int) -> tuple[str, ...]:
    """Say what was converted; where every image is gray, that is how the data is, and asking for RGB was meant."""
    counts = Counter(
        {kind: count for kind, count in conversions.items() if (kind, count) != ("gray to RGB", num_images)}
    )
    if not counts:
        return ()
    return ("images were converted: " + ", ".join(f"{count} {kind}" for kind, count in counts.most_common()),)


def copy_notes(used: Sequence[tuple[str, ImageRecord]]) -> tuple[str, ...]:
    """Say which files hold the same bytes: copies may stand on two sides of the split, or in two classes.

    Args:
        used: SHA-256 of each file, and its record.
    """
    first: dict[str, ImageRecord] = {}
    copies, mislabeled = [], 0
    for sha256, record in used:
        original = first.setdefault(sha256, record)
        if original is not record:
            copies.append(f"{record.id} = {original.id}")
            mislabeled += record.label != original.label
    if not copies:
        return ()
    what = "image is a copy" if len(copies) == 1 else "images are copies"
    return (f"{len(copies)} {what} of another, {mislabeled} of them with another label: {examples(copies)}",)


def is_utf8(*texts: str) -> bool:
    """Tell whether texts can all be written as UTF-8: a file name from the disk need not."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True
