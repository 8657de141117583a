"""Pictures of networks and trainings, drawn with matplotlib (the extra `plots`).

Every function returns a matplotlib Figure, and saves it when it is given a `path`.
"""

from __future__ import annotations

from .comparison import accuracy_curves, finetune_sheet
from .confusion import confusion_matrix
from .grad_cam import class_activation, grad_cam
from .network import feature_maps, filters
from .page import finetune_page
from .results import errors, training_curve
from .sheet import demo_sheet

__all__ = [
    "accuracy_curves",
    "class_activation",
    "confusion_matrix",
    "demo_sheet",
    "errors",
    "feature_maps",
    "filters",
    "finetune_page",
    "finetune_sheet",
    "grad_cam",
    "training_curve",
]
