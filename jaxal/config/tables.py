"""Settings of the tables in which a report lays its figures beside those that a paper prints."""

from typing import Annotated

from msgspec import Meta, field

from jaxal.config.struct import LARGEST, ConfigStruct

__all__ = ["CellConfig", "TableConfig"]

Heading = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]+\Z")]  # one line


class CellConfig(ConfigStruct, frozen=True):
    """Which figure stands in a cell; what is left open, the row says, then the column, then the table.

    What none of them says is the last round, the split "test", and all classes.

    Fields:
        member: the study of the family; a family of one study needs none.
        arm: its arm. A cell without one has no figure of ours (a row that the paper quotes).
        round: of the arm; -1 for the last that each seed has come to.
        split: "pool", "validation", "test" or "external", as in metrics.csv.
        class_name: the class that the metric is of; empty: over all.
        metric: its name in metrics.csv (but for active_learning_gain, which is over rounds), or "g_al": the mean over
            the row's other figures of ours of (x - full)/(1 - full), full being the same cell of the table's full_arm
            at its last round (Aggarwal et al.). It needs neither member nor arm of its own.
        full_member: the study whose full_arm the figure is measured from in "g_al"; by default its own.
    """

    member: str | None = None
    arm: str | None = None
    round: Annotated[int, Meta(ge=-1)] | None = None
    split: str | None = None
    class_name: str | None = None
    metric: str | None = None
    full_member: str | None = None


class TableConfig(ConfigStruct, frozen=True):
    """A table of a paper: its rows and columns, and where ours has each figure.

    Fields:
        title: its heading in the report, unique in the family.
        rows, columns: by heading, in order.
        paper, table: as the shipped printed figures name them ("CB-DAL", "2 ISIC2020 AUROC"): then rows and columns
            are those, in their order, and where the paper leaves a cell blank there is no figure of ours either.
            Both empty where no printed figures are at hand.
        scale: ours are multiplied by it, 100 for per cent; "g_al" is not.
        decimals: shown; by default as many as the paper prints in the column, 3 where it prints none.
        note: what a reader should know, such as what data stands in for the paper's.
        full_arm: the arm trained on all labels that "g_al" is measured from.
        cell: what holds for every cell.
        cells: what one cell says before all else: row -> column -> cell.
    """

    title: Heading
    rows: Annotated[dict[Heading, CellConfig], Meta(min_length=1)]
    columns: Annotated[dict[Heading, CellConfig], Meta(min_length=1)]
    paper: str = ""
    table: str = ""
    scale: Annotated[float, Meta(gt=0, le=LARGEST)] = 1.0
    decimals: Annotated[int, Meta(ge=0, le=9)] | None = None
    note: str = ""
    full_arm: str = ""
    cell: CellConfig = CellConfig()
    cells: dict[Heading, dict[Heading, CellConfig]] = field(default_factory=dict)
