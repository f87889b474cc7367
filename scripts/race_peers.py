"""Race jaxal's kernels against other libraries and hand-written loops, side by side, and write race.csv and race.md.

.venv/bin/pip install -e '.[peers]'
.venv/bin/python scripts/race_peers.py --out runs/race                       ISIC2020's size on a CPU
.venv/bin/python scripts/race_peers.py --device gpu --out runs/race          the same on a GPU
.venv/bin/python scripts/race_peers.py --size small --only core_set,badge

Answers are checked against float64 (BADGE: against its law) before they are timed; who is wrong is reported as failed,
who is not installed as that. Loops that would take longer than --limit are timed over a few passes and scaled.
"""

import sys

from race.command import main

if __name__ == "__main__":
    sys.exit(main(description=__doc__))
