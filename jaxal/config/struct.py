"""The base of every config struct: frozen, hashable, strict about unknown keys."""

import typing
from typing import Any

import msgspec

__all__ = ["LARGEST", "ConfigStruct", "kind_tables"]

# Bounds every open-ended float: finite in float32 too.
LARGEST = 1e30


class ConfigStruct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A frozen group of settings: scalars, tuples and structs only, so that it hashes and can be static in jit."""


def kind_tables(config_type: Any) -> dict[str, dict[str, Any]]:
    """Give each form of a config, by its kind, the table that says no more than that.

    >>> class Here(ConfigStruct, frozen=True, tag_field="kind", tag="here"): ...
    >>> class There(ConfigStruct, frozen=True, tag_field="kind", tag="there"): ...
    >>> kind_tables(Here | There)
    {'here': {'kind': 'here'}, 'there': {'kind': 'there'}}
    """
    kinds = [str(each.__struct_config__.tag) for each in typing.get_args(config_type)]
    return {kind: {"kind": kind} for kind in kinds}
