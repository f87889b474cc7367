"""Checkpoints: a pytree of arrays saved by Orbax, with a SHA-256 manifest that says whether it is still whole.

A step is the folder `STEP/` that Orbax wrote and, beside it, `STEP.sha256.json`, written last: a step without its
manifest was interrupted and does not count. Orbax alone does not notice every flipped bit; the manifest does.
"""

import contextlib
import functools
import hashlib
import json
import logging
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from jaxal.errors import InputError, StoreError
from jaxal.store.files import make_folder, sync_folder, write_atomic
from jaxal.store.hashes import damages, hash_and_sync

_MANIFEST = ".sha256.json"
_INTERRUPTED = re.compile(r"\d+\.orbax-checkpoint-tmp.*|\.\d+\.sha256\.json\.\d+\.tmp")


def save(folder: Path, step: int, tree, *, keep: int = 2) -> str:
    """Saves a pytree of arrays as a step, durably, and removes all but the newest steps.

    When it returns, the step survives a crash of the machine. A step of the same number is replaced. After the save,
    steps beyond this one are removed too: they belong to an attempt that was abandoned. What interrupted saves left
    behind is cleared first.

    Args:
      folder: the folder of all steps; created when missing.
      step: the step's number, at least 0.
      tree: any pytree whose leaves are NumPy or JAX arrays or NumPy scalars; empty containers and arrays with a zero
        axis are fine. Typed PRNG keys are not: save `jax.random.key_data(key)`.
      keep: how many steps to leave, this one included; at least 1.

    Returns:
      The SHA-256 of the manifest file, to be recorded where this step is referred to and handed to `restore`. Two
      saves of the same tree differ in it: Orbax writes times and random names.

    Raises:
      InputError: `step` is negative or `keep` is 0.
      TypeError: a leaf is not an array; the message names its path.
      StoreError: the step could not be written (disk full, no permission); the earlier steps are kept.
    """
    if step < 0 or keep < 1:
        raise InputError(f"step must be at least 0 and keep at least 1, got step={step} and keep={keep}")
    folder = folder.resolve()  # Orbax takes absolute paths only
    leaves = _by_path(jax.tree_util.tree_flatten_with_path(tree)[0])
    specs = {path: _spec(path, leaf) for path, leaf in leaves.items()}
    arrays = {path: np.asarray(leaf) for path, leaf in jax.device_get(leaves).items() if np.size(leaf)}
    try:
        make_folder(folder)
        _clear_interrupted(folder)
        _remove(folder, step)
        # Orbax refuses an empty tree; no leaf of a tree without leaves can be called "".
        with _quiet():
            _orbax().save(folder / str(step), args=ocp.args.PyTreeSave(arrays or {"": np.zeros(1, np.uint8)}))
        digest = _digest(specs, arrays)
        manifest = {"files": hash_and_sync(folder / str(step)), "leaves": specs, "content": digest}
        sync_folder(folder)
        write_atomic(_manifest_of(folder, step), _manifest_text(manifest))
        kept = [other for other in steps(folder) if other <= step][-keep:]
        for other in set(steps(folder)) - set(kept):
            _remove(folder, other)
    except Exception as error:
        with contextlib.suppress(OSError):
            _clear_interrupted(folder)
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"cannot save checkpoint {step} in {folder}: {error}. Earlier checkpoints are kept. Free space or correct "
            "the permissions, then run the same command again."
        ) from error
    return digest


