"""Tables of a study, or of a family of them, laid beside those that a paper prints."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from jaxal.config.reading import config_text
from jaxal.config.study import StudyConfig
from jaxal.config.tables import TableConfig
from jaxal.report.paper_tables import LaidTable, check_table, lay_out, tables_text
from jaxal.report.wording import encoded
from jaxal.store import run_folder
from jaxal.store.files import write_if_changed
from jaxal.study.results import recorded_metrics

__all__ = ["check_tables", "is_begun", "lay_tables", "write_tables"]


def check_tables(tables: Iterable[TableConfig]) -> None:
    """Hold tables against the papers' printed ones, before anything is trained.

    Raises:
        ConfigError: a paper or table that there is none of, or other rows or columns than it prints.
    """
    for table in tables:
        check_table(table)


def is_begun(study: StudyConfig, workdir: Path) -> bool:
    """Tell whether a run folder holds this very study, finished or not."""
    return run_folder.holds(workdir, tomllib.loads(config_text(study)))


def lay_tables(
    tables: Iterable[TableConfig], studies: Mapping[str, StudyConfig], workdirs: Mapping[str, Path]
) -> tuple[LaidTable, ...]:
    """Lay what the journals hold so far beside the papers' figures.

    Args:
        tables: of the family.
        studies: by member.
        workdirs: their run folders; one that is missing, or holds another config, leaves its cells empty.

    Raises:
        ConfigError: a table asks for a split, class or metric that the rounds do not have.
        StoreError: a journal is damaged.
    """
    tables = tuple(tables)
    if not tables:
        return ()
    begun = {name: study for name, study in studies.items() if is_begun(study, workdirs[name])}
    rows_of = {name: recorded_metrics(study, workdirs[name]) for name, study in begun.items()}
    return tuple(lay_out(table, rows_of) for table in tables)


def write_tables(tables: tuple[LaidTable, ...], workdir: Path) -> None:
    """Write tables.csv where it is not up to date; no tables, no file."""
    if tables:
        write_if_changed(workdir / "tables.csv", encoded(tables_text(tables)))
