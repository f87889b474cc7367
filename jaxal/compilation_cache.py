"""Compiled functions kept on the disk, so that the next process need not compile them again.

The entries and their eviction are JAX's own persistent compilation cache. Here it is decided where they lie, that their
number is bounded, and what a killed process left is cleared away. A library must not change JAX's settings for its
caller: the commands call `use_compilation_cache`, importing jaxal or `jaxal.select` does not.
"""

import hashlib
import os
import platform
import stat
import warnings
from contextlib import suppress
from pathlib import Path

import filelock
import jax

from jaxal.data.cache_files import user_cache_folder

__all__ = ["ENVIRONMENT_VARIABLE", "use_compilation_cache"]

ENVIRONMENT_VARIABLE = "JAXAL_COMPILATION_CACHE"
OFF_WORDS = frozenset({"off", "0", "false", "no"})
MAX_BYTES = 512 * 2**20
# Every new entry makes JAX look at all others, a few µs each; beyond so many it would take longer than compiling.
MAX_ENTRIES = 2000
LOCK_SECONDS = 1.0
HOW_TO_CHOOSE = f"Set {ENVIRONMENT_VARIABLE} to a folder to write to, or to off"


def use_compilation_cache(is_wanted: bool = True) -> Path | None:
    """Switch JAX's persistent compilation cache on for this process; call it before anything is compiled.

    By default entries lie in jaxal/compiled/CPU in the user's cache folder ($XDG_CACHE_HOME, else ~/.cache), CPU being
    a digest of the processor's features: code made for one must not run on another. At most 512 MiB of the entries used
    last are kept. The environment variable JAXAL_COMPILATION_CACHE names another folder, or says off; without it a
    cache that JAX was given (JAX_COMPILATION_CACHE_DIR) is left exactly as it is. What is there is code: a folder that
    others can write to is not used.

    Args:
        is_wanted: False switches every persistent cache off, JAX's own too.

    Returns:
        The folder in use; None where the cache is off.

    Warns:
        UserWarning: the folder cannot be used; everything is then compiled anew, which changes no result.
    """
    setting = os.environ.get(ENVIRONMENT_VARIABLE, "")
    if not is_wanted or setting.lower() in OFF_WORDS:
        jax.config.update("jax_enable_compilation_cache", False)
        return None
    given = jax.config.values["jax_compilation_cache_dir"]
    if given and not setting:
        return Path(given)
    try:
        root = Path(setting).expanduser().absolute() if setting else user_cache_folder() / "compiled"
        folder = root / _processor_digest()
        _make_private(folder)
        _tidy(folder)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        warnings.warn(
            f"compilation cache: {reason}{_place(error)}; everything is compiled anew. {HOW_TO_CHOOSE}.", stacklevel=2
        )
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", MAX_BYTES)
    # The many small functions add up to seconds.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return folder


def _place(error: Exception) -> str:
    return f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""


def _processor_digest() -> str:
    """Name what compiled code depends on: the processor and its features; another machine's where they are unknown."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    told = sorted(
        {line for line in lines if line.startswith(("flags", "Features", "vendor_id", "model", "cpu family"))}
    )
    words = [platform.system(), platform.machine(), *(told or [platform.processor(), platform.node()])]
    digest = hashlib.sha256("\n".join(words).encode()).hexdigest()
    return f"{platform.machine() or 'cpu'}-{digest[:12]}"


def _make_private(folder: Path) -> None:
    """Make the folder, and refuse one that this user cannot write to, or that others can.

    Raises:
        OSError: it cannot be used.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = folder.stat()
    if hasattr(os, "getuid") and (state.st_uid != os.getuid() or state.st_mode & stat.S_IWOTH):
        raise PermissionError(0, "it belongs to another user or others can write to it", str(folder))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(0, "cannot be written to", str(folder))


def _tidy(folder: Path) -> None:
    """Clear away what a killed or a full disk left unfinished, and the oldest entries where there are too many.

    JAX writes an entry, then its time of use; it would never repair an entry without the second, but fail at every
    later write. Both happen under this lock.
    """
    lock = filelock.FileLock(folder / ".lockfile")
    try:
        lock.acquire(timeout=LOCK_SECONDS)
    except filelock.Timeout:
        return  # somebody is at work here; the next process will find the time
    try:
        sizes = {entry.name: entry.stat().st_size for entry in os.scandir(folder)}
        keys = {name.removesuffix("-cache") for name in sizes if name.endswith("-cache")}
        whole = {key for key in keys if sizes[f"{key}-cache"] and f"{key}-atime" in sizes}
        unwanted = keys - whole
        if len(whole) > MAX_ENTRIES:
            by_use = sorted(whole, key=lambda key: int.from_bytes((folder / f"{key}-atime").read_bytes(), "little"))
            unwanted |= set(by_use[: len(whole) - MAX_ENTRIES // 2])
        for key in unwanted:
            for suffix in ("-cache", "-atime"):
                with suppress(FileNotFoundError):
                    (folder / f"{key}{suffix}").unlink()
    finally:
        lock.release()