def restore(folder: Path, step: int, template, *, sha256: str | None):
    """Restores a step bit for bit, after every byte of it was verified.

    Args:
      folder: the folder of all steps.
      step: a complete step.
      template: a pytree of the same structure whose leaves have the shapes and dtypes saved: arrays, or
        `jax.ShapeDtypeStruct`. NumPy leaves come back as NumPy, all others as JAX arrays, on the template's devices
        where it is committed to some.
      sha256: what `save` returned, or None to trust the manifest that is there.

    Returns:
      The tree.

    Raises:
      TypeError: a leaf of the template is not an array.
      StoreError: the step is missing, damaged in any way, or does not fit the template. Nothing is changed.
    """
    folder = folder.resolve()
    manifest = _verified_manifest(folder, step, sha256)
    flat, treedef = jax.tree_util.tree_flatten_with_path(template)
    leaves = _by_path(flat)
    specs = {path: _spec(path, leaf) for path, leaf in leaves.items()}
    _refuse_misfit(folder, step, manifest["leaves"], specs)
    names = [path for path, leaf in leaves.items() if np.prod(leaf.shape)]
    kinds = {path: ocp.RestoreArgs(restore_type=np.ndarray) for path in names or [""]}
    try:
        with _quiet():
            arrays = _orbax().restore(folder / str(step), args=ocp.args.PyTreeRestore(restore_args=kinds))
    except Exception as error:
        raise _damaged(folder, step, [f"Orbax cannot read it ({error})"]) from error
    restored = {
        path: _like(leaf, arrays[path] if path in kinds else np.zeros(leaf.shape, leaf.dtype))
        for path, leaf in leaves.items()
    }
    _refuse_misfit(folder, step, {path: _spec(path, leaf) for path, leaf in restored.items()}, specs)
    if _digest(specs, {path: arrays[path] for path in names}) != manifest["content"]:
        raise _damaged(folder, step, ["the restored values are not those that were saved"])
    return treedef.unflatten([restored[path] for path in leaves])


def steps(folder: Path) -> list[int]:
    """Returns the complete steps (those with a manifest) in ascending order, without checking their bytes.

    Args:
      folder: the folder of all steps; a missing one holds none.
    """
    if not folder.is_dir():
        return []
    numbers = [int(path.name) for path in folder.iterdir() if _is_step(path)]
    return sorted(number for number in numbers if _manifest_of(folder, number).is_file())


