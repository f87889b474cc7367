"""race.csv and race.md."""

import csv
import importlib.metadata
import os
import platform
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax

from jaxal.profiling.ceilings import Ceilings

from .contestants import Task
from .rows import Row

PACKAGES = (
    "jaxal", "jax", "jaxlib", "numpy", "scikit-learn", "torch", "scikit-activeml", "skmatter", "fpsample", "faiss-cpu",
)  # fmt: skip
HEADINGS = (
    "contestant", "problem", "seconds", "min – max", "a pick", "a further pick", "ratio", "ratio, further pick",
    "compile s", "growth MB", "GFLOP/s", "of ceiling", "note",
)  # fmt: skip


def write_csv(rows: Iterable[Row], path: Path) -> None:
    """Write every row, full precision, empty where there is no number."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows(["" if value is None else value for value in row] for row in rows)


def write_markdown(tables: Iterable[tuple[Task, list[Row]]], head: str, path: Path) -> None:
    """Write a table for each task under what the machine is."""
    parts = [head]
    for task, rows in tables:
        lines = [_line(HEADINGS), _line([":--", ":--", *["--:"] * (len(HEADINGS) - 3), ":--"])]
        parts.append("\n".join([f"**{task.name}**: {task.title}", "", *lines, *(_line(_cells(row)) for row in rows)]))
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def heading(command: str, pool: str, ceilings: Ceilings, num_repeats: int) -> str:
    """Say what was run, on what, and how to read the tables."""
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    device = "" if jax.default_backend() == "cpu" else f", {jax.devices()[0].device_kind}"
    return (
        f"```\n{command}\n```\n\n{pool}. {os.cpu_count()} CPUs ({processor()}){device}; Python"
        f" {platform.python_version()}, {versions}. Ceilings measured in the same run: read"
        f" {ceilings.read_bytes_per_second / 1e9:.1f} GB/s, float32 products"
        f" {ceilings.gemm_flops_per_second / 1e9:.0f} GFLOP/s.\n\n"
        f"Side by side in one process, in turn, after a warm-up: medians of up to {num_repeats} calls. Every answer was"
        " checked before it was timed. A pick: seconds / picks; a further pick: what one more takes, the labeled"
        " centers being folded in. Ratios are to jaxal's own time. Growth: of memory during a call. GFLOP/s and the"
        " share of the ceiling count what the task needs, whatever a contestant does."
    )


def processor() -> str:
    """Name the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _cells(row: Row) -> list[str]:
    def shown(value: Any, form: Callable[[Any], str]) -> str:
        return "" if value is None else form(value)

    spread = "" if row.seconds_min is None else f"{seconds(row.seconds_min)} – {seconds(row.seconds_max or 0)}"
    status = "" if row.status in ("ok", "computed") else row.status
    return [
        row.contestant,
        row.problem,
        shown(row.seconds, seconds),
        spread,
        shown(row.seconds_per_pick, seconds),
        shown(row.seconds_per_further_pick, seconds),
        shown(row.ratio, ratio),
        shown(row.ratio_further, ratio),
        shown(row.compile_seconds, lambda value: f"{value:.1f}"),
        shown(row.growth_bytes, lambda value: f"{value / 1e6:.0f}"),
        shown(row.gflop_per_second, lambda value: f"{value:.3g}"),
        shown(row.ceiling_share, lambda value: f"{value:.1%}"),
        ": ".join(filter(None, (status, row.note))),
    ]


def seconds(value: float) -> str:
    """Show seconds to three digits: 61.0 s, 4.20 ms, 8.50 µs."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.3g} µs"


def ratio(value: float) -> str:
    """Show a ratio to two or three digits: 0.43×, 3.1×, 62×."""
    return f"{value:.2g}×" if value < 10 else f"{value:.0f}×"
