"""The names of columns however they are written: Patient ID, patient-id and PatientID are one."""

import re
from collections.abc import Sequence

__all__ = ["by_names", "plain_name"]


def plain_name(column: str) -> str:
    """Bring a column's name to lower case with single underscores.

    >>> plain_name(" Patient-ID "), plain_name("patientId"), plain_name("ISIC_id")
    ('patient_id', 'patient_id', 'isic_id')
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column).casefold()
    return re.sub(r"[^0-9a-z]+", "_", words).strip("_")


def by_names(header: Sequence[str], names: Sequence[str]) -> list[str]:
    """List the columns of a header that have one of some plain names, in the order of these."""
    return [column for name in names for column in header if plain_name(column) == name]
