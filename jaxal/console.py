"""What the commands show: progress on standard error, tables on standard output."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from jaxal.config.strategy_table import STRATEGIES, StrategyEntry
from jaxal.config.study import StudyConfig
from jaxal.data.problems import counted, shown
from jaxal.errors import InputError

if TYPE_CHECKING:
    from jaxal.report.laid_table import LaidTable
    from jaxal.study import StudyListener
    from jaxal.study.embedding import EmbedResult
    from jaxal.study.family import FamilyResult
    from jaxal.study.plan import StudyPlan

__all__ = [
    "images_progress",
    "print_embedded",
    "print_family",
    "print_plan",
    "print_query",
    "print_result",
    "print_strategies",
    "print_tables",
    "progress",
    "selection_progress",
]


SECONDS_BETWEEN_LINES = 2.0
# Of a job that takes minutes, where there is no terminal to show a bar on.
SECONDS_BETWEEN_IMAGE_LINES = 10.0


@contextlib.contextmanager
def progress() -> Iterator["StudyListener"]:
    """Show a bar with the time left on a terminal, and a line for each finished round elsewhere."""
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from jaxal.study import StudyListener

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=console, disable=not console.is_terminal, speed_estimate_period=60)
    task = bar.add_task("starting", total=None)

    def on_member(name: str, number: int, num_members: int) -> None:
        bar.reset(task, description="starting")
        console.print(f"{name}: member {number} of {num_members}", highlight=False, markup=False)

    def on_plan(plan: "StudyPlan", remaining_steps: int) -> None:
        for note in plan.notes if remaining_steps else ():
            console.print(f"note: {note}", highlight=False, markup=False)
        bar.update(task, total=remaining_steps, description="fitting")

    def on_round(arm: str, seed: int, number: int, num_rounds: int) -> None:
        text = f"{arm} · seed {seed} · round {number} of {num_rounds}"
        bar.update(task, description=text)
        if not console.is_terminal:
            done = bar.tasks[0]
            left = "" if done.time_remaining is None else f", about {done.time_remaining:.0f} s left"
            console.print(f"{text} done ({done.percentage:.0f} % of the steps{left})", highlight=False, markup=False)

    def on_images(done: int, total: int) -> None:
        bar.update(task, total=total, completed=done, description="reading images")
        if done == total:
            bar.update(task, total=None, completed=0, description="starting")
            console.print(f"{counted(total, 'image')} read", highlight=False, markup=False)

    began = last_line = time.monotonic()
    last_done = 0

    def on_embedded(done: int, total: int) -> None:
        nonlocal began, last_line, last_done
        now = time.monotonic()
        if done <= last_done:  # another pass
            began = last_line = now
        last_done = done
        bar.update(task, description=f"{done} of {total} images embedded")
        is_long = done == total and now - began >= SECONDS_BETWEEN_IMAGE_LINES
        if is_long or (not console.is_terminal and now - last_line >= SECONDS_BETWEEN_IMAGE_LINES):
            last_line = now
            console.print(f"{done} of {total} images embedded", highlight=False, markup=False)

    with bar:
        yield StudyListener(
            on_member=on_member,
            on_plan=on_plan,
            on_steps=lambda num_steps: bar.advance(task, num_steps),
            on_round=on_round,
            on_note=lambda text: console.print(f"note: {text}", highlight=False, markup=False),
            on_images=on_images,
            on_embedded=on_embedded,
        )


@contextlib.contextmanager
def images_progress(doing: str) -> Iterator[Callable[[int, int], None]]:
    """Show how many image files are done: a bar on a terminal, a line now and then elsewhere, on standard error."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TextColumn("images, left"), TimeRemainingColumn())
    bar = Progress(*columns, console=console, disable=not console.is_terminal, speed_estimate_period=60, transient=True)
    task = bar.add_task(doing, total=None)
    last = [time.monotonic()]

    def on_images(done: int, total: int) -> None:
        bar.update(task, total=total, completed=done)
        now = time.monotonic()
        if not console.is_terminal and now - last[0] >= SECONDS_BETWEEN_IMAGE_LINES:
            last[0] = now
            print(f"{doing}: {done} of {total} images", file=sys.stderr, flush=True)

    with bar:
        yield on_images


@contextlib.contextmanager
def selection_progress() -> Iterator[None]:
    """Say every few seconds on standard error how far a long selection has come."""
    from jaxal.kernels.progress import progress_to

    start = time.monotonic()
    last = [start]

    def on_progress(what: str, num_done: int, num_wanted: int) -> None:
        now = time.monotonic()
        if now - last[0] >= SECONDS_BETWEEN_LINES:
            last[0] = now
            print(f"{now - start:.0f} s: {num_done} of {num_wanted} {what}", file=sys.stderr, flush=True)

    with progress_to(on_progress):
        yield


