"""The command line. jax is imported inside a command only, so that help comes at once."""

import contextlib
import dataclasses
import io
import os
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import tyro

from jaxal.command_flags import COMMANDS, Data, DataBuild, DataCheck, Embed, Profile, Run, Select
from jaxal.errors import ConfigError, JaxalError, SelectionWarning
from jaxal.store.signals import Terminated, handled

__all__ = ["entry", "main"]

INTERRUPTED, TERMINATED = 130, 143
HELD = 75  # EX_TEMPFAIL: what another process is at; later the same command may do it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code.

    0 done; 2 command line or config not understood; 1 understood but refused; 130 / 143 stopped by Ctrl-C / SIGTERM,
    with what can be resumed kept; 75 another process is at this job.
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
        if isinstance(command, Embed):
            return _embed(command, overrides)
        if isinstance(command, Profile):
            return _profile(command, overrides)
        if isinstance(command, Data):
            return _data(command.command)
        return _select(command, overrides) if isinstance(command, Select) else _strategies()
    except SystemExit as stop:  # tyro has said what is wrong, or printed the help
        return int(stop.code or 0)
    except JaxalError as error:
        print(f"jaxal: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"\njaxal: stopped. {_after_a_stop(words)}", file=sys.stderr)
        return INTERRUPTED
    except Terminated:
        print(f"jaxal: terminated. {_after_a_stop(words)}", file=sys.stderr)
        return TERMINATED
    except BrokenPipeError:
        sys.stderr.close()  # nobody reads any more; the run folder holds everything that was to be printed
        return 1


def _after_a_stop(words: Sequence[str]) -> str:
    has_out = any(word == "--out" or word.startswith("--out=") for word in words)
    is_streamed = words[:1] == ["select"] and any(word == "--stream" or word.startswith("--stream=") for word in words)
    is_kept = is_streamed or (
        words[:1] in (["run"], ["embed"]) or words[:2] == ["data", "build"] or (words[:1] == ["profile"] and has_out)
    )
    return "The same command goes on where it was." if is_kept else "Nothing was written; the same command begins anew."


def entry() -> NoReturn:
    """Run as the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show "±" must not end a finished run
    code = main()
    if code in (INTERRUPTED, TERMINATED) or (code and _is_among_others()):
        # All that was to be kept is on the disk. A regular end could crash in a compilation that still runs in XLA, or
        # wait for other processes.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def _is_among_others() -> bool:
    return "jax" in sys.modules and sys.modules["jax"].distributed.is_initialized()


def _own_flags(words: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Part a command's own flags from those that set a value: of `run`'s config, of `select`'s strategy."""
    from jaxal.config.document import take_overrides

    with_config = {"run": Run, "embed": Embed, "profile": Profile}
    if words and words[0] in with_config:
        return take_overrides(words, _known_flags(with_config[words[0]]))
    if words[:1] != ["select"]:
        return words, []
    from jaxal.config.keys import nearest

    names = [field.name for field in dataclasses.fields(Select) if field.type is not bool]  # those that take a value
    kept, pairs = take_overrides(words, _known_flags(Select))
    for path, _ in pairs:
        if not path.startswith("strategy."):
            raise ConfigError(f"unknown flag --{path}{nearest(f'--{path}', [f'--{name}' for name in names[1:]])}")
    return kept, pairs


def _known_flags(command: type) -> set[str]:
    """Name a command's own flags: those that are on or off can be given either way."""
    names = {field.name for field in dataclasses.fields(command)}
    return names | {f"no_{field.name}" for field in dataclasses.fields(command) if field.type is bool} | {"help"}


@contextlib.contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Show every warning as a line on standard error, as errors are shown."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", SelectionWarning)
        warnings.showwarning = lambda message, *_, **__: print(f"jaxal: {message}", file=sys.stderr)
        yield


def _keep_compiled(is_wanted: bool) -> None:
    from jaxal.compilation_cache import use_compilation_cache

    with _warnings_as_lines():
        use_compilation_cache(is_wanted)


