"""Running a family: its studies one after the other, and what is made of all of them."""

import contextlib
import hashlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxal import processes
from jaxal.config.family import Family, members_named
from jaxal.config.jobs import Job
from jaxal.config.reading import config_text, recheck_study
from jaxal.config.study import StudyConfig
from jaxal.errors import JaxalError, StoreError
from jaxal.report.family_page import FamilyReport, MemberShown, write_family_report
from jaxal.report.paper_tables import LaidTable
from jaxal.store import signals
from jaxal.store.run_folder import CONFIG
from jaxal.study.beside_paper import check_tables, is_begun, lay_tables, write_tables
from jaxal.study.jobs import run_job
from jaxal.study.opening import remembering
from jaxal.study.plan import StudyPlan
from jaxal.study.results import count_rounds, result_rows, run_folder
from jaxal.study.runner import StudyListener, prepare_study, run_study
from jaxal.study.sharing import helped, is_whole, let_compiled_programs_go, run_part

__all__ = ["FamilyResult", "MemberResult", "prepare_family", "run_family", "run_family_job"]

# Files of the family beside the folders of its members.
PAGE, TABLES = "report.html", "tables.csv"


class MemberResult(NamedTuple):
    """How far a member is."""

    name: str  # "" of the one study of a file that varies nothing
    workdir: Path
    num_done: int  # rounds finished, of all arms and seeds
    num_planned: int  # so many once it is finished
    table: list[dict[str, Any]]  # the rows of its results.csv, typed; None = not defined


class FamilyResult(NamedTuple):
    """What a family came to, with the members that were not run this time; without any but in process 0."""

    workdir: Path
    members: tuple[MemberResult, ...]
    tables: tuple[LaidTable, ...]


def prepare_family(
    family: Family, only: Collection[str] = (), listener: StudyListener | None = None
) -> Iterator[tuple[StudyConfig, StudyPlan]]:
    """Plan one member after the other, as `prepare_study` does; nothing is written, but resized images are cached.

    Args:
        family: of studies.
        only: names of the members to plan; all where empty.
        listener: told of progress.

    Raises:
        ConfigError, DataError: as `run_family`. Where members are refused, once all have been looked at: one line each.
    """
    check_tables(family.tables)
    refused = []
    for name, study in members_named(family, only):
        try:
            plan = prepare_study(study, listener)
        except JaxalError as error:
            refused.append((name, error))
        else:
            yield study, plan
    if refused:
        first = refused[0][1]
        raise type(first)("\n".join(f"member {name}: {each}" if name else str(each) for name, each in refused))


def run_family(
    family: Family,
    workdir: str | Path | None = None,
    only: Collection[str] = (),
    listener: StudyListener | None = None,
) -> FamilyResult:
    """Run the studies of a family one after the other, or go on where that was stopped.

    Where `family.processes` says more than one, so many processes of this machine share the arms and seeds, with the
    same journals as one.

    Each member has its run folder WORKDIR/MEMBER; the one study of a file that varies nothing has WORKDIR itself.
    tables.csv and report.html of the family are renewed after each member, also where it is refused or stopped. Other
    processes may run other members in the same folder at the same time.

    Args:
        family: of studies.
        workdir: the folder; runs/NAME where absent.
        only: names of the members to run; all where empty.
        listener: told of progress, and of each member as it begins.

    Raises:
        ConfigError, DataError, StoreError: as `run_study`, naming the member: members before it are finished, and those
            after it not begun. Or a member that there is not; or the folder holds something else.
    """
    check_tables(family.tables)
    chosen, listener = members_named(family, only), listener or StudyListener()
    processes.agree({"config": _members_digest(chosen)})
    is_shared = family.processes > 1 and processes.num_processes() == 1
    if family.is_one_study:
        if is_shared:
            _share(family, chosen, workdir, listener)
        study = family.members[0][1]
        result = run_study(study, workdir, listener, family.tables)
        if not processes.is_first():
            return FamilyResult(result.workdir, (), ())
        member = MemberResult("", result.workdir, *count_rounds(study, result.workdir), result.table)
        tables = lay_tables(family.tables, {"": study}, {"": result.workdir})
        return FamilyResult(result.workdir, (member,), tables)
    workdir = _folder(family, workdir)
    processes.from_first("the folder", lambda: _refuse_other_folders(family, workdir))
    tables: tuple[LaidTable, ...] = ()
    opening = remembering()
    name = ""
    with signals.handled():
        try:
            if is_shared:
                _share(family, chosen, workdir, listener)
            for number, (name, study) in enumerate(chosen, start=1):
                if not (is_shared and is_whole(study, workdir / name)):
                    listener.on_member(name, number, len(chosen))
                    run_study(study, workdir / name, listener, opening=opening)
                    tables = _show(family, workdir) if processes.is_first() else ()
                    let_compiled_programs_go()
        except (JaxalError, KeyboardInterrupt, signals.Terminated) as error:
            if processes.is_first():
                with contextlib.suppress(JaxalError):  # what stopped the member is what its user is told
                    _show(family, workdir)
            if isinstance(error, JaxalError):
                raise type(error)(_told(family, name, error)) from error
            raise
        if is_shared:  # there may have been nothing left to run
            tables = _show(family, workdir)
    if not processes.is_first():
        return FamilyResult(workdir, (), ())
    members = tuple(
        MemberResult(name, workdir / name, *_progress(study, workdir / name), result_rows(study, workdir / name))
        for name, study in family.members
    )
    return FamilyResult(workdir, members, tables)


