"""Every strategy at every size, one after the other, and nothing lost when it is stopped."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax

from jaxal.config.strategies import StrategyConfig
from jaxal.errors import InputError
from jaxal.profiling.ceilings import Ceilings, measure_ceilings
from jaxal.profiling.figure import seconds_figure
from jaxal.profiling.measurement import Measurement, measure_strategy
from jaxal.profiling.sizes import DEFAULT_SIZES, Sizes
from jaxal.profiling.tables import append_row, current_conditions, open_rows, profile_markdown
from jaxal.store.files import make_folder, unwritable, write_if_changed

__all__ = ["Profile", "run_profile"]


class Profile(NamedTuple):
    """What a profile came to."""

    rows: list[Measurement]  # in the order of sizes, then of strategies; what else an earlier call measured is last
    markdown: str
    failures: list[str]  # what could not be measured, and why
    is_interrupted: bool


def run_profile(
    strategies: Mapping[str, StrategyConfig],
    sizes: Sequence[Sizes] = DEFAULT_SIZES,
    *,
    num_repeats: int = 5,
    memory: int | None = None,
    out: Path | None = None,
    trace: Path | None = None,
    ceilings: Ceilings | None = None,
    say: Callable[[str], object] = lambda text: None,
) -> Profile:
    """Measure strategies over sizes on the default device, the ceilings of the machine first.

    Compile times are those without a persistent compilation cache only where the caller has switched it off. A Ctrl-C
    ends the profile with what has been measured.

    Args:
        strategies: configs by the name to report.
        sizes: of the pools.
        num_repeats: timed calls of each, at least 1.
        memory: byte budget of one block of a pass; None = that of `select`.
        out: folder of profile.csv, profile.md and profile.svg. Rows that profile.csv holds already are kept and not
            measured again.
        trace: folder for JAX's profiler: one call of each strategy at the last size, in a folder of its own.
        ceilings: of this machine, where they have just been measured.
        say: told what goes on, in pieces of lines.

    Raises:
        StoreError: out cannot be written, or holds a profile of other conditions; trace cannot be written.
    """
    conditions = current_conditions(num_repeats, memory)
    kept = [] if out is None else open_rows(out / "profile.csv", conditions)
    rows = {_key(row): row for row in kept}
    if trace is not None:
        _make_trace_folder(trace)
    if kept:
        say(f"{len(kept)} rows are kept from {out}; remove its profile.csv to measure them again\n")
    wanted = [(name, each) for each in sizes for name in strategies]
    folders = {(name, each): _trace_folder(trace, name) if each == sizes[-1] else None for name, each in wanted}
    failures: list[str] = []
    is_interrupted = False
    try:
        for place, (name, each) in enumerate(wanted, start=1):
            key, folder = (name, *each[:4]), folders[name, each]
            if key in rows and (folder is None or folder.exists()):
                continue
            if ceilings is None:
                ceilings = _said_ceilings(say)
            say(f"{place} of {len(wanted)}  {name} at {_in_words(each)}: ")
            try:
                row = measure_strategy(
                    name, strategies[name], each, ceilings, num_repeats=num_repeats, memory=memory, trace_folder=folder
                )
            except (InputError, MemoryError, jax.errors.JaxRuntimeError) as error:  # the others are still worth having
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                failures.append(f"{name} at {_in_words(each)}: {reason}")
                say(f"failed: {reason}\n")
                continue
            say(f"{row.seconds:.3g} s, compiled in {row.seconds_compile:.2f} s, {100 * row.ceiling_share:.2g} %\n")
            if key not in rows:
                rows[key] = row
                if out is not None:
                    append_row(out / "profile.csv", row, conditions)
    except KeyboardInterrupt:
        is_interrupted = True
    keys = [(name, *each[:4]) for name, each in wanted]
    ordered = [rows[key] for key in dict.fromkeys([*keys, *rows]) if key in rows]
    markdown = profile_markdown(ordered, conditions)
    if out is not None and ordered:
        write_if_changed(out / "profile.md", markdown)
        write_if_changed(out / "profile.svg", seconds_figure(ordered))
    return Profile(ordered, markdown, failures, is_interrupted)


def _key(row: Measurement) -> tuple[str, int, int, int, int]:
    return row.strategy, row.num_rows, row.width, row.num_classes, row.query_size


def _in_words(sizes: Sizes) -> str:
    return f"N {sizes.num_rows}, D {sizes.width}, C {sizes.num_classes}, Q {sizes.query_size}"


def _said_ceilings(say: Callable[[str], object]) -> Ceilings:
    say("measuring what this machine can do: ")
    found = measure_ceilings()
    say(f"{found[0] / 1e9:.1f} GB/s read, {found[1] / 1e9:.0f} GFLOP/s in float32; shares below are of these\n")
    return found


def _make_trace_folder(trace: Path) -> None:
    try:
        make_folder(trace)
        probe = trace / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise unwritable(trace, error) from error


def _trace_folder(trace: Path | None, name: str) -> Path | None:
    return None if trace is None else trace / name.replace("(", "-").replace(")", "")
