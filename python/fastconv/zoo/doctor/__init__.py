"""The import doctor: what is in a file, which network that is, and where two of them part."""

from __future__ import annotations

from .examination import inspect
from .relations import Relation, relation
from .report import Comparison, Layer, Pair, Report

__all__ = ["Comparison", "Layer", "Pair", "Relation", "Report", "inspect", "relation"]
