"""The command line of the race."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path


def main(words: Sequence[str] | None = None, description: str | None = None) -> int:
    """Race, print the tables' place, and return the exit code: 2 where the command line makes no sense."""
    words = list(sys.argv[1:] if words is None else words)
    options = _parser(description).parse_args(words)
    import jax

    if options.device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    if (jax.default_backend() == "cpu") != (options.device == "cpu"):
        print(f"race_peers: --device {options.device}, but jax has {jax.default_backend()} only", file=sys.stderr)
        return 2

    from .ceilings import best_ceilings
    from .entering import Rules
    from .output import heading, write_csv, write_markdown
    from .pools import SIZES, make_pool
    from .racing import race, say
    from .tasks import TASKS, named

    try:
        names = named(options.only)
    except ValueError as error:
        print(f"race_peers: {error}", file=sys.stderr)
        return 2
    changes = {"num_rows": options.num_rows, "width": options.width, "num_classes": options.num_classes}
    size = SIZES[options.size]._replace(**{key: value for key, value in changes.items() if value is not None})
    options.out.mkdir(parents=True, exist_ok=True)
    say(f"a pool of {size.num_rows} rows, {size.width} wide")
    pool = make_pool(size, options.data, options.seed)
    ceilings = best_ceilings()
    rules = Rules(options.repeats, options.limit)
    told = (
        f"Pool: {options.data}, seed {options.seed}: N {size.num_rows:,}, D {size.width}, C {size.num_classes},"
        f" {len(pool.labeled):,} labeled"
    )
    head = heading(f"python scripts/race_peers.py {shlex.join(words)}", told, ceilings, options.repeats)
    tables = []
    for name in names:
        task = TASKS[name](pool, size)
        tables.append((task, race(task, pool, ceilings, rules)))
        # After each task: what was measured stays, whatever the next one does.
        write_csv((row for _, rows in tables for row in rows), options.out / "race.csv")
        write_markdown(tables, head, options.out / "race.md")
    print(f"{options.out / 'race.md'} and race.csv are written")
    return 0


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="race_peers", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument(
        "--size", choices=("A", "B", "small"), default="A", help="N 33,000 D 2304; 1,000,000 × 512; 600 × 32"
    )
    parser.add_argument("--num-rows", type=_positive, help="instead of the size's")
    parser.add_argument("--width", type=_positive, help="instead of the size's")
    parser.add_argument("--num-classes", type=_positive, help="instead of the size's")
    parser.add_argument("--data", choices=("mixture", "decaying"), default="mixture", help="how clusters are spread")
    parser.add_argument("--only", help="tasks with commas between them; k_means stands for all that begin so")
    parser.add_argument("--repeats", type=_positive, default=5, help="timed calls of each contestant, at most")
    parser.add_argument(
        "--limit", type=float, default=120.0, help="seconds that one call may take; longer: scaled or skipped"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the pool")
    parser.add_argument("--out", type=Path, default=Path("runs/race"), help="the folder for race.csv and race.md")
    return parser


def _positive(word: str) -> int:
    value = int(word)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{word} is not at least 1")
    return value
