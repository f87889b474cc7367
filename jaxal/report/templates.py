"""The templates of the report's pages: one environment that shows nothing unescaped."""

import functools
import importlib.resources
from typing import TYPE_CHECKING, Any

from jaxal.report.wording import number, visible

if TYPE_CHECKING:
    from jinja2 import Environment, Template

__all__ = ["template"]


def template(name: str) -> "Template":
    """Returns a template of this package, which may include and import others of it by name."""
    return _environment().get_template(name)


@functools.cache
def _environment() -> "Environment":
    import jinja2

    folder = importlib.resources.files("jaxal.report")
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        loader=jinja2.FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
    )
    environment.filters["number"] = number
    environment.filters["unbroken"] = _unbroken
    return environment


def _shown(value: Any) -> Any:
    """Makes what a template prints safe to see: names come from anywhere. What it has made itself is."""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _unbroken(text: str) -> str:
    """Keeps a number and its sign on one line."""
    return text.replace(" %", "\u00a0%").replace(" ± ", "\u00a0±\u00a0")
