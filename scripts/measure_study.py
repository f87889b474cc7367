"""Run a study from nothing, and put its tables, figure, machine, minutes and memory into a document.

.venv/bin/python scripts/measure_study.py configs/quickstart.toml README.md --last-round
.venv/bin/python scripts/measure_study.py configs/fashion_mnist_imbalanced.toml docs/benchmarks.md

The document holds a block between `<!-- NAME: begin -->` and `<!-- NAME: end -->`; the figure goes to docs/figures.
"""

import argparse
import os
import platform
import re
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import jax.monitoring

from jaxal.config.reading import load_study
from jaxal.console import progress
from jaxal.data.dataset import load_source, make_dataset
from jaxal.report.external import external_rows
from jaxal.report.inputs import ReportInputs
from jaxal.report.round_tables import round_tables
from jaxal.report.seconds import acquisition_share
from jaxal.report.summary import summarize
from jaxal.report.tables import markdown, summary_table
from jaxal.study import prepare_study, run_study
from jaxal.study.report_inputs import collect_report
from jaxal.study.results import class_prevalences

ROOT = Path(__file__).resolve().parent.parent
COMPILATION = "/jax/core/compile/backend_compile_duration"


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("document", type=Path)
    parser.add_argument("--workdir", type=Path, help="a new folder; a temporary one where absent")
    parser.add_argument("--last-round", action="store_true", help="one table of the last round instead of all rounds")
    options = parser.parse_args()
    study = load_study(options.config)
    workdir = options.workdir or Path(tempfile.mkdtemp(prefix="jaxal-")) / study.name
    if workdir.exists():
        sys.exit(f"{workdir}: exists; a measurement starts from nothing")

    num_compilations, late = [0], []

    def on_event(event: str, duration_secs: float, **kwargs: str | int) -> None:
        num_compilations[0] += event == COMPILATION

    jax.monitoring.register_event_duration_secs_listener(on_event)
    began = time.perf_counter()
    with progress() as listener:
        before = [0]

        def on_round(arm: str, seed: int, number: int, num_rounds: int) -> None:
            if number >= 2:
                late.append(num_compilations[0] - before[0])
            before[0] = num_compilations[0]
            listener.on_round(arm, seed, number, num_rounds)

        result = run_study(study, workdir, listener._replace(on_round=on_round))
    minutes = (time.perf_counter() - began) / 60
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

    plan, source = prepare_study(study), load_source(study.data)
    inputs = collect_report(study, workdir, plan, lambda seed: make_dataset(source, study.data, seed))
    shares = " and ".join(f"{share:.3f} of class {name}" for name, share in class_prevalences(workdir).items())
    packages = inputs.environment["packages"]
    note = (
        f"On the unpruned test set ({shares}): mean ± half of the 95 % interval over {len(study.seeds)} seeds."
        f" Measured on {os.cpu_count()} cores ({processor()}), Python {inputs.environment['python']}, jax"
        f" {packages['jax']}: {minutes:.1f} minutes, {peak:.2f} GiB at the peak, {sum(late)} compilations in the"
        f" {len(late)} rounds from the second on. {acquisition_share(result.table)} Put here by"
        " `scripts/measure_study.py`."
    )
    external = external_rows(result.table, inputs.metric_rows)
    tables = markdown(summary_table(result.table, external=external)) if options.last_round else all_rounds(inputs)
    write_block(options.document, study.name, f"{tables}\n{note}")
    (ROOT / "docs" / "figures").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(workdir / "figures" / "learning_curves.svg", ROOT / "docs" / "figures" / f"{study.name}.svg")
    print(f"{options.document} is written; the run folder is {workdir}")


def all_rounds(inputs: ReportInputs) -> str:
    text = " ".join(summarize(inputs)) + "\n"
    for table in round_tables(inputs):
        headings = [f"{share} · {labels}" for share, labels in table.columns]
        rows = []
        for arm, cells, _ in table.rows:
            texts = [f"**{cell.text}**" if cell.is_best else cell.text for cell in cells]
            rows.append({"arm": arm} | dict(zip(headings, texts, strict=True)))
        text += f"\n{table.title}\n\n{markdown(rows)}"
    return text


def write_block(document: Path, name: str, block: str) -> None:
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    whole = f"{begin}\n{block}\n{end}"
    text, count = re.subn(f"{begin}.*?{end}", lambda _: whole, document.read_text(), flags=re.DOTALL)
    if count != 1:
        sys.exit(f"{document}: expected one block between {begin} and {end}, found {count}")
    document.write_text(text)


if __name__ == "__main__":
    main()
