"""The flags of every command; their texts are the help."""

import dataclasses
from typing import Annotated, Literal

import tyro

__all__ = ["COMMANDS", "Data", "DataBuild", "DataCheck", "Embed", "Profile", "Run", "Select", "Strategies"]


@dataclasses.dataclass(frozen=True)
class Run:
    """Run a study, or a family of them, or go on where it was stopped; prints the result table.

    Any setting of the config can be given as --PATH VALUE: --training.num_epochs 10, --arms.3.strategy.normalize l2
    (list items by number), --seeds '[0, 1]'.
    """

    config: Annotated[str, tyro.conf.Positional]
    """The study, or a family that varies it, a TOML file."""
    workdir: str | None = None
    """The run folder; runs/NAME where absent. Finished rounds in it are kept. A family has one in it per member."""
    only: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """A member of the family to run, not all; may be given several times."""
    list: bool = False
    """Print the run as jobs, one command a line, which many processes may share: see docs/scaling.md."""
    job: str | None = None
    """ARM:SEED: run only that. Exit code 75: another process is at it. `jaxal run` without it then makes the report."""
    dry_run: bool = False
    """Read the config and the data, print what would be done, and write no run folder (resized images are cached)."""
    distributed: bool = False
    """Run it in several processes, started alike on each host; clusters (Slurm, Kubernetes, TPU) are detected."""
    coordinator: str | None = None
    """With --distributed: HOST:PORT of process 0, where no cluster says it (JAX_COORDINATOR_ADDRESS)."""
    num_processes: int | None = None
    """With --distributed: how many there are, where no cluster says it (JAX_NUM_PROCESSES)."""
    process: int | None = None
    """With --distributed: the number of this one, from 0, where no cluster says it (JAX_PROCESS_ID)."""
    compilation_cache: bool = True
    """Keep compiled functions in the user's cache folder for the next time (JAXAL_COMPILATION_CACHE=PATH or off)."""


@dataclasses.dataclass(frozen=True)
class Embed:
    """Put the images of a study through the network that it starts from, once, into a folder of embeddings.

    Studies with a frozen trunk read it by data.embeddings, `jaxal select` chooses from it. The same command goes on
    where it was stopped; where the folder is complete, it checks it. Any setting of the config can be given as for
    `jaxal run`.
    """

    config: Annotated[str, tyro.conf.Positional]
    """The study, a TOML file."""
    out: str
    """The folder to make."""
    arm: str | None = None
    """The arm whose own model it is; the study's model where absent."""
    compilation_cache: bool = True
    """Keep compiled functions in the user's cache folder for the next time (JAXAL_COMPILATION_CACHE=PATH or off)."""


@dataclasses.dataclass(frozen=True)
class Select:
    """Choose which samples of a pool to label next, for a model trained anywhere; writes CSV.

    The pool is an npz file with embeddings [N,D] and labels [N] (class, -1 unlabeled, -2 never ask), and what there is
    of num_classes, logits [N,C], mc_logits [M,N,C], source_logits [N,S], head_weight [D,C] with head_bias [C], ids [N];
    or a folder made by `jaxal embed`, with the labels in a CSV file. With --stream the same command goes on where it
    was stopped. Settings of the strategy are given as
    --strategy.FIELD VALUE: --strategy.auto_fm.alpha_init half.
    """

    pool: Annotated[str, tyro.conf.Positional]
    """The pool, an npz file or a folder of embeddings."""
    strategy: str
    """A name of `jaxal strategies`, balanced(NAME), or a TOML table."""
    budget: int
    """How many labels to buy."""
    labels: str | None = None
    """Of a folder: a CSV file with the columns id and label (a class; empty: unlabeled; skip: never ask)."""
    head: str | None = None
    """Of a folder: the model's last linear layer, an npz file with head_weight [D,C] and head_bias [C]."""
    stream: str | None = None
    """Of a folder: read its rows from the disk block by block, and keep in this folder how far the choice has come."""
    seed: int = 0
    """The same seed gives the same picks."""
    memory: int | None = None
    """Bytes that the temporaries of one block of a pass over the pool may take; 64 MiB where absent."""
    devices: int | None = None
    """How many devices to spread the pool's rows over; all there are where absent, one on CPUs. Not with --stream."""
    out: str | None = None
    """The CSV file to write: rank,id,index,score,reason; standard output where absent."""
    compilation_cache: bool = True
    """Keep compiled functions in the user's cache folder for the next time (JAXAL_COMPILATION_CACHE=PATH or off)."""


