"""Put a quickstart run's table, figure, machine and minutes into the README.

.venv/bin/python scripts/update_readme.py runs/quickstart
"""

import csv
import json
import os
import platform
import re
import shutil
import sys
from pathlib import Path

from jaxal.report.tables import markdown, summary_table
from jaxal.study.results import class_prevalences

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- quickstart: begin -->", "<!-- quickstart: end -->"
WHOLE = {"seed", "round", "num_labeled", "minority_labeled", "classes_found"}


def typed_rows(path: Path) -> list[dict]:
    """Read results.csv; an empty cell is None."""
    with open(path, newline="") as file:
        return [{key: typed(key, value) for key, value in row.items()} for row in csv.DictReader(file)]


def typed(column: str, cell: str) -> str | int | float | None:
    if column == "arm":
        return cell
    if cell == "":
        return None
    return int(cell) if column in WHOLE else float(cell)


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main(workdir: Path) -> None:
    rows = typed_rows(workdir / "results.csv")
    environment = json.loads((workdir / "environment.json").read_text())
    columns = ("seconds_train", "seconds_embed", "seconds_acquire")
    minutes = sum(row[column] or 0 for row in rows for column in columns) / 60
    shares = " and ".join(f"{share:.3f} of class {name}" for name, share in class_prevalences(workdir).items())
    note = (
        f"The last round on the unpruned test set ({shares}): mean ± half of the 95 % interval over seeds."
        f" Measured by the first command on {os.cpu_count()} cores ({processor()}), Python {environment['python']},"
        f" jax {environment['packages']['jax']}: {minutes:.1f} minutes of fitting, embedding and choosing. Put here by"
        f" `scripts/update_readme.py`."
    )
    readme = ROOT / "README.md"
    block = f"{BEGIN}\n{markdown(summary_table(rows))}\n{note}\n{END}"
    text, count = re.subn(f"{BEGIN}.*?{END}", lambda _: block, readme.read_text(), flags=re.DOTALL)
    if count != 1:
        sys.exit(f"{readme}: expected one block between {BEGIN} and {END}, found {count}")
    readme.write_text(text)
    (ROOT / "docs" / "figures").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(workdir / "figures" / "learning_curves.svg", ROOT / "docs" / "figures" / "quickstart.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
