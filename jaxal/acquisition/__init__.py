"""Acquisition alone, for a model trained anywhere: arrays in, pool indices out."""

from jaxal.acquisition.pool_folder import OpenedEmbeddings, open_embeddings
from jaxal.acquisition.selection import Selection, select, select_with_reasons

__all__ = ["OpenedEmbeddings", "Selection", "open_embeddings", "select", "select_with_reasons"]
