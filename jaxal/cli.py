"""The command line. jax is imported inside a command only, so that help comes at once."""

import contextlib
import dataclasses
import io
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated, NoReturn

import tyro

from jaxal.errors import JaxalError

__all__ = ["entry", "main"]

INTERRUPTED, TERMINATED = 130, 143


@dataclasses.dataclass(frozen=True)
class Run:
    """Run a study, or go on where it was stopped; prints the result table.

    Any setting of the config can be given as --PATH VALUE: --training.num_epochs 10, --arms.3.strategy.normalize l2
    (list items by number), --seeds '[0, 1]'.
    """

    config: Annotated[str, tyro.conf.Positional]
    """The study, a TOML file."""
    workdir: str | None = None
    """The run folder; runs/NAME where absent. Finished rounds in it are kept."""
    dry_run: bool = False
    """Read the config and the data, print what would be done, and write no run folder (resized images are cached)."""


@dataclasses.dataclass(frozen=True)
class Strategies:
    """List the acquisition strategies: paper, what each needs, what it costs."""


COMMANDS = Annotated[Run, tyro.conf.subcommand("run")] | Annotated[Strategies, tyro.conf.subcommand("strategies")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code.

    0 done; 2 command line or config not understood; 1 understood but refused; 130 / 143 stopped by Ctrl-C / SIGTERM,
    with the run resumable.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        words, overrides = _own_flags(words)
        command = tyro.cli(
            COMMANDS,
            prog="jaxal",
            description="Deep active learning for class-imbalanced images.",
            args=words or ["--help"],
            config=(tyro.conf.OmitSubcommandPrefixes,),
        )
        return _run(command, overrides) if isinstance(command, Run) else _strategies()
    except SystemExit as stop:  # tyro has said what is wrong, or printed the help
        return int(stop.code or 0)
    except JaxalError as error:
        print(f"jaxal: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\njaxal: stopped. The same command goes on where it was.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # nobody reads any more; the run folder holds everything that was to be printed
        return 1


def entry() -> NoReturn:
    """Run as the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show "±" must not end a finished run
    code = main()
    if code in (INTERRUPTED, TERMINATED):
        # All that was to be kept is on the disk. A regular end could crash in a compilation that still runs in XLA.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def _own_flags(words: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Part the command's own flags from those that set a value of the config, which only `run` takes."""
    if words[:1] != ["run"]:
        return words, []
    from jaxal.config.document import take_overrides

    return take_overrides(words, {*(field.name for field in dataclasses.fields(Run)), "no_dry_run", "help"})


def _run(command: Run, overrides: list[tuple[str, str]]) -> int:
    from jaxal.config.reading import load_study

    study = load_study(command.config, overrides)

    from jaxal import console
    from jaxal.store.signals import Terminated
    from jaxal.study import prepare_study, run_study

    if command.dry_run:
        console.print_plan(study, prepare_study(study))
        return 0
    try:
        with warnings.catch_warnings(), console.progress() as listener:
            warnings.showwarning = lambda message, *_, **__: print(f"jaxal: {message}", file=sys.stderr)
            result = run_study(study, command.workdir, listener)
    except Terminated:
        print("jaxal: terminated. The same command goes on where it was.", file=sys.stderr)
        return TERMINATED
    console.print_result(result.table, result.workdir)
    return 0


def _strategies() -> int:
    from jaxal import console

    console.print_strategies()
    return 0
