"""The base of every config struct: frozen, hashable, strict about unknown keys."""

import msgspec

__all__ = ["LARGEST", "ConfigStruct"]

# Bounds every open-ended float: finite in float32 too.
LARGEST = 1e30


class ConfigStruct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A frozen group of settings: scalars, tuples and structs only, so that it hashes and can be static in jit."""