def run_family_job(
    family: Family, job: Job, workdir: str | Path | None = None, listener: StudyListener | None = None
) -> tuple[Path, bool]:
    """Run one job of a family, as `run_job` does, in the folders of `run_family`, which makes tables and page of them.

    Returns:
        (the folder of the arm and seed, whether there was anything to do).

    Raises:
        HeldError, ConfigError, DataError, StoreError: as `run_job`; or the family's folder holds something else.
    """
    check_tables(family.tables)
    folder, study = _folder(family, workdir), dict(family.members)[job.member]
    if not family.is_one_study:
        _refuse_other_folders(family, folder)
        folder /= job.member
    is_new = run_job(study, job.arm, job.seed, folder, listener)
    return run_folder(folder, job.arm, job.seed), is_new


def _share(
    family: Family,
    chosen: Sequence[tuple[str, StudyConfig]],
    workdir: str | Path | None,
    listener: StudyListener,
) -> None:
    """Run members in several processes; what cannot be run is left, for `run_study` to refuse."""
    folder = _folder(family, workdir)
    members = [(folder / name, recheck_study(study)) for name, study in chosen]
    if all(is_whole(study, at) for at, study in members):
        return
    listener.on_note(f"{family.processes} processes share the work; shown is what the first of them does.")
    with signals.handled(), helped(members, family.processes) as part, contextlib.suppress(JaxalError):
        run_part(part, listener)


def _folder(family: Family, workdir: str | Path | None) -> Path:
    return Path(workdir) if workdir is not None else Path("runs") / family.name


def _members_digest(members: Sequence[tuple[str, StudyConfig]]) -> str:
    """Hash the names and configs of some members."""
    texts = [f"{name}\n{config_text(study)}" for name, study in members]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]


def _refuse_other_folders(family: Family, workdir: Path) -> None:
    """Refuse a folder whose files are no family's before any is replaced."""
    if (workdir / CONFIG).exists():
        raise StoreError(
            f"{workdir} holds the run of a single study, and {family.name} is a family of {len(family.members)}: choose"
            " another --workdir."
        )
    is_ours = any((workdir / name / CONFIG).exists() for name, _ in family.members)
    there = [name for name in (PAGE, TABLES) if (workdir / name).exists()]
    if there and not is_ours:
        raise StoreError(
            f"{workdir} holds {' and '.join(there)}, but no member of {family.name}: nothing was changed there; choose"
            " another --workdir."
        )


def _told(family: Family, name: str, error: JaxalError) -> str:
    others = [other for other, _ in family.members if other != name]
    hint = f" (what is finished is kept; --only MEMBER runs others: {', '.join(others)})" if others else ""
    return f"member {name}: {error}{hint}"


def _progress(study: StudyConfig, workdir: Path) -> tuple[int, int]:
    """Count the rounds finished of those planned; of a folder with another config none is."""
    done, planned = count_rounds(study, workdir)
    return (done if is_begun(study, workdir) else 0), planned


def _show(family: Family, workdir: Path) -> tuple[LaidTable, ...]:
    """Make tables and page of what is finished, once there is a member's folder."""
    workdirs = {name: workdir / name for name, _ in family.members}
    if not any((folder / CONFIG).exists() for folder in workdirs.values()):
        return ()
    members = []
    for name, study in family.members:
        folder = workdirs[name]
        note = "its folder holds another config" if (folder / CONFIG).exists() and not is_begun(study, folder) else ""
        members.append(MemberShown(name, *_progress(study, folder), note))
    report = FamilyReport(family.name, tuple(members), ())
    try:
        laid = lay_tables(family.tables, dict(family.members), workdirs)
        write_tables(laid, workdir)
        report = report._replace(tables=laid)
    finally:  # a table that asks for what a member has not leaves the page without tables
        write_family_report(report, workdir)
    return laid