@dataclasses.dataclass(frozen=True)
class Profile:
    """Measure strategies on made pools against what this machine can do, or split one round of a study; prints a table.

    Each strategy is compiled, checked and timed at each size; with --out the same command goes on where it was stopped.
    With --round any setting of the study can be given as for `jaxal run`.
    """

    strategies: str | None = None
    """Names of `jaxal strategies` with commas between them; all where absent."""
    sizes: tuple[str, ...] = ()
    """Sizes of pool and query, each N,D,C,Q: --sizes 4000,256,4,50 33000,2304,2,500."""
    repeats: int = 5
    """Timed calls of each, every one with another pool."""
    out: str | None = None
    """A folder to write profile.csv, profile.md and profile.svg to (round.md with --round)."""
    memory: int | None = None
    """Bytes that the temporaries of one block may take, as in `jaxal select`."""
    trace: str | None = None
    """A folder for JAX's profiler: one call of each strategy at the last size."""
    round: str | None = None
    """A study's config: split one round of its first arm into fit, embed, acquire, evaluate and io instead."""


@dataclasses.dataclass(frozen=True)
class Strategies:
    """List the acquisition strategies: paper, what each needs, what it costs."""


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """Labeled images, and what decides where they can be read in several ways."""

    path: Annotated[str, tyro.conf.Positional]
    """A folder, or the CSV file with the labels."""
    images: tuple[str, ...] | None = None
    """Folders that hold the images, at any depth; where absent, all below the path."""
    labels: str | None = None
    """The CSV file with the labels, where several could be it."""
    duplicates: Literal["drop", "keep"] | None = None
    """Whether the second image of each pair in a list of duplicates is dropped (the default) or kept."""
    duplicates_file: str | None = None
    """The list of duplicates; found by its columns where absent."""
    image_column: str | None = None
    """Name of the column with the image; found by the usual names where absent."""
    label_column: str | None = None
    """Name of the column with the class."""
    group_column: str | None = None
    """Name of the column of what belongs together, such as a patient; '' reads none."""
    split_column: str | None = None
    """Name of the column with train, validation or test; '' reads none."""
    class_list: str | None = None
    """A text file with the class folders to read, one per line."""
    unclear_diagnosis: Literal["refuse", "benign", "leave_out"] | None = None
    """What to make of an ISIC diagnosis that is neither benign nor malignant; refused where absent."""
    color: Literal["rgb", "gray"] | None = None
    """RGB where absent."""


@dataclasses.dataclass(frozen=True)
class DataCheck(ImageFiles):
    """Say what a data set holds, or all that is wrong with it; reads every image and writes nothing.

    The path may be a folder or CSV file of images in any usual form, an npz or CIFAR file, or a built folder.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataBuild(ImageFiles):
    """Decode and resize the images of a data set once, into a folder with a manifest that studies read.

    The same command goes on where it was stopped; where the folder is complete, it checks the folder and the images.
    """

    size: int
    """Side of the square images in pixels."""
    out: str
    """The folder to build, outside of the data."""
    max_bad: int | None = None
    """Images that cannot be used and are left out, at most; none where absent."""


@dataclasses.dataclass(frozen=True)
class Data:
    """Check a data set, or build a folder of resized images from it."""

    command: Annotated[DataCheck, tyro.conf.subcommand("check")] | Annotated[DataBuild, tyro.conf.subcommand("build")]


COMMANDS = (
    Annotated[Run, tyro.conf.subcommand("run")]
    | Annotated[Embed, tyro.conf.subcommand("embed")]
    | Annotated[Select, tyro.conf.subcommand("select")]
    | Annotated[Profile, tyro.conf.subcommand("profile")]
    | Annotated[Data, tyro.conf.subcommand("data")]
    | Annotated[Strategies, tyro.conf.subcommand("strategies")]
)