def _run(command: Run, overrides: list[tuple[str, str]]) -> int:
    from jaxal.config.family import load_family, members_named

    family = load_family(command.config, overrides)
    members_named(family, command.only)  # a name that nobody has is told before jax is loaded
    if command.list or command.job is not None:
        return _list_jobs(command, family, overrides) if command.list else _run_job(command, family)
    if not command.distributed or command.dry_run:
        for name in ("coordinator", "num_processes", "process"):
            if getattr(command, name) is not None:
                raise ConfigError(f"--{name.replace('_', '-')}: belongs to --distributed, without --dry-run")

    from jaxal import console, processes
    from jaxal.study import StudyListener
    from jaxal.study.family import prepare_family, run_family

    if command.dry_run:
        for study, plan in prepare_family(family, command.only):
            console.print_plan(study, plan)
        print("Dry run: nothing was trained, and no run folder written.")
        return 0
    _keep_compiled(command.compilation_cache)
    seconds_trunk: list[float] = []
    place = processes.Place(command.coordinator, command.num_processes, command.process)
    with _warnings_as_lines(), processes.joined(place) if command.distributed else contextlib.nullcontext():
        is_first = processes.is_first()
        with console.progress() if is_first else contextlib.nullcontext(StudyListener()) as listener:
            listener = listener._replace(on_trunk=seconds_trunk.append)
            result = run_family(family, command.workdir, command.only, listener)
    if not is_first:
        return 0
    if family.is_one_study:
        console.print_result(result.members[0].table, result.workdir, sum(seconds_trunk, 0.0))
    else:
        console.print_family(result)
    console.print_tables(result.tables)
    return 0


def _list_jobs(command: Run, family: Any, overrides: list[tuple[str, str]]) -> int:
    from jaxal.config.jobs import job_lines, list_jobs

    _refuse_beside(command, "list", "job", "dry_run", "distributed")
    flags = [] if command.workdir is None else ["--workdir", command.workdir]
    flags += [] if command.compilation_cache else ["--no-compilation-cache"]
    for line in job_lines(list_jobs(family, command.only), _program(), command.config, flags, overrides):
        print(line)
    return 0


def _program() -> list[str]:
    """Tell how this program is called: as it was now, or as `jaxal` where that is the same."""
    called = Path(sys.argv[0])
    if called.parts[-2:] == ("jaxal", "__main__.py"):
        return [sys.executable, "-m", "jaxal"]
    found = shutil.which("jaxal")
    is_found = found is not None and called.exists() and os.path.samefile(found, called)
    return ["jaxal" if is_found or called.name != "jaxal" else sys.argv[0]]


def _run_job(command: Run, family: Any) -> int:
    from jaxal.config.jobs import find_job

    _refuse_beside(command, "job", "dry_run", "distributed")
    job = find_job(family, command.only, command.job or "")

    from jaxal import console
    from jaxal.store.lock import HeldError
    from jaxal.study.family import run_family_job

    _keep_compiled(command.compilation_cache)
    try:
        with _warnings_as_lines(), console.progress() as listener:
            folder, is_new = run_family_job(family, job, command.workdir, listener)
    except HeldError as error:
        print(f"jaxal: skipped: {error}", file=sys.stderr)
        return HELD
    print(f"{folder}: finished{'' if is_new else ' already, nothing to do'}")
    return 0


def _refuse_beside(command: Run, flag: str, *others: str) -> None:
    for other in others:
        if getattr(command, other) not in (None, False):
            raise ConfigError(f"--{other.replace('_', '-')}: means nothing with --{flag}")


def _embed(command: Embed, overrides: list[tuple[str, str]]) -> int:
    from jaxal.config.reading import load_study

    if not command.out:
        raise ConfigError("--out: expected a folder, got ''")
    study = load_study(command.config, overrides)

    from jaxal import console
    from jaxal.study.embedding import embed_study

    _keep_compiled(command.compilation_cache)
    with console.progress() as listener:
        result = embed_study(study, command.out, command.arm, listener.on_images, listener.on_embedded)
    console.print_embedded(result)
    return 0


def _select(command: Select, overrides: list[tuple[str, str]]) -> int:
    from jaxal.config.strategy_words import strategy_from_words

    strategy = strategy_from_words(command.strategy, overrides)

    from jaxal import console
    from jaxal.acquisition.query_file import check_target, formula_note, query_text, write_query
    from jaxal.acquisition.streamed_folder import check_state_folder

    if command.out is not None:
        check_target(command.out, command.pool, command.labels)
    if not os.path.isdir(command.pool):
        for name in ("labels", "head", "stream"):
            if getattr(command, name) is not None:
                also = "" if name == "stream" else f"; an npz file holds its {name} itself"
                raise ConfigError(f"--{name}: belongs to a folder made by `jaxal embed`{also}")
    if command.stream is not None and command.devices is not None:
        raise ConfigError("--devices: a pool that is read from the disk (--stream) is worked on by one device")
    if command.stream is not None:
        check_state_folder(command.stream, command.pool, command.out)
    _keep_compiled(command.compilation_cache)
    with _warnings_as_lines(), console.selection_progress():
        selection, ids = _chosen(command, strategy)
    note = formula_note(selection, ids)
    if note:
        print(f"jaxal: {note}", file=sys.stderr)
    text = query_text(selection, ids)
    if command.out is None:
        console.print_query(text)
    else:
        write_query(text, command.out)
        print(f"{len(selection.indices)} picks: {command.out}")
    return 0


