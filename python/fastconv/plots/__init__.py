"""Pictures of networks and trainings, drawn with matplotlib (the extra `plots`).

Every function returns a matplotlib Figure, and saves it when it is given a `path`.
"""

from __future__ import annotations

from .network import feature_maps, filters
from .results import errors, training_curve
from .sheet import demo_sheet

__all__ = ["demo_sheet", "errors", "feature_maps", "filters", "training_curve"]