@functools.cache
def _orbax() -> ocp.Checkpointer:
    # Synchronous: a failed asynchronous save hangs the exit. One folder of a dozen files, whatever the tree.
    # Of several processes this one alone: Orbax would wait for all the others.
    own = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=own, active_processes={own}, barrier_sync_key_prefix="jaxal"
    )
    handler = ocp.PyTreeCheckpointHandler(use_ocdbt=True, use_zarr3=False, multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Orbax from logging whole tracebacks of failures that it raises as well."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _manifest_of(folder: Path, step: int) -> Path:
    return folder / f"{step}{_MANIFEST}"


def _manifest_text(manifest: dict) -> str:
    """Returns a manifest as it is written: canonical JSON with its own hash as the seal, so that no byte can change."""
    seal = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    return json.dumps({**manifest, "seal": seal}, indent=1, sort_keys=True) + "\n"


def _is_step(path: Path) -> bool:
    return path.name.isdecimal() and path.name == str(int(path.name)) and path.is_dir()


def _by_path(flat: list) -> dict:
    """Returns the leaves by their path in the tree, such as `.params['head'].weight`, in the tree's order."""
    leaves = {jax.tree_util.keystr(path): leaf for path, leaf in flat}
    if len(leaves) != len(flat):
        raise TypeError(
            f"{len(flat) - len(leaves)} leaves share the path of another: give the tree's nodes distinct names"
        )
    return leaves


def _spec(path: str, leaf) -> str:
    """Returns a leaf's dtype and shape as one word, such as `float32[3,4]`."""
    dtype = getattr(leaf, "dtype", None)
    if dtype is None or not hasattr(leaf, "shape"):
        raise TypeError(f"leaf {path or 'at the root'} is {type(leaf).__name__}, not an array")
    if jnp.issubdtype(dtype, jax.dtypes.extended):
        raise TypeError(f"leaf {path or 'at the root'} is a typed key: save jax.random.key_data of it")
    if dtype.kind in "OSUMm" or dtype.names or not dtype.isnative:
        raise TypeError(
            f"leaf {path or 'at the root'} has the dtype {dtype}: only native numbers and booleans are saved"
        )
    return f"{np.dtype(dtype).name}[{','.join(map(str, leaf.shape))}]"


def _digest(specs: dict[str, str], arrays: dict[str, np.ndarray]) -> str:
    """Returns the SHA-256 of leaves: each path and spec, then the values of what has any, in the order of the paths."""
    digest = hashlib.sha256()
    for path in sorted(specs):
        digest.update(json.dumps([path, specs[path]]).encode())
        if path in arrays:
            digest.update(np.ascontiguousarray(arrays[path]).tobytes())
    return digest.hexdigest()


def _like(template, value: np.ndarray):
    """Returns value as the kind of array that the template is."""
    if isinstance(template, np.generic):
        return value[()]
    if isinstance(template, np.ndarray):
        return value
    is_placed = template.committed if isinstance(template, jax.Array) else template.sharding is not None
    # A copy: a donated argument must not share its memory with NumPy.
    return jax.device_put(value, template.sharding, may_alias=False) if is_placed else jnp.array(value)


def _verified_manifest(folder: Path, step: int, sha256: str | None) -> dict:
    path = _manifest_of(folder, step)
    if not (folder / str(step)).is_dir() or not path.is_file():
        raise StoreError(
            f"there is no complete checkpoint {step} in {folder}, only {steps(folder) or 'none'}. "
            "Use one of those, or start again in another folder."
        )
    try:
        text = path.read_bytes().decode()
        manifest = json.loads(text)
        seal = manifest.pop("seal")
        if text != _manifest_text(manifest):
            raise _damaged(folder, step, [f"{path.name} was changed (its seal {str(seal)[:12]}… does not fit)"])
        files, specs, content = manifest["files"], manifest["leaves"], manifest["content"]
        if not all(isinstance(text, str) for text in [*files.values(), *specs.values(), content]):
            raise ValueError("a hash or a dtype is not text")
        if sha256 is not None and content != sha256:
            raise _damaged(folder, step, [f"{path.name} is not of the tree that was recorded ({sha256[:12]}…)"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(folder, step, [f"{path.name} cannot be read ({error!r})"]) from error
    found = damages(folder / str(step), files)
    if found:
        raise _damaged(folder, step, found)
    return manifest


def _damaged(folder: Path, step: int, found: list[str]) -> StoreError:
    others = [other for other in steps(folder) if other != step]
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    advice = (
        f"Use checkpoint {others[-1]} instead" if others else "No other checkpoint is there: start in another folder"
    )
    return StoreError(f"checkpoint {step} in {folder} is damaged: {'; '.join(found[:5])}{more}. {advice}.")


def _refuse_misfit(folder: Path, step: int, saved: dict[str, str], wanted: dict[str, str]) -> None:
    wrong = [
        f"{path or 'the root'} is {saved.get(path, 'absent')}, expected {wanted.get(path, 'nothing')}"
        for path in sorted(saved.keys() | wanted.keys())
        if saved.get(path) != wanted.get(path)
    ]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise StoreError(
            f"checkpoint {step} in {folder} does not fit: {len(wrong)} leaves differ: "
            f"{'; '.join(wrong[:5])}{more}. Another model, config or version saved it: use the one that did."
        )


def _clear_interrupted(folder: Path) -> None:
    """Removes what interrupted saves and removals left: steps without a manifest, manifests without a step."""
    complete = steps(folder)
    for path in list(folder.iterdir()):
        number = path.name.removesuffix(_MANIFEST)
        if _is_step(path) and int(path.name) not in complete:
            shutil.rmtree(path)
        elif (path.name.endswith(_MANIFEST) and number.isdecimal() and int(number) not in complete) or (
            _INTERRUPTED.fullmatch(path.name)
        ):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _remove(folder: Path, step: int) -> None:
    # The manifest first: a step that is half removed must not look complete.
    _manifest_of(folder, step).unlink(missing_ok=True)
    if (folder / str(step)).exists():
        sync_folder(folder)
        shutil.rmtree(folder / str(step))
