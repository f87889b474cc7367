"""A drawn figure on its way into files and into the page."""

import base64
from pathlib import Path
from typing import NamedTuple

from jaxal.report.wording import encoded
from jaxal.store.files import write_if_changed

__all__ = ["Picture", "data_uri", "write_picture"]


class Picture(NamedTuple):
    """One figure: `figures/KEY.svg`, `figures/KEY.csv` and its place in the page."""

    key: str  # a fixed name, never a user's text
    svg: bytes
    csv: str
    caption: str
    alt: str

    @property
    def uri(self) -> str:
        """The figure as the page embeds it."""
        return data_uri(self.svg, "image/svg+xml")


def data_uri(data: bytes, kind: str) -> str:
    """Packs bytes into an address that needs no file and no net."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def write_picture(picture: Picture, folder: Path) -> None:
    """Writes a figure and its numbers below the run folder where they are not up to date.

    Raises:
      StoreError: a file could not be written.
    """
    figure = folder / "figures" / f"{picture.key}.svg"
    write_if_changed(figure, picture.svg)
    write_if_changed(figure.with_suffix(".csv"), encoded(picture.csv))
