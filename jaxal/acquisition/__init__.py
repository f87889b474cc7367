"""Acquisition alone, for a model trained anywhere: arrays in, pool indices out."""

from jaxal.acquisition.selection import Selection, select, select_with_reasons

__all__ = ["Selection", "select", "select_with_reasons"]
