"""The scripts are no part of the package: their folder is what makes them importable here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
