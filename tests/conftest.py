"""Types are checked while tracing, ranks never promote silently, and warnings are errors."""

import os
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Nearly all of the suite's time is compilation, and this saves half of it; the mathematics is the same. With
# XLA_FLAGS="" in the environment, functions are compiled as for users: so before a release.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0"
    # Unknown to another XLA, a flag would end the process.
    + (" --xla_cpu_use_fusion_emitters=false" if version("jaxlib").startswith("0.10.") else ""),
)
# Of the commands that tests run: their compiled functions have no place in the user's cache folder.
os.environ["JAXAL_COMPILATION_CACHE"] = "off"

from jaxtyping import install_import_hook

install_import_hook("jaxal", "beartype.beartype")

import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")

# Each compiled program takes some ten memory maps, of which Linux allows a process 65,530: beyond, XLA crashes.
MOST_MAPS = 30_000


@pytest.fixture(autouse=True, scope="module")
def _let_compiled_programs_go():
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > MOST_MAPS:
        jax.clear_caches()