def _print_table(title: str, columns: list[str], rows: list[list[str]], num_text_columns: int = 1) -> None:
    table = Table(title=Text(title), title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(Text(column), justify="left" if number < num_text_columns else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    # As wide as the table is, whatever a pipe or a narrow terminal claims: a folded row could not be searched for.
    unbounded = Console(width=10_000)
    width = Measurement.get(unbounded, unbounded.options, table).maximum
    Console(width=width).print(table)


def print_result(rows: list[dict[str, Any]], workdir: Path, seconds_trunk: float = 0.0) -> None:
    """Print one line for each arm at its last round, where the time went, and where everything else is."""
    from jaxal.report.external import external_rows
    from jaxal.report.seconds import acquisition_share
    from jaxal.report.tables import summary_table
    from jaxal.study.results import class_prevalences, metric_rows

    external = external_rows(rows, metric_rows(workdir)) if rows else []
    summary = summary_table(rows, external=external)
    if summary:
        columns = [name.replace("_", " ") for name in summary[0]]
        cells = [list(line.values()) for line in summary]
        sets = "Internal and external test set" if external else "Test set"
        _print_table(f"{sets}, after the last round: mean ± half of the 95 % interval over seeds", columns, cells)
        for split, name in {"test": "the test set", "external": "the external test set"}.items():
            shares = [f"{each} {share:.3g}" for each, share in class_prevalences(workdir, split).items()]
            if shares:
                print(f"Prevalence in {name}: {', '.join(shares)}")
        print(acquisition_share(rows, seconds_trunk))
    print(f"Run folder: {workdir}")


def print_plan(study: StudyConfig, plan: "StudyPlan") -> None:
    """Print what a study would do."""
    parts = {
        "pool": plan.pool_counts,
        "validation": plan.validation_counts,
        "test": plan.test_counts,
        "external": plan.external_counts,
    }
    classes = list(plan.pool_counts)
    counted = [
        [name, *(str(counts[each]) for each in classes), str(sum(counts.values()))]
        for name, counts in parts.items()
        if counts
    ]
    _print_table(f"{study.name}: samples", ["part", *classes, "all"], counted)
    arms = [
        [arm.name, str(len(study.seeds)), " ".join(map(str, arm.num_labeled)), str(sum(arm.steps))] for arm in plan.arms
    ]
    _print_table("Arms", ["arm", "seeds", "labels in each round", "steps per seed"], arms)
    print(f"Minority class: {plan.minority}")
    for note in plan.notes:
        print(f"note: {note}")


def print_family(result: "FamilyResult") -> None:
    """Print a line for each member of a family: how far it is, and where its report is."""
    cells = [
        [
            each.name,
            f"{each.num_done} of {each.num_planned}",
            str(each.workdir / "report.html") if each.num_done else "",
        ]
        for each in result.members
    ]
    _print_table("Members", ["member", "rounds finished", "report"], cells)
    print(f"Run folder: {result.workdir}")


def print_tables(tables: Iterable["LaidTable"]) -> None:
    """Print tables laid beside a paper's, as Markdown."""
    from jaxal.report.paper_tables import markdown

    for table in tables:
        print(f"\n{markdown(table)}", end="")


def print_embedded(result: "EmbedResult") -> None:
    """Print what a folder of embeddings holds, and how long it took to make."""
    from jaxal.data.embedding_manifest import digest_of

    of, folder = result.embeddings.manifest.of, shown(str(result.embeddings.folder))
    num_made = result.embeddings.num_made
    for note in result.notes:
        print(f"note: {note}")
    if num_made:
        kept = f", {of.num_rows - num_made} were there" if num_made < of.num_rows else ""
        rate = num_made / result.seconds
        print(f"{counted(num_made, 'image')} embedded in {result.seconds:.1f} s, {rate:.0f} images/s{kept}")
    else:
        print(f"{folder} is complete: every shard is as it was")
    print(f"{of.num_rows} rows of {of.width} numbers, SHA-256 {digest_of(result.embeddings.manifest)}")
    print(f"{folder} is what data.embeddings of a study and `jaxal select` read")


def print_query(text: str) -> None:
    """Print a query's CSV as UTF-8 whatever the terminal's encoding is: ids must come out whole."""
    if sys.stdout is None:
        raise InputError("out: standard output is closed; give the name of a file")
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()


def _needs(name: str, entry: StrategyEntry) -> str:
    if name in ("balanced", "budget_split"):
        return "what it is made of"
    return "–" if name == "random" else ", ".join(("embeddings", *entry.needs))


def print_strategies() -> None:
    """Print the strategy table."""
    rows = [[name, entry.paper, _needs(name, entry), entry.cost] for name, entry in STRATEGIES.items()]
    _print_table(
        "Strategies (N pool, L labeled, D width, C classes, S source classes, M draws, Q query)",
        ["name", "paper", "needs", "cost"],
        rows,
        4,
    )
