"""What a run was made with: versions, devices, data, commit."""

import hashlib
import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

import jaxal
from jaxal.data.source import ImageSource

__all__ = ["describe_environment", "shared_facts"]

PACKAGES = (
    "jaxal", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scikit-learn", "pillow", "simplejpeg",
)  # fmt: skip


def describe_environment(
    source: ImageSource, weights: Mapping[str, str], embeddings: Mapping[str, str]
) -> dict[str, Any]:
    """Describe versions, devices, the data's fingerprint, and the commit of jaxal's checkout (null outside of one).

    Args:
        source: of the data.
        weights: SHA-256 of the file with pretrained weights, by arm; an arm without any has none.
        embeddings: SHA-256 of those that data.embeddings gives, by arm; only of arms that read them.
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "backend": jax.default_backend(),
        "devices": [device.device_kind for device in jax.devices()],
        "data_sha256": source.fingerprint,
        "commit": _commit(),
        **({"weights_sha256": dict(weights)} if weights else {}),
        **({"embeddings_sha256": dict(embeddings)} if embeddings else {}),
    }


def shared_facts(config_text: str, environment: Mapping[str, Any]) -> dict[str, str]:
    """Name what all processes of a study must have alike, as short texts.

    Args:
        config_text: of the study.
        environment: as `describe_environment` gives it.
    """
    facts = {"config": _digest(config_text), "data": environment["data_sha256"][:12]}
    for name in ("weights_sha256", "embeddings_sha256"):
        facts[name.removesuffix("_sha256")] = _digest(json.dumps(environment.get(name)))
    facts |= {f"version of {name}": version for name, version in environment["packages"].items()}
    devices = [device.device_kind for device in jax.local_devices()]
    return {**facts, "python": environment["python"], "devices": f"{len(devices)} × {', '.join(sorted(set(devices)))}"}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _commit() -> str | None:
    root = Path(jaxal.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
