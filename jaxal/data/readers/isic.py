"""What the forms of ISIC 2020 and of the ISIC Archive mean: their classes, and the name of each form."""

from collections.abc import Collection, Sequence
from typing import Literal

__all__ = ["UNCLEAR", "benign_or_malignant", "form_of", "is_marked_duplicate", "named_target"]

CLASSES = ("benign", "malignant")
UNCLEAR = "diagnosis is neither benign nor malignant"


def benign_or_malignant(
    cells: Sequence[str], unclear: Literal["refuse", "benign", "leave_out"]
) -> tuple[list[str], dict[int, str], frozenset[int], tuple[str, ...]]:
    """Read a diagnosis as the Archive writes it: Benign or Malignant in any case; all else is unclear.

    Returns:
        The class of each row, the problems by row, the rows to leave out, and notes.
    """
    labels = [cell.casefold() for cell in cells]
    unknown = [row for row, label in enumerate(labels) if label not in CLASSES]
    if not unknown:
        return labels, {}, frozenset(), ()
    if unclear == "refuse":
        return labels, {row: f"{UNCLEAR} ({cells[row] or 'empty'})" for row in unknown}, frozenset(), ()
    what = f"{len(unknown)} with a diagnosis that is neither benign nor malignant"
    if unclear == "leave_out":
        return labels, {}, frozenset(unknown), (f"{what} left out",)
    for row in unknown:
        labels[row] = "benign"
    return labels, {}, frozenset(), (f"{what} counted as benign",)


def named_target(targets: Sequence[str], names: Sequence[str]) -> tuple[list[str], dict[int, str]] | None:
    """Read 0 and 1 as benign and malignant, where a column beside says so; None where that is not what they hold.

    Returns:
        The class of each row, "" without a target, and the problems by row.
    """
    meanings = {"0": CLASSES[0], "0.0": CLASSES[0], "1": CLASSES[1], "1.0": CLASSES[1], "": ""}
    lower = [name.casefold() for name in names]
    if not set(targets) <= set(meanings) or not set(lower) <= {*CLASSES, ""}:
        return None
    labels = [meanings[target] for target in targets]
    disagree = {
        row: "target and benign_malignant disagree"
        for row, (label, name) in enumerate(zip(labels, lower, strict=True))
        if label and name and label != name
    }
    return labels, disagree


def form_of(columns: Collection[str], label_columns: Sequence[str], stem: str) -> str:
    """Name the form of a table.

    Args:
        columns: all of it, in plain names.
        label_columns: those of the class, in plain names.
        stem: of the file's name.
    """
    if {"image_name", "target", "tfrecord"} <= set(columns):
        return "ISIC 2020 (resized)"
    if {"image_name", "target", "benign_malignant"} <= set(columns):
        return "ISIC 2020 (Kaggle)" if stem.lower() == "train" else "ISIC 2020 (challenge site)"
    if "isic_id" in columns:
        return "ISIC Archive"
    if {"lesion_id", "image_id", "dx"} <= set(columns):
        return "HAM10000"
    if {"mel", "nv"} <= set(label_columns):
        return "ISIC 2018 or 2019 (a column per class)"
    return "label table" if len(label_columns) < 3 else "label table with a column per class"


def is_marked_duplicate(cell: str) -> bool:
    """Tell whether a cell of the column tfrecord marks a duplicate, as the resized form of ISIC 2020 does."""
    return cell in ("-1", "-1.0")
