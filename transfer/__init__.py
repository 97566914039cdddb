"""Neural style transfer by optimization.

Importing this package does not import torch: what may be asked for, and what can go wrong, can
be read by processes that never paint. `transfer.engine.paint` is where painting begins.
"""

from transfer.errors import (
    Cancelled,
    ImageTooSmall,
    ImageUnreadable,
    InvalidSetting,
    ShapeError,
    StyleMissing,
    TransferError,
    WeightsUnavailable,
)
from transfer.settings import (
    LONG_EDGE_MAX_PX,
    LONG_EDGE_MIN_PX,
    Backbone,
    Effort,
    Rendition,
    Settings,
)

__all__ = [
    "LONG_EDGE_MAX_PX",
    "LONG_EDGE_MIN_PX",
    "Backbone",
    "Cancelled",
    "Effort",
    "ImageTooSmall",
    "ImageUnreadable",
    "InvalidSetting",
    "Rendition",
    "Settings",
    "ShapeError",
    "StyleMissing",
    "TransferError",
    "WeightsUnavailable",
]
