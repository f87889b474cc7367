"""The command line. jax is imported inside a command only, so that help comes at once."""

import contextlib
import dataclasses
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Annotated, NoReturn

import tyro

from jaxal.errors import ConfigError, JaxalError, SelectionWarning

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
class Select:
    """Choose which samples of a pool to label next, for a model trained anywhere; writes CSV.

    The pool is an npz file with embeddings [N,D] and labels [N] (class, -1 unlabeled, -2 never ask), and what there is
    of num_classes, logits [N,C], mc_logits [M,N,C], source_logits [N,S], head_weight [D,C] with head_bias [C], ids [N].
    Settings of the strategy are given as --strategy.FIELD VALUE: --strategy.auto_fm.alpha_init half.
    """

    pool: Annotated[str, tyro.conf.Positional]
    """The pool, an npz file."""
    strategy: str
    """A name of `jaxal strategies`, balanced(NAME), or a TOML table."""
    budget: int
    """How many labels to buy."""
    seed: int = 0
    """The same seed gives the same picks."""
    memory: int | None = None
    """Bytes that the temporaries of one block of a pass over the pool may take; 64 MiB where absent."""
    out: str | None = None
    """The CSV file to write: rank,id,index,score,reason; standard output where absent."""


@dataclasses.dataclass(frozen=True)
class Strategies:
    """List the acquisition strategies: paper, what each needs, what it costs."""


COMMANDS = (
    Annotated[Run, tyro.conf.subcommand("run")]
    | Annotated[Select, tyro.conf.subcommand("select")]
    | Annotated[Strategies, tyro.conf.subcommand("strategies")]
)


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
        if isinstance(command, Run):
            return _run(command, overrides)
        return _select(command, overrides) if isinstance(command, Select) else _strategies()
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
    """Part a command's own flags from those that set a value: of `run`'s config, of `select`'s strategy."""
    from jaxal.config.document import take_overrides

    if words[:1] == ["run"]:
        return take_overrides(words, {*(field.name for field in dataclasses.fields(Run)), "no_dry_run", "help"})
    if words[:1] != ["select"]:
        return words, []
    from jaxal.config.keys import nearest

    names = [field.name for field in dataclasses.fields(Select)]
    kept, pairs = take_overrides(words, {*names, "help"})
    for path, _ in pairs:
        if not path.startswith("strategy."):
            raise ConfigError(f"unknown flag --{path}{nearest(f'--{path}', [f'--{name}' for name in names[1:]])}")
    return kept, pairs


@contextlib.contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Show every warning as a line on standard error, as errors are shown."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", SelectionWarning)
        warnings.showwarning = lambda message, *_, **__: print(f"jaxal: {message}", file=sys.stderr)
        yield


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
        with _warnings_as_lines(), console.progress() as listener:
            result = run_study(study, command.workdir, listener)
    except Terminated:
        print("jaxal: terminated. The same command goes on where it was.", file=sys.stderr)
        return TERMINATED
    console.print_result(result.table, result.workdir)
    return 0


def _select(command: Select, overrides: list[tuple[str, str]]) -> int:
    from jaxal.config.strategy_words import strategy_from_words

    strategy = strategy_from_words(command.strategy, overrides)

    from jaxal import console
    from jaxal.acquisition import select_with_reasons
    from jaxal.acquisition.pool_file import read_pool_file
    from jaxal.acquisition.query_file import check_target, formula_note, query_text, write_query

    if command.out is not None:
        check_target(command.out, command.pool)
    pool = read_pool_file(command.pool)
    with _warnings_as_lines():
        selection = select_with_reasons(
            strategy, **pool.arguments, budget=command.budget, seed=command.seed, memory=command.memory
        )
    note = formula_note(selection, pool.ids)
    if note:
        print(f"jaxal: {note}", file=sys.stderr)
    text = query_text(selection, pool.ids)
    if command.out is None:
        console.print_query(text)
    else:
        write_query(text, command.out)
        print(f"{len(selection.indices)} picks: {command.out}")
    return 0


def _strategies() -> int:
    from jaxal import console

    console.print_strategies()
    return 0
