"""Neural style transfer by optimization.

Importing this package does not import torch, so that processes which never paint can use its
settings and errors. `transfer.engine.Painter.paint` paints.
"""

from transfer.errors import (
    Cancelled,
    ImageTooSmall,
    ImageUnreadable,
    InvalidSetting,
    MaskCount,
    MaskUnusable,
    NotFinite,
    ShapeError,
    StyleMissing,
    TransferError,
    WeightsUnavailable,
)
from transfer.settings import (
    LONG_EDGE_MAX_PX,
    LONG_EDGE_MIN_PX,
    AdvancedSettings,
    Backbone,
    ColorMap,
    Effort,
    Method,
    Pooling,
    Rendition,
    Settings,
    Start,
)

__all__ = [
    "LONG_EDGE_MAX_PX",
    "LONG_EDGE_MIN_PX",
    "AdvancedSettings",
    "Backbone",
    "Cancelled",
    "ColorMap",
    "Effort",
    "ImageTooSmall",
    "ImageUnreadable",
    "InvalidSetting",
    "MaskCount",
    "MaskUnusable",
    "Method",
    "NotFinite",
    "Pooling",
    "Rendition",
    "Settings",
    "ShapeError",
    "Start",
    "StyleMissing",
    "TransferError",
    "WeightsUnavailable",
]
