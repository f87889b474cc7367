"""jaxal: deep active learning for class-imbalanced images.

Public names resolve when they are first used, so that `import jaxal` and `jaxal --help` load no jax.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxal.acquisition import open_embeddings, select
    from jaxal.config.reading import load_study
    from jaxal.config.study import StudyConfig
    from jaxal.errors import ConfigError, DataError, InputError, JaxalError, SelectionWarning, StoreError
    from jaxal.study import StudyResult
    from jaxal.study import run_study as run
    from jaxal.typing import LinearHead

__version__ = "0.1.0"

_HOMES = {
    "ConfigError": "jaxal.errors",
    "DataError": "jaxal.errors",
    "InputError": "jaxal.errors",
    "JaxalError": "jaxal.errors",
    "LinearHead": "jaxal.typing",
    "SelectionWarning": "jaxal.errors",
    "StoreError": "jaxal.errors",
    "StudyConfig": "jaxal.config.study",
    "StudyResult": "jaxal.study",
    "load_study": "jaxal.config.reading",
    "open_embeddings": "jaxal.acquisition",
    "run": "jaxal.study:run_study",
    "select": "jaxal.acquisition",
}

__all__ = [
    "ConfigError",
    "DataError",
    "InputError",
    "JaxalError",
    "LinearHead",
    "SelectionWarning",
    "StoreError",
    "StudyConfig",
    "StudyResult",
    "load_study",
    "open_embeddings",
    "run",
    "select",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'jaxal' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(importlib.import_module(module), attribute or name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