def _chosen(command: Select, strategy: Any) -> tuple[Any, Any]:
    """Choose from whatever the pool is; returns the selection, and the ids of at least the rows chosen."""
    from jaxal.acquisition import select_with_reasons
    from jaxal.acquisition.pool_file import read_pool_file
    from jaxal.acquisition.pool_folder import read_pool_folder
    from jaxal.acquisition.streamed import select_streamed, streaming_note
    from jaxal.acquisition.streamed_folder import ids_of_rows, open_streamed_folder

    settings = {"budget": command.budget, "seed": command.seed, "memory": command.memory}
    if command.stream is None:
        if os.path.isdir(command.pool):
            pool = read_pool_folder(command.pool, command.labels, command.head, devices=command.devices)
        else:
            pool = read_pool_file(command.pool)
        return select_with_reasons(strategy, **pool.arguments, **settings, devices=command.devices), pool.ids
    opened = open_streamed_folder(command.pool, command.labels, command.head)
    with handled():
        selection, notes, seconds = select_streamed(strategy, opened.pool, **settings, state=Path(command.stream))
    for note in notes:
        warnings.warn(note, SelectionWarning, stacklevel=1)
    chosen = ids_of_rows(opened.folder, selection.indices.tolist())
    print(f"jaxal: {streaming_note(opened.pool.rows.num_images, seconds)}", file=sys.stderr)
    return selection, chosen


def _profile(command: Profile, overrides: list[tuple[str, str]]) -> int:
    if command.round is not None:
        return _profile_round(command, command.round, overrides)
    if overrides:
        from jaxal.config.keys import nearest

        known = [f"--{field.name}" for field in dataclasses.fields(Profile)]
        raise ConfigError(f"unknown flag --{overrides[0][0]}{nearest(f'--{overrides[0][0]}', known)}")
    for name in ("repeats", "memory"):
        value = getattr(command, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name}: expected a whole number, 1 or more, got {value}")

    from jaxal.profiling.sizes import DEFAULT_SIZES, parse_sizes, strategies_of

    sizes, strategies = parse_sizes(command.sizes) or DEFAULT_SIZES, strategies_of(command.strategies)

    from jaxal.profiling.grid import run_profile

    _keep_compiled(False)  # what compiling takes is among what is measured
    profile = run_profile(
        strategies,
        sizes,
        num_repeats=command.repeats,
        memory=command.memory,
        out=None if command.out is None else Path(command.out),
        trace=None if command.trace is None else Path(command.trace),
        say=_say,
    )
    print(profile.markdown, end="")
    for failure in profile.failures:
        print(f"jaxal: {failure}", file=sys.stderr)
    if profile.is_interrupted:
        how = "--out would have kept this" if command.out is None else "The same command goes on where it was"
        print(f"\njaxal: stopped. {how}.", file=sys.stderr)
        return INTERRUPTED
    return 1 if profile.failures else 0


def _profile_round(command: Profile, config: str, overrides: list[tuple[str, str]]) -> int:
    given = [name for name in ("strategies", "sizes", "memory", "trace") if getattr(command, name)]
    if given:
        raise ConfigError(f"--{given[0]}: means nothing with --round, which runs the study's own strategy on its data")

    from jaxal.config.reading import load_study

    study = load_study(config, overrides)

    from jaxal.profiling.round_split import round_markdown, split_round
    from jaxal.store.files import write_atomic

    _keep_compiled(False)
    with _warnings_as_lines():
        text = round_markdown(split_round(study, _say))
    print(text, end="")
    if command.out is not None:
        write_atomic(Path(command.out) / "round.md", text)
    return 0


def _data(command: DataCheck | DataBuild) -> int:
    settings = dataclasses.asdict(command)
    with handled():
        from jaxal import data_commands

        if isinstance(command, DataCheck):
            return data_commands.check(settings)
        settings["image_size"] = settings.pop("size")
        return data_commands.build(settings, settings.pop("out"))


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _strategies() -> int:
    from jaxal import console

    console.print_strategies()
    return 0
