#!/usr/bin/env bash
# Race and profile on a GPU in under nine minutes, and leave everything in $OUT:
# machine.txt, race.csv, race.md, profile.csv, profile.md, profile.svg, log.txt.
#
#   OUT=report bash scripts/gpu_report.sh
#   JAX_PLATFORMS=cpu SIZE=small GRID=600,32,2,20 bash scripts/gpu_report.sh     a trial without a GPU
#
# Needed are jax for the GPU and what jaxal itself imports (machine.txt says what of it is missing; wheels unpacked into
# a folder on PYTHONPATH do). Peers are raced where they are installed; tensorflow-datasets is not needed.
#
#   OUT            the folder; runs/gpu_report where not set
#   PYTHON         the interpreter; .venv/bin/python where there is one, else python3
#   SIZE           of the race (A); GRID: N,D,C,Q of the profile, several with blanks between them
#   RACE_SECONDS   PROFILE_SECONDS: after which each is stopped; what it had measured stays
set -uo pipefail
cd "$(dirname "$0")/.."

OUT=${OUT:-runs/gpu_report}
if [ -z "${PYTHON:-}" ]; then
  PYTHON=python3
  [ -x .venv/bin/python ] && PYTHON=.venv/bin/python
fi
SIZE=${SIZE:-A}
read -r -a GRID <<< "${GRID:-33000,2304,2,500}"
RACE_SECONDS=${RACE_SECONDS:-300}
PROFILE_SECONDS=${PROFILE_SECONDS:-200}
DEVICE=gpu
[ "${JAX_PLATFORMS:-}" = cpu ] && DEVICE=cpu

export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONUNBUFFERED=1
# jax would take three quarters of the GPU's memory at once, and PyTorch is to race on the same one.
export XLA_PYTHON_CLIENT_PREALLOCATE=false
mkdir -p "$OUT"
: > "$OUT/log.txt"

say() { echo "$@" | tee -a "$OUT/log.txt"; }

{
  date -u +%Y-%m-%dT%H:%MZ
  git rev-parse HEAD 2> /dev/null
  uname -srm
  nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader 2> /dev/null
  "$PYTHON" - << 'EOF'
import importlib.metadata, importlib.util, platform
print("Python", platform.python_version())
needed = "jax jaxlib flax optax orbax.checkpoint numpy scipy sklearn jaxtyping msgspec tomli_w tyro rich filelock"
needed += " matplotlib PIL simplejpeg jinja2"
def is_there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
missing = [name for name in needed.split() if not is_there(name)]
print("missing of what jaxal imports:", ", ".join(missing) or "nothing")
for name in ("jax", "jaxlib", "torch", "numpy", "scikit-learn", "scikit-activeml", "skmatter", "fpsample", "faiss-cpu"):
    try:
        print(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        print(name, "not installed")
EOF
} > "$OUT/machine.txt" 2>> "$OUT/log.txt"
cat "$OUT/machine.txt"

code=0
# step NAME SECONDS COMMAND…: run, log, and go on whatever comes of it.
step() {
  local name=$1 seconds=$2 began=$SECONDS status
  shift 2
  say "== $name: $*"
  timeout --kill-after=10 "$seconds" "$@" 2>&1 | tee -a "$OUT/log.txt"
  status=${PIPESTATUS[0]}
  case $status in
    0) say "== $name: done in $((SECONDS - began)) s" ;;
    124 | 137) say "== $name: stopped after $seconds s; what was measured is in $OUT" ;;
    *) say "== $name: exit code $status after $((SECONDS - began)) s" ;;
  esac
  [ "$status" = 0 ] || code=1
}

step race "$RACE_SECONDS" \
  "$PYTHON" scripts/race_peers.py --device "$DEVICE" --size "$SIZE" --repeats 5 --limit 8 --out "$OUT"
step profile "$PROFILE_SECONDS" "$PYTHON" -m jaxal profile --sizes "${GRID[@]}" --repeats 5 --out "$OUT"
exit $code
