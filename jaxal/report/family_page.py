"""The report of a family of studies: how far its members are, and the tables made of all of them."""

from pathlib import Path
from typing import NamedTuple

from jaxal.report.laid_table import LaidTable
from jaxal.report.templates import template
from jaxal.report.wording import encoded
from jaxal.store.files import write_if_changed

__all__ = ["FamilyReport", "MemberShown", "write_family_report"]


class MemberShown(NamedTuple):
    """How far a member is; its own report is MEMBER/report.html once a round is finished."""

    name: str
    num_done: int  # rounds, of all arms and seeds
    num_planned: int
    note: str


class FamilyReport(NamedTuple):
    """A family as its page shows it."""

    name: str
    members: tuple[MemberShown, ...]
    tables: tuple[LaidTable, ...]


def write_family_report(family: FamilyReport, folder: Path) -> Path:
    """Writes `report.html` into the folder of a family, where it is not up to date.

    The page loads nothing, runs no script and holds every name escaped; equal inputs give equal bytes.

    Returns:
      The page's path.

    Raises:
      StoreError: the file could not be written.
    """
    page = template("family.html").render(
        name=family.name,
        members=family.members,
        num_finished=sum(each.num_done == each.num_planned for each in family.members),
        tables=family.tables,
    )
    path = folder / "report.html"
    write_if_changed(path, encoded(page))
    return path
